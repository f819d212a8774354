"""`xbar train --start-from` and `xbar share`."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from experiments.cli import main

SMALL = (
    "--train-images",
    "120",
    "--test-images",
    "60",
    "--epochs",
    "1",
    "--mode",
    "digital",
    "--device",
    "none",
)


def train(out, *words):
    return main(["train", *SMALL, *words, "--out", str(out)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run without sharing."""
    out = tmp_path_factory.mktemp("runs")
    assert train(out, "--model", "fcn_digits") == 0
    return out


def runs(folder):
    return sorted(path for path in folder.iterdir() if (path / "config.json").exists())


def test_a_run_starts_from_the_mean_of_another(trained, tmp_path, capsys):
    (apart,) = runs(trained)
    # So small a rate that nothing is learned: what comes out is what it started with.
    words = ("--model", "cnn_digits", "--start-from", str(apart), "--lr", "1e-12")
    assert train(tmp_path, *words) == 0
    (one,) = runs(tmp_path)
    theirs, mine = load_file(apart / "model.safetensors"), load_file(one / "model.safetensors")
    torch.testing.assert_close(mine["local1.weight"][0], theirs["local1.weight"].mean(0), rtol=0, atol=1e-6)
    capsys.readouterr()

    # The weights decide about the run's name, not the folder: moved, it is the same run, and finished.
    moved = tmp_path / "elsewhere"
    shutil.copytree(apart, moved)
    assert train(tmp_path, *words[:2], "--start-from", str(moved), "--lr", "1e-12") == 0
    assert "is finished" in capsys.readouterr().out
    # And its network can be evaluated when the other is gone.
    shutil.rmtree(moved)
    assert main(["evaluate", str(one), "--device", "pcm", "--chips", "1", "--times", "1s"]) == 0


def test_in_situ_devices_start_at_the_mean(trained, tmp_path):
    (apart,) = runs(trained)
    words = [
        "train",
        *SMALL[:6],
        "--mode",
        "in-situ",
        "--device",
        "ecram",
        "--model",
        "cnn_digits",
        "--lr",
        "1e-9",
    ]
    assert main([*words, "--chips", "1", "--start-from", str(apart), "--out", str(tmp_path)]) == 0
    assert main([*words, "--chips", "1", "--out", str(tmp_path)]) == 0
    results = {
        json.loads((run / "config.json").read_text()).get("start_from") is not None: json.loads(
            (run / "result.json").read_text()
        )
        for run in runs(tmp_path)
    }
    assert results[True]["digital_accuracy"] != results[False]["digital_accuracy"]


def test_what_cannot_be_started_from_is_refused(trained, tmp_path, capsys):
    (apart,) = runs(trained)
    for words, problem in (
        (("--start-from", "nowhere"), "`start_from` must be a run folder, but there is no folder nowhere"),
        (("--start-from", str(apart), "--seed", "1"), "`seed` and `fold` must be those"),
        (("--start-from", str(apart), "--model", "lenet_mnist"), "lenet_mnist"),
    ):
        assert train(tmp_path, *words) == 2
        assert problem in capsys.readouterr().err
    unfinished = tmp_path / "unfinished"
    shutil.copytree(apart, unfinished)
    (unfinished / "model.safetensors").unlink()
    assert train(tmp_path, "--start-from", str(unfinished)) == 2
    assert "trained to its end" in capsys.readouterr().err


def test_the_study_tells_what_a_past_apart_is_worth(tmp_path, capsys):
    words = [
        "share",
        "--modes",
        "digital",
        "--shifts",
        "0",
        "--epochs",
        "2",
        "--retrain",
        "1",
        "--seeds",
        "0",
    ]
    words += ["--train-images", "120", "--test-images", "60", "--jobs", "1", "--runs", str(tmp_path)]
    out = tmp_path / "study"
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Kernels that learned apart" in said
    rows = json.loads((out / "share.json").read_text())["rows"]
    kinds = [(row["kind"], row["start"], row["epochs"]) for row in rows]
    assert kinds == [
        ("one tile", None, 1),
        ("one tile", None, 2),
        ("apart", "apart", 2),
        ("apart", "together", 1),
        ("one afterwards", "apart", 1),
        ("one afterwards", "together", 1),
    ]
    by_kind = {(row["kind"], row["start"]): row for row in rows}
    assert by_kind["apart", "together"]["cosine"] < 0.5 < by_kind["apart", "apart"]["cosine"]
    assert (out / "share.png").exists()
    assert main([*words, "--out", str(out)]) == 0
    assert "6 runs, 6 of them finished" in capsys.readouterr().out


def test_what_the_study_cannot_use_is_refused(capsys):
    for words, problem in (
        (("--retrain", "0"), "`retrain` must be 1"),
        (("--shifts", "2"), "`shifts` must lie in [0, 1]"),
        (("--epochs", "1"), "`epochs` must be 2 or more"),
        (("--soft-sharing", "10"), "`soft_sharing` must be left out in situ"),
    ):
        assert main(["share", *words]) == 2
        assert problem in capsys.readouterr().err
