"""Networks that go through time, through the commands: their tiles are used again at each step."""

import json
import warnings
from pathlib import Path

import pytest

from crossbar import load_profile, price
from experiments.cli import main
from experiments.data.text import STEPS
from experiments.runs.ledger_file import RunEvents
from experiments.runs.run_folder import RunFolder
from helpers.own_files import write_networks, write_tokens

TEXT = "the tile reads the wire, and the wire moves the tile.\n" * 25
SMALL = ["--epochs", "1", "--chips", "1"]


def train(folder, *words):
    """Train on a short text; return the folder of the run."""
    (folder / "my.txt").write_text(TEXT)
    out = folder / "runs"
    assert main(["train", "--data", str(folder / "my.txt"), "--out", str(out), *SMALL, *words]) == 0
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A run of the built-in network that has learned digitally; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("reader")
    return train(folder, "--mode", "digital", "--epochs", "60", "--lr", "0.01", "--times", "1s,1d")


def test_a_text_is_learned_programmed_and_aged(reader):
    result = json.loads((reader / "result.json").read_text())
    assert (result["model"], Path(result["data"]).name) == ("char_lstm", "my.txt")
    assert result["times"] == [1.0, 86400.0]
    assert result["digital_accuracy"] > 2 * result["by_chance"]
    assert result["accuracy"]["global"][0][0] > 2 * result["by_chance"]


def test_every_step_uses_the_same_tiles_again(reader):
    events = RunEvents.read(RunFolder(reader).ledger_file).evaluation.inference
    layers = [f"lstm.rnn.layers.{i}.cell.weight_{which}" for i in (0, 1) for which in ("ih", "hh")]
    assert list(events.layers) == [*layers, "next"]
    for name in layers:
        counted = events.layers[name]
        assert counted.shape.tiles == 1
        assert counted.counts["forward"]["mvms"] == STEPS * events.images
    profile = load_profile("hermes-pcm")
    bill = price(events, profile)
    assert bill.arrays == 5
    assert bill.sequential == pytest.approx(5 * STEPS * events.images * profile["cycle_time"])


@pytest.mark.parametrize("command", [["evaluate", "--chips", "1", "--times", "1h"], ["report"]])
def test_other_commands_take_it(reader, command):
    assert main([command[0], str(reader), *command[1:]]) == 0


@pytest.mark.parametrize("mode", ["hwa", "in-situ", "write-verify"])
def test_it_is_trained_for_tiles_and_on_them(tmp_path, mode):
    words = ["--mode", mode, "--train-images", "8", "--test-images", "4"]
    run = train(tmp_path, *words, *(("--times", "1s") if mode == "hwa" else ("--device", "ecram")))
    layers = json.loads((run / "ledger.json").read_text())["training"]["layers"]
    assert len(layers) == 5


def names_and_places(text):
    """Return name, class, place, and vectors for each row of the table of layers."""
    table = text.partition("## Layers of")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("|")]
    return [(row[1], row[2], row[4], row[5]) for row in rows[2:]]


def test_every_layer_of_ones_own_is_in_the_table(tmp_path):
    warnings.filterwarnings("ignore", "LSTM with projections")  # torch's word about its own speed
    words = ["--model", f"{write_networks(tmp_path)}:recurrent", "--data", write_tokens(tmp_path, 60)]
    words += [
        "--devices",
        "pcm",
        "--mechanisms",
        "hwa",
        "--seeds",
        "0",
        *SMALL,
        "--jobs",
        "1",
        "--times",
        "1s",
    ]
    out = tmp_path / "study"
    assert main(["sharing-cost", *words, "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    text = (out / "sharing_cost.md").read_text()
    assert names_and_places(text) == [
        ("table", "Embedding", "digital", "-"),
        ("gru", "GRU", "tiles", "10"),
        ("encoder.self_attn", "MultiheadAttention", "tiles", "10"),
        ("encoder.linear1", "Linear", "tiles", "10"),
        ("encoder.linear2", "Linear", "tiles", "10"),
        ("encoder.norm1", "LayerNorm", "digital", "-"),
        ("encoder.norm2", "LayerNorm", "digital", "-"),
        ("lstm", "LSTM", "tiles", "10"),
        ("kept", "LSTM", "digital", "10"),
        ("out", "Linear", "tiles", "10"),
    ]
    assert "| lstm | LSTM | 2,320 | tiles | 10 |" in text
    (cost,) = {
        line.split("|")[6].strip().split(";")[0] for line in text.splitlines() if line.startswith("| gru |")
    }
    assert cost == "4"  # two matrices in each direction


@pytest.mark.slow
def test_the_built_in_network_has_one_scheme(tmp_path):
    (tmp_path / "my.txt").write_text(TEXT)
    words = ["--model", "char_lstm", "--data", str(tmp_path / "my.txt"), "--devices", "pcm", "--seeds", "0"]
    words += ["--mechanisms", "hwa", *SMALL, "--jobs", "1", "--times", "1s"]
    out = tmp_path / "study"
    assert main(["sharing-cost", *words, "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    left_out = json.loads((out / "sharing_cost.json").read_text())["left_out"]
    assert "its steps follow one another in time" in left_out["free"]
    assert names_and_places((out / "sharing_cost.md").read_text()) == [
        ("lstm", "LSTM", "tiles", str(STEPS)),
        ("next", "Linear", "tiles", str(STEPS)),
    ]
