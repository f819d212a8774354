"""`--wires` and `xbar wires` from end to end: what is printed, kept, continued and refused."""

import csv
import json
import re

import pytest
import torch
from torch import nn

from crossbar import LocallyConnected2d
from experiments.cli import main
from experiments.studies.wires.layouts import unroll
from experiments.support.json_files import write_json
from helpers.words import without
from models import build

TINY = [
    *("--train-images", "64", "--test-images", "30", "--batch-size", "32", "--epochs", "1"),
    *("--chips", "2", "--threads", "1"),
]
QUICK = ["--ohms", "2,20", "--tile-sizes", "32,64", "--chips", "2", "--test-images", "20", "--threads", "1"]


def train(out, *more):
    words = without(TINY, "--chips", "--times") if "none" in more else TINY
    assert main(["train", *words, "--out", str(out), *more]) == 0
    (folder,) = out.iterdir()
    return folder


def test_a_network_is_trained_and_evaluated_with_wires(tmp_path, capsys):
    wish = ("--wires", "bit_line=20, word_line=10", "--times", "1s", "--tile-size", "64")
    folder = train(tmp_path, *wish)
    assert re.search(r"^Wires in ohm: word_line=10,bit_line=20\.$", capsys.readouterr().out, re.MULTILINE)
    config = json.loads((folder / "config.json").read_text())
    assert (config["wires"], config["wires_every"], config["tile_size"]) == (
        "word_line=10,bit_line=20",
        100,
        64,
    )
    whole = json.loads((folder / "result.json").read_text())
    assert main(["evaluate", str(folder), "--wires", "word_line=10,bit_line=20", "--threads", "1"]) == 0
    (file,) = folder.glob("evaluation-*.json")
    assert json.loads(file.read_text())["accuracy"] == whole["accuracy"]
    file.unlink()
    assert main(["evaluate", str(folder), "--wires", "none", "--threads", "1"]) == 0
    (file,) = folder.glob("evaluation-*.json")
    assert json.loads(file.read_text())["wires"] is None


def test_a_digital_network_is_calibrated_through_its_wires(tmp_path):
    folder = train(tmp_path, "--mode", "digital", "--times", "1s", "--wires", "bit_line=200")
    assert json.loads((folder / "result.json").read_text())["wires"] == "word_line=1,bit_line=200"


def test_the_study_writes_what_it_measures_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    folder = train(tmp_path, "--times", "1s", "--model", "cnn_digits")
    monkeypatch.setattr("experiments.studies.wires.study.LARGEST_UNROLLED", 64)  # unrolling takes minutes
    capsys.readouterr()
    assert main(["wires", str(folder), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "Layers were not unrolled" in printed
    points = json.loads((folder / "wires.json").read_text())["points"]
    assert [(p["tile_size"], p["ohm"]) for p in points] == [
        (s, o) for s in (32, 64) for o in (0.0, 2.0, 20.0)
    ]
    for point in points:
        assert len(point["exact"]) == len(point["aihwkit"]) == 2
        assert set(point["errors"]) == ({"local1", "local2", "dense1", "dense2"} if point["ohm"] else set())
    by_ohm = {(p["tile_size"], p["ohm"]): p["errors"] for p in points if p["errors"]}
    for size in (32, 64):
        for layer, error in by_ohm[size, 20.0].items():
            assert error["exact"] > by_ohm[size, 2.0][layer]["exact"] > 0
    assert by_ohm[64, 2.0]["dense1"]["exact"] > 1.5 * by_ohm[32, 2.0]["dense1"]["exact"]  # longer lines
    rows = list(csv.DictReader((folder / "wires.csv").read_text().splitlines()))
    assert len([row for row in rows if row["chip"]]) == 12
    assert (folder / "wires.png").stat().st_size > 10_000

    # A point that is known is not computed again; others are added.
    marked = json.loads((folder / "wires.json").read_text())
    marked["points"][1]["exact"] = [0.123, 0.123]
    write_json(folder / "wires.json", marked)
    assert main(["wires", str(folder), *QUICK]) == 0
    assert "12.3 ± 0.0 %" in capsys.readouterr().out
    assert main(["wires", str(folder), *QUICK, "--force"]) == 0
    assert json.loads((folder / "wires.json").read_text())["points"] == points


def test_what_the_study_refuses(tmp_path, capsys):
    learned = train(tmp_path / "a", "--mode", "in-situ", "--device", "ecram")
    digital = train(tmp_path / "b", "--mode", "digital", "--device", "none")
    capsys.readouterr()
    for folder, sentence in (
        (learned, "`run` must be trained with --mode hwa or digital"),
        (digital, "`run` must have a device"),
        ("nowhere", "`run` must be a run folder"),
    ):
        assert main(["wires", str(folder)]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["evaluate", str(learned), "--wires", "bit_line=1"]) == 2
    assert "`wires` must be left out, but is 'bit_line=1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--wires", "bit=1"], "`wires` must name each of word_line"),
        (["train", "--wires-every", "5"], "`wires_every` must be left out"),
        (["train", "--wires", "bit_line=1", "--backend", "aihwkit"], "aihwkit's own tiles have none"),
        (
            ["train", "--wires", "bit_line=1", "--mode", "in-situ", "--device", "ecram"],
            "no unit of conductance",
        ),
        (["train", "--tile-size", "64", "--mode", "digital", "--device", "none"], "nothing is put on tiles"),
        (["train", "--tile-size", "0"], "`tile_size` must be 1 or more, but is 0."),
        (["wires", "x", "--ohms", "1,a"], "`ohms` must hold positive numbers, as in 0.3,1,3, but is '1,a'"),
        (["wires", "x", "--ohms", "0"], "`ohms` must hold positive numbers"),
        (["wires", "x", "--tile-sizes", "1.5"], "`tile_sizes` must hold whole numbers"),
        (["wires", "x", "--chips", "0"], "`chips` must be 1 or more, but is 0."),
    ],
)
def test_wrong_wishes_get_a_sentence(words, sentence, capsys, tmp_path):
    out = ["--out", str(tmp_path)] if words[0] == "train" else []
    assert main([*words, *out]) == 2
    assert sentence in capsys.readouterr().err


@torch.no_grad()
def test_an_unrolled_network_is_the_same_network():
    digital = build("fcn_digits")
    x = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(unroll(digital)(x), digital(x), rtol=1e-5, atol=1e-5)
    padded = nn.Sequential(
        LocallyConnected2d(2, 3, 3, (5, 4), stride=2, padding=1, placement="time_multiplexed")
    )
    x = torch.rand(3, 2, 5, 4)
    torch.testing.assert_close(unroll(padded)(x), padded(x), rtol=1e-5, atol=1e-6)
