"""`xbar report RUN RUN`: what differs, accuracies, costs; words explained and tables sorted on pages."""

import json

import pytest

from crossbar import load_profile, price
from experiments.cli import main
from experiments.drawing.glossary import WORDS, meaning_of, words_in
from experiments.runs.ledger_file import RunEvents

TINY = ["--train-images", "64", "--test-images", "30", "--epochs", "1", "--chips", "2", "--times", "1s,1d"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for words in ([], ["--model", "cnn_digits"], ["--mode", "digital", "--device", "none"]):
        kept = TINY if "none" not in words else TINY[:-4]
        assert main(["train", *kept, *words, "--out", str(folder)]) == 0
    return {path.name.split("-")[0] + "-" + path.name.split("-")[1]: path for path in folder.iterdir()}


def test_runs_beside_each_other(runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XBAR_RUNS", str(tmp_path))
    chosen = [runs["fcn_digits-hwa"], runs["cnn_digits-hwa"], runs["fcn_digits-digital"]]
    assert main(["report", *map(str, chosen)]) == 0
    printed = capsys.readouterr().out
    (out,) = tmp_path.iterdir()
    numbers = json.loads((out / "comparison.json").read_text())
    for row, path in zip(numbers["rows"], chosen, strict=True):
        result = json.loads((path / "result.json").read_text())
        assert row["digital"] == result["digital_accuracy"]
        for entry in result["summary"].get("global", []):
            word = {1.0: "after 1 second", 86400.0: "after 1 day"}[entry["time"]]
            assert row[word] == pytest.approx(entry["mean"])
    inference = RunEvents.read(chosen[1] / "ledger.json").evaluation.inference
    bill = price(inference, load_profile("hermes-pcm"))
    assert numbers["rows"][1]["energy of an image"] == pytest.approx(bill.with_digital / 30)
    assert "| model | fcn_digits | cnn_digits | fcn_digits |" in printed
    assert "| seed |" not in printed  # the same everywhere
    assert "| C | no device | - | - | - |" in printed
    page = (out / "comparison.html").read_text()
    assert f'title="area: {WORDS["area"]}"' in page
    assert "<summary>Words</summary>" in page
    assert main(["report", str(out)]) == 0  # the page anew


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([0, 0], "must name each run once"),
        ([0, "nowhere"], "there is no folder nowhere"),
        ([], "must name a run"),
    ],
)
def test_refusals(words, sentence, runs, capsys):
    paths = list(runs.values())
    assert main(["report", *(str(paths[word]) if isinstance(word, int) else word for word in words)]) == 2
    assert sentence in capsys.readouterr().err


def test_words():
    assert meaning_of("energy, µJ: always on") == f"always on: {WORDS['always on']}"
    assert meaning_of("areal") is None
    assert meaning_of("MVMs of 2 chips") == f"product: {WORDS['product']}"
    assert meaning_of("xbar train") is None  # a command, no train of pulses
    assert words_in(["Free kernels, and a bit line"]) == [
        f"{word}: {WORDS[word]}." for word in ("bit line", "free", "kernel")
    ]
