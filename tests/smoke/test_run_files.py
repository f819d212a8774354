"""The files of a run: what --force deletes, what is left over, what has moved, and what is not the run's own."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from crossbar import load_model, load_profile
from crossbar.network.storage import read_tensors, write_tensors
from devices.files import MANIFEST
from experiments.cli import main
from experiments.runs import training
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from helpers.words import without

TINY = [
    "train", "--train-images", "100", "--test-images", "40", "--batch-size", "32", "--epochs", "2", "--chips", "1",
    "--threads", "1",
]  # fmt: skip
DIGITAL = ["--mode", "digital", "--device", "none"]


def train(out: Path, *words: str) -> Path:
    assert main([*TINY, *words, "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    return folder


def cut(out: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Path:
    """Return the folder of a run whose process broke off in its second epoch."""
    original, calls = training._finish_epoch, []

    def breaking_off(*arguments):
        calls.append(None)
        if len(calls) == 2:
            raise OSError("the power fails")
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_finish_epoch", breaking_off)
        tiny = without(TINY, "--chips") if "none" in words else TINY
        assert main([*tiny, *words, "--out", str(out)]) == 2
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("finished"), "--times", "1s")


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


@pytest.mark.parametrize("has_manifest", [True, False])
def test_force_leaves_nothing_of_the_old_run(run, has_manifest):
    old = (
        "paper.json", "wires.json", "wires.csv", "wires_tiles.png", "does_it_matter.json", "does_it_matter.png",
        "cost-hermes-pcm.json", "cost-hermes-pcm.md", "report.html", "evaluation-pcm-01234567.json",
        "ledger-pcm-01234567.json", "confusion.png", "confusion.csv", ".x.1.tmp",
    )  # fmt: skip
    for name in old:
        (run / name).write_text("old")
    (run / "does_it_matter-5" / "0123").mkdir(parents=True)
    (run / "mine.txt").write_text("not the program's")
    if not has_manifest:
        (run / MANIFEST).unlink()
    assert main([*TINY, "--times", "1s", "--out", str(run.parent), "--force"]) == 0
    assert not [name for name in (*old, "does_it_matter-5") if (run / name).exists()]
    assert (run / "mine.txt").read_text() == "not the program's"
    assert (run / "result.json").exists()


def test_a_damaged_manifest_does_not_stop_force(run, capsys):
    (run / MANIFEST).write_text("{}")
    assert main([*TINY, "--times", "1s", "--out", str(run.parent)]) == 2
    assert f"`run` must hold an undamaged {MANIFEST}" in capsys.readouterr().err
    assert main([*TINY, "--times", "1s", "--out", str(run.parent), "--force"]) == 0


def test_what_a_killed_process_has_left_is_removed_at_the_next_start(run):
    shutil.copy(run / "model.safetensors", run / "checkpoint.safetensors")
    (run / ".ledger.json.4711.tmp").write_text("half")
    assert main(["resume", str(run)]) == 0
    assert not (run / "checkpoint.safetensors").exists()
    assert not list(run.glob(".*.tmp"))


def test_a_run_of_an_earlier_version_is_read_and_that_is_said_once(run, capsys):
    (run / MANIFEST).unlink()
    for time in (1, 2):
        assert main(["report", str(run)]) == 0
        assert (f"has no {MANIFEST}" in capsys.readouterr().out) == (time == 1)
    damaged = (run / "ledger.json").read_text().replace("1", "2", 1)
    (run / "ledger.json").write_text(damaged)
    assert main(["report", str(run)]) == 2
    assert "`run` must hold an undamaged ledger.json" in capsys.readouterr().err


def test_a_file_that_something_else_has_put_there_is_refused(run, tmp_path, monkeypatch, capsys):
    other = cut(tmp_path / "other", monkeypatch, "--times", "1s", "--seed", "1")
    mine = cut(tmp_path / "mine", monkeypatch, "--times", "1s")
    shutil.copy(other / "checkpoint.safetensors", mine / "checkpoint.safetensors")
    capsys.readouterr()
    assert main(["resume", str(mine)]) == 2
    assert "`run` must hold an undamaged checkpoint.safetensors" in capsys.readouterr().err
    (run / "device.toml").write_text('name = "x"')
    assert main(["report", str(run)]) == 2
    assert "device.toml is not in manifest.json: something else has put it there" in capsys.readouterr().err


def test_a_checkpoint_that_is_gone_is_said(tmp_path, monkeypatch, capsys):
    folder = cut(tmp_path / "runs", monkeypatch, *DIGITAL)
    (folder / "checkpoint.safetensors").unlink()
    assert main(["resume", str(folder)]) == 0
    assert "is gone: its training begins anew, with the same numbers" in capsys.readouterr().out


def test_where_the_data_lie_is_no_part_of_what_names_a_run(tmp_path):
    here = resolve(TrainConfig(mode="digital", device="none", out=tmp_path), (1, 8, 8))
    there = replace(here, data_dir="elsewhere")
    assert RunFolder.of(here) == RunFolder.of(there)
    # Earlier versions hashed the folder too; their runs are still found.
    text = json.dumps({**there.identity(), "data_dir": "elsewhere"}, sort_keys=True)
    old = tmp_path / f"fcn_digits-digital-none-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
    old.mkdir()
    (old / "config.json").write_text("{}")
    assert RunFolder.of(there).path == old
    assert RunFolder.of(here).path != old


def test_where_a_file_of_images_lies_is_no_part_of_what_names_a_run(tmp_path):
    first, second, other = (tmp_path / name for name in ("mine.npz", "moved.npz", "other.npz"))
    first.write_bytes(b"images")
    second.write_bytes(b"images")
    other.write_bytes(b"other images")
    here = resolve(TrainConfig(mode="digital", device="none", out=tmp_path, data=str(first)), (1, 8, 8))
    there, of_others = replace(here, data=str(second)), replace(here, data=str(other))
    assert RunFolder.of(here) == RunFolder.of(there) != RunFolder.of(of_others)
    # Earlier versions hashed the path; their runs are still found.
    text = json.dumps({**there.identity(), "data": str(second)}, sort_keys=True)
    old = tmp_path / f"fcn_digits-digital-none-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
    old.mkdir()
    (old / "config.json").write_text("{}")
    assert RunFolder.of(there).path == old
    assert RunFolder.of(here).path != old


def test_moved_data_are_found_with_data_dir(tmp_path, monkeypatch, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    dice = np.random.default_rng(0)
    np.savez(first / "own.npz", images=dice.random((200, 1, 8, 8)), labels=np.arange(200) % 10)
    words = ("--data", str(first / "own.npz"), "--model", "fcn_digits", *DIGITAL)
    folder = cut(tmp_path / "runs", monkeypatch, *words)
    first.rename(second)
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 2
    assert "`data` must be an existing file" in capsys.readouterr().err
    assert main(["resume", str(folder), "--data-dir", str(second)]) == 0
    assert main(["evaluate", str(folder), "--data-dir", str(second), "--threads", "1"]) == 0
    np.savez(second / "own.npz", images=dice.random((200, 1, 8, 8)), labels=np.arange(200) % 10)
    assert main(["evaluate", str(folder), "--data-dir", str(second), "--threads", "1"]) == 2
    assert "was started with, but they have changed" in capsys.readouterr().err


def test_a_folder_whose_name_is_no_utf8(tmp_path, monkeypatch, capsysbinary):
    """As names in Latin-1, from older systems, are: nothing in it is damaged."""
    out = tmp_path / os.fsdecode(b"l\xfcbeck")
    out.mkdir()
    folder = cut(out, monkeypatch, "--times", "1s")
    assert main(["resume", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    assert main(["evaluate", str(folder), "--threads", "1"]) == 0
    capsysbinary.readouterr()  # what holds such names cannot be sent from a worker of pytest-xdist to its controller


def test_weights_of_another_type_are_refused(run):
    config = RunFolder(run).read_config()
    tensors, metadata = read_tensors(run / "model.safetensors")
    name = "local1.analog_module.weight"
    write_tensors(run / "model.safetensors", {**tensors, name: tensors[name].long()}, metadata)
    with pytest.raises(ValueError, match=rf"`{name}` must be torch\.float32, but is torch\.int64"):
        load_model(run / "model.safetensors", make_model(config))


@pytest.mark.parametrize(("what", "factor"), [("max_bound", 1e6), ("scale_up", -1.0), ("granularity", -1.0)])
def test_devices_that_are_not_the_runs_own_are_refused(tmp_path, monkeypatch, capsys, what, factor):
    folder = cut(tmp_path / "runs", monkeypatch, "--mode", "in-situ", "--device", "reram-sb")
    file = folder / "checkpoint.safetensors"
    tensors, metadata = read_tensors(file)
    (name, *_) = [name for name in tensors if name.endswith(what)]
    write_tensors(file, {**tensors, name: tensors[name] * factor}, metadata)
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 2
    assert "must be that of the run's own devices" in capsys.readouterr().err
    assert torch.equal(load_file(file)[name], tensors[name] * factor)


def test_does_it_matter_keeps_others_out(run, capsys):
    with RunFolder(run).lock():
        assert main(["does-it-matter", str(run), "--chips", "2"]) == 2
    assert "`run` must not be in use" in capsys.readouterr().err


def test_a_profile_cannot_write_elsewhere(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        load_profile("hermes-pcm").to_toml().replace('name = "hermes-pcm"', 'name = "../../../ESC"')
    )
    with pytest.raises(ValueError, match=r"`name` must be a name, not a path, but is '\.\./\.\./\.\./ESC'"):
        load_profile(own)


def test_fit_device_makes_the_folder_before_it_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "experiments.commands.own_devices.fit_device.fit_traces", lambda *path: pytest.fail("it fitted")
    )
    assert main(["fit-device", "example", "--out", "file/x.toml"]) == 2
    assert "xbar: `" in capsys.readouterr().err
    assert main(["fit-device", "example", "--name", "../x"]) == 2
    assert "`name` must be a name, not a path" in capsys.readouterr().err
