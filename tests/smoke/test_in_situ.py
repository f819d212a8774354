"""Training on the devices, from the command line, tiny: every algorithm, every placement, and what is left."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments.cli import main
from experiments.runs.watching.record import Record

TINY = [
    *("train", "--mode", "in-situ", "--train-images", "60", "--test-images", "30", "--batch-size", "30"),
    *("--epochs", "2", "--chips", "2", "--threads", "1"),
]
FAMILIES = [
    "reram-sb", "ecram-2", "pcm", "tiki-taka-reram-sb", "ttv2-reram-es", "chopped-ttv2-ecram", "agad-reram-sb",
    "mixed-precision-ecram", "mixed-precision-pcm", "reram-array-om", "gokmen-vlasov", "capacitor",
]  # fmt: skip
PLACEMENTS = ["time_multiplexed", "replicated(tiles=3)", "blocks(rows=2,cols=2)", "random(tiles=5,redraw=True)",
              "interleaved(period=2)"]  # fmt: skip


def train(out, *more):
    """Run a tiny training; return its folder."""
    assert main([*TINY, "--out", str(out), *more]) == 0
    (folder,) = out.iterdir()
    return folder


def pulses_in(folder):
    return sum(
        int(tensor.sum())
        for name, tensor in load_file(folder / "model.safetensors").items()
        if "pulse_count" in name
    )


@pytest.mark.parametrize("device", FAMILIES)
def test_every_algorithm_moves_its_devices(tmp_path, device):
    folder = train(tmp_path, "--device", device, "--record-every", "1")
    result = json.loads((folder / "result.json").read_text())
    assert result["mode"] == "in-situ"
    assert len(result["as_trained"]) == 2
    assert bool(result["accuracy"]) == (device == "pcm")
    assert pulses_in(folder) > 0
    record = Record.read(folder / "record.npz")
    assert record.steps.tolist() == [0, 1, 2, 3]
    for layer in record.layers:
        for role in record.roles(layer):
            assert (np.diff(record.of_layer(layer, f"{role}/pulses_mean")) >= 0).all()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement(tmp_path, placement):
    folder = train(tmp_path, "--device", "ecram", "--placement", placement, "--record-every", "3")
    record = Record.read(folder / "record.npz")
    assert record.steps.tolist() == [0, 3]
    assert ("local1/tile_of_location" in record.columns) == ("redraw" not in placement)
    assert main(["report", str(folder)]) == 0
    assert (folder / "pulse_maps.png").exists() == ("redraw" not in placement)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A recorded run; tests must leave it as it is."""
    out = tmp_path_factory.mktemp("finished")
    return train(out, "--device", "ttv2-reram-sb", "--record-every", "2")


def test_the_table_says_what_was_measured(tmp_path, capsys):
    train(tmp_path / "a", "--device", "ecram")
    printed = capsys.readouterr().out
    assert "on digits, trained in situ, seed 0, 30 test images\n" in printed
    assert re.search(r"^ecram, as trained +\d+\.\d ± \d+\.\d %$", printed, re.MULTILINE)
    assert (
        "One trained chip, 2 readings of it. No accuracy over time: ecram has no model of drift.\n" in printed
    )
    train(tmp_path / "b", "--device", "pcm", "--times", "1s,1d", "--compensation", "per_tile")
    printed = capsys.readouterr().out
    assert re.search(
        r"^without any pulse for +no compensation +compensation per tile$", printed, re.MULTILINE
    )
    assert re.search(r"^  1 day( +\d+\.\d ± \d+\.\d %){2}$", printed, re.MULTILINE)
    assert printed.count("One trained chip, 2 readings of it.\n") == 1


def test_the_report_draws_what_was_recorded(finished, capsys):
    assert main(["report", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^layer +tiles +cosine +gain +at bound +pulses: mean +most$", printed, re.MULTILINE)
    assert re.search(r"^local1, fast +36 ", printed, re.MULTILINE)
    assert re.search(r"^  slow +\d", printed, re.MULTILINE)
    for figure in ("learning_curve", "learning_dynamics", "pulse_maps"):
        path = finished / f"{figure}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
        assert str(path) in printed


def test_evaluating_as_in_the_run_gives_the_runs_numbers(finished):
    assert main(["evaluate", str(finished), "--threads", "1"]) == 0
    (file,) = finished.glob("evaluation-*.json")
    assert json.loads(file.read_text()) == json.loads((finished / "result.json").read_text())
    for path in (file, *finished.glob("ledger-*")):
        path.unlink()


def test_the_devices_of_a_trained_chip_cannot_be_exchanged(finished, capfd):
    assert main(["evaluate", str(finished), "--device", "pcm"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        "xbar: `device` must be left out, but is 'pcm': this network has learned on the devices"
    )
    assert main(["evaluate", str(finished), "--times", "1d"]) == 2
    assert "`times` must be left out" in capfd.readouterr().err


def test_recording_changes_no_number(tmp_path):
    with_record = train(tmp_path / "a", "--device", "reram-sb", "--record-every", "1")
    without = train(tmp_path / "b", "--device", "reram-sb")
    weights, others = (load_file(folder / "model.safetensors") for folder in (with_record, without))
    assert set(weights) == set(others)
    assert all(torch.equal(weights[name], value) for name, value in others.items())
    assert not (without / "record.npz").exists()


def test_the_seed_names_the_devices(tmp_path):
    """Another seed is another chip; the same one is the same chip whatever ran before in this process."""
    runs = [
        train(tmp_path / str(i), "--device", "ecram", "--seed", str(seed)) for i, seed in enumerate((0, 0, 1))
    ]
    bounds = [
        torch.cat([v.flatten() for n, v in load_file(run / "model.safetensors").items() if "max_bound" in n])
        for run in runs
    ]
    assert torch.equal(bounds[0], bounds[1])
    assert not torch.equal(bounds[0], bounds[2])


def test_an_engine_is_what_computes(tmp_path):
    """The same run by two engines: the same devices, other pulses."""
    runs = [
        load_file(train(tmp_path / name, "--device", "ecram", "--engine", name) / "model.safetensors")
        for name in ("exact", "aggregated")
    ]
    for name, value in runs[0].items():
        if name.endswith(("max_bound", "scale_up")):
            assert torch.equal(value, runs[1][name])
    name = next(name for name in runs[0] if name.endswith("array.weight"))
    assert not torch.equal(runs[0][name], runs[1][name])


def test_real_aihwkit_tiles_learn_too(tmp_path):
    folder = train(tmp_path, "--device", "ecram", "--model", "cnn_digits", "--backend", "aihwkit")
    assert json.loads((folder / "config.json").read_text())["engine"] is None
    assert len(json.loads((folder / "result.json").read_text())["as_trained"]) == 2


def test_a_reference_beside_it(tmp_path, capsys):
    assert main([*TINY, "--out", str(tmp_path), "--device", "ecram", "--reference"]) == 0
    assert re.search(r"^digital, trained digitally +\d+\.\d %$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir()) == [
        "fcn_digits-digital-none", "fcn_digits-in-situ-ecram",
    ]  # fmt: skip


def test_help_says_why_the_rate_should_fall(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = " ".join(re.sub(r"[│|]", " ", capsys.readouterr().out).split())
    assert "at a constant rate the weights keep jittering" in words
