"""Files that are damaged, hostile or of another model give one clear sentence and change nothing."""

import pickle

import pytest
import torch
from torch import nn

from crossbar import AnalogLinear, load_model, save_model
from crossbar.network.storage import FORMAT, write_tensors


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_missing_truncated_and_hostile_files(tmp_path):
    model = AnalogLinear(4, 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = tmp_path / "model.safetensors"
    save_model(AnalogLinear(4, 3), whole)
    content = whole.read_bytes()
    (tmp_path / "truncated").write_bytes(content[:-10])
    (tmp_path / "pickle").write_bytes(pickle.dumps(Hostile()))
    (tmp_path / "giant_header").write_bytes(b"\xff" * 8 + b"{}")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("truncated", "pickle", "giant_header", "empty"):
        with pytest.raises(ValueError, match=f"{name} is damaged or of another kind"):
            load_model(tmp_path / name, model)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_model(tmp_path / "nothing", model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_file_of_another_model_is_refused_before_anything_changes(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(AnalogLinear(4, 3), path)
    with pytest.raises(ValueError, match=r"`bias` must have the shape \(1, 5\), but has \(1, 3\)"):
        load_model(path, AnalogLinear(4, 5))
    with pytest.raises(ValueError, match="tensors are missing"):
        load_model(path, nn.Sequential(AnalogLinear(4, 3)))


def test_nan_in_a_file_is_refused(tmp_path):
    model = AnalogLinear(4, 3)
    with torch.no_grad():
        model.bias[0] = float("nan")
    save_model(model, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match="`bias` must be finite"):
        load_model(tmp_path / "nan.safetensors", AnalogLinear(4, 3))


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "model.safetensors"
    save_model(AnalogLinear(4, 3), path)
    old = path.read_bytes()

    def fail(*arguments):
        raise OSError("power failure")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="power failure"):
        save_model(AnalogLinear(4, 3), path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_file_without_its_list_of_chips_is_refused(tmp_path):
    for chips in ({}, {"compensations": "[]"}, {"compensations": "{"}, {"compensations": '{"": "magic"}'}):
        write_tensors(tmp_path / "model", AnalogLinear(4, 3).state_dict(), {"format": FORMAT, **chips})
        with pytest.raises(ValueError, match="has no list of chips"):
            load_model(tmp_path / "model", AnalogLinear(4, 3))


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = AnalogLinear(4, 3)
    contents = set()
    for number in range(8):
        save_model(model, tmp_path / str(number))
        contents.add((tmp_path / str(number)).read_bytes())
    assert len(contents) == 1
