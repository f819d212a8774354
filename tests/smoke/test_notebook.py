"""Studies from Python: the numbers of the commands, for functions, networks and arrays that are handed over."""

import json
import sys

import pytest
import torch
from torch import nn

from experiments import accuracy_over_time, compare_devices, does_it_matter, sharing_cost, wires_study
from experiments.cli import main
from experiments.notebook.inputs import data_file, model_name
from helpers.own_files import write_blobs

WIDTH = 4 * 7 * 5


def build(num_classes):
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(WIDTH, num_classes))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """Images as arrays, and the file that they come from."""
    import numpy as np

    file = write_blobs(tmp_path_factory.mktemp("blobs"))
    arrays = np.load(file)
    return arrays["inputs"], arrays["labels"], file


@pytest.fixture(scope="module")
def trained(blobs):
    torch.manual_seed(0)
    model, x, y = build(4), torch.from_numpy(blobs[0]), torch.from_numpy(blobs[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def test_a_function_gives_the_numbers_of_the_command(blobs, tmp_path):
    x, y, file = blobs
    found = accuracy_over_time(build, (x, y), epochs=2, chips=1, times="1s", folder=tmp_path / "python")
    source = tmp_path / "net.py"
    source.write_text(
        "from torch import nn\n\n\ndef build(num_classes):\n"
        f"    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear({WIDTH}, num_classes))\n"
    )
    words = ["train", "--model", f"{source}:build", "--data", file, "--out", str(tmp_path / "cli")]
    assert main([*words, "--epochs", "2", "--chips", "1", "--times", "1s"]) == 0
    (run,) = (tmp_path / "cli").iterdir()
    result = json.loads((run / "result.json").read_text())
    by_name = {row["compensation"]: row["accuracy"] for row in found.rows}
    assert by_name == {
        "digital": result["digital_accuracy"],
        **{name: chips[0][0] for name, chips in result["accuracy"].items()},
    }
    assert "build (as built)" in str(found)
    assert found.plot().get_axes()
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows)
    saved = found.save(tmp_path / "saved")
    assert (saved / "result.json").is_file()
    with pytest.raises(
        ValueError, match=r"`name` must be one of accuracy_over_time, learning_curve, but is 'x'"
    ):
        found.plot("x")


def test_a_trained_network_is_not_trained_again(blobs, trained, tmp_path):
    x, y, _ = blobs
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    found = accuracy_over_time(trained, (x, y), chips=1, times="1s", folder=tmp_path)
    digital = found.rows[0]
    assert (digital["compensation"], digital["mode"]) == ("digital", "digital")
    assert digital["accuracy"] > 0.9
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    wires = wires_study(trained, (x, y), ohms=[3], tile_sizes=[64], chips=1, folder=tmp_path)
    assert [row["ohm"] for row in wires.rows] == [0.0, 3.0]
    assert {"error_0", "error_3"} <= wires.rows[1].keys()
    matters = does_it_matter(trained, (x, y), chips=2, times="1s", folder=tmp_path)
    assert {row["verdict"] for row in matters.rows} <= {"matters", "within the spread", "NO EFFECT"}
    assert "programming noise" in {row["what"] for row in matters.rows}


def test_studies_of_devices_and_of_sharing(blobs, tmp_path):
    x, y, _ = blobs
    tiny = {"seeds": [0], "epochs": 1, "chips": 1, "times": "1s", "folder": tmp_path}
    devices = compare_devices(build, (x, y), devices=["reram-cmo"], networks=["cnn"], **tiny)
    assert [row["device"] for row in devices.rows] == ["reram-cmo"]
    shared = sharing_cost(
        build, (x, y), devices=["ecram"], mechanisms=["in-situ"], schemes=["time_multiplexed", "free"],
        tile_counts=[], **tiny,
    )  # fmt: skip
    assert [row["scheme"] for row in shared.rows] == ["time_multiplexed", "free"]
    assert "Layers of build" in shared.text
    with pytest.raises(ValueError, match=r"`jobs` must be left out for a network that is handed over"):
        sharing_cost(build, (x, y), jobs=2, **tiny)


def test_frames_need_pandas(blobs, trained, tmp_path, monkeypatch):
    found = accuracy_over_time(trained, blobs[:2], chips=1, times="1s", folder=tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"`to_frame` must have pandas, .* Use `\.rows`"):
        found.to_frame()


def test_another_network_is_another_run(blobs, tmp_path):
    """Also one that differs only in what it computes, or in its weights."""
    file = data_file(blobs[:2], tmp_path)
    assert data_file(blobs[:2], tmp_path) == file
    from experiments.data.datasets import load_data

    facts = load_data(file, seed=0).facts

    def tanh(num_classes):
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(WIDTH, num_classes))

    tanh.__name__ = "build"
    torch.manual_seed(0)
    one = build(4)
    names = [model_name(model, facts) for model in (build, build, tanh, one, build(4))]
    assert names[0] == names[1]
    assert len(set(names[1:])) == 4


def test_what_is_no_network_and_what_are_no_options(blobs, tmp_path):
    with pytest.raises(TypeError, match=r"`model` must be a function that builds a network, .* is a int"):
        accuracy_over_time(3, blobs[:2], folder=tmp_path)
    with pytest.raises(TypeError, match=r"`options` must be those of `xbar train`, but 'epoch' is none"):
        accuracy_over_time(build, blobs[:2], folder=tmp_path, epoch=2)
