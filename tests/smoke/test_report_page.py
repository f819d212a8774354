"""`xbar report` writes one page that needs nothing else, fits the screen, and holds the numbers of the result."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.cli import main
from experiments.runs.run_folder import RunFolder

TINY = [
    *("--train-images", "64", "--test-images", "30", "--batch-size", "32", "--epochs", "1"),
    *("--chips", "2", "--threads", "1"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    assert main(["train", *TINY, "--out", str(out), "--times", "1s,1y", "--faults", "stuck_low=0.1"]) == 0
    (folder,) = out.iterdir()
    assert main(["evaluate", str(folder), "--wires", "bit_line=5", "--threads", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def page(run) -> str:
    assert main(["report", str(run)]) == 0
    return (run / "report.html").read_text()


def test_it_needs_nothing_else(page):
    assert page.count("<script") == page.count("<script>\nfor (const table of") == 1  # sorts tables
    for word in ("http://", "https://", "<script ", "<link", "href=", "@import", "url("):
        assert word not in page
    assert len(re.findall("src=", page)) == page.count('src="data:image/png;base64,')
    assert page.count("data:image/png;base64,") == 4  # accuracy, learning, classes, the evaluation


def test_it_holds_what_came_out(run, page):
    result = json.loads((run / "result.json").read_text())
    for compensation in ("none", "global"):
        for place in range(2):
            entry = result["summary"][compensation][place]
            assert f"{100 * entry['mean']:.1f} ± {100 * entry['std']:.1f} %" in page
    assert f"{100 * result['digital_accuracy']:.1f} %" in page
    assert "stuck_low=0.1" in page
    assert "Wires in ohm: word_line=1,bit_line=5." in page
    assert "extrapolated" in page
    ledger = json.loads((run / "ledger.json").read_text())
    layers = ledger["inference"]["layers"].values()
    conversions = sum(
        phase.get("adc_conversions", 0) for layer in layers for phase in layer["counts"].values()
    )
    assert f"{conversions:,}" in page
    assert "What it costs with the profile hermes-pcm" in page
    assert "xbar train --train-images 64" in page
    assert "&#34;aihwkit&#34;: &#34;1.1.0&#34;" in page


@pytest.mark.parametrize("width", [360, 1280])  # a telephone, a laptop
def test_it_fits_the_screen(width, page, in_chromium):
    needed, shown, pictures = in_chromium(page, width)
    assert needed <= shown == width
    assert pictures == 4


def test_classes_are_those_of_the_accuracies(run, page):
    """What lies on the diagonals is what was right, in digital and of all chips at the last time."""
    result = json.loads((run / "result.json").read_text())
    digital, aged = (np.array(result["confusion"][state]) for state in ("digital", "aged"))
    assert np.trace(digital) == round(30 * result["digital_accuracy"])
    assert digital.sum() == 30
    assert np.trace(aged) == round(30 * sum(chip[-1] for chip in result["accuracy"]["global"]))
    assert (aged.sum(axis=1) == 2 * digital.sum(axis=1)).all()  # two chips saw the same images
    with (run / "confusion.csv").open() as file:
        lines = list(csv.DictReader(file))
    right = sum(int(line["images"]) for line in lines if line["class"] == line["answer"])
    assert right == np.trace(digital) + np.trace(aged)
    assert "Class by class" in page
    assert "2 chips after 1 year" in page


def test_learning_on_devices_has_its_figures_and_its_bill(tmp_path):
    wish = ("--mode", "in-situ", "--device", "ecram", "--record-every", "1")
    assert main(["train", *TINY, *wish, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert main(["report", str(folder)]) == 0
    text = (folder / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 4  # learning, classes, dynamics, pulses
    assert "rpu-ecram" in text
    assert "as trained" in text


def test_a_damaged_ledger_gets_a_sentence(run, capsys):
    whole = (run / "ledger.json").read_text()
    try:
        (run / "ledger.json").write_text(whole.replace("layers", "levels"))
        assert main(["report", str(run)]) == 2
        assert "`run` must hold an undamaged ledger.json" in capsys.readouterr().err
    finally:
        (run / "ledger.json").write_text(whole)


def test_neither_a_run_nor_a_study_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "`run` must be a run folder, but" in capsys.readouterr().err


def test_a_run_can_be_read_while_it_trains(tmp_path, monkeypatch, capsys):
    """Its folder is locked for writing only."""
    answers, write_log = [], RunFolder.write_log

    def write_and_look(folder, history):
        write_log(folder, history)
        capsys.readouterr()
        with pytest.raises(ValueError, match="another process is at work"), RunFolder(folder.path).lock():
            pass
        assert main(["report", str(folder.path), "--json"]) == 0
        page = (folder.path / "report.html").read_text()
        answers.append((json.loads(capsys.readouterr().out), page))
        assert main(["runs", str(tmp_path)]) == 0
        assert f"not finished: {len(history)} of 2 epochs" in capsys.readouterr().out

    monkeypatch.setattr(RunFolder, "write_log", write_and_look)
    two_epochs = [*TINY[:6], "--epochs", "2", "--chips", "1", "--threads", "1", "--times", "1s"]
    assert main(["train", *two_epochs, "--out", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert [(answer["epochs_done"], answer["is_in_use"]) for answer, _ in answers] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    _, page = answers[1]
    assert "Not finished: 1 of 2 epochs, the others take about" in page
    assert "A process is at work on it now" in page
    assert page.count("data:image/png;base64,") == 1  # the curve so far
    monkeypatch.undo()
    assert main(["report", str(run)]) == 0  # nothing that was written meanwhile is taken for damage
    assert "Not finished" not in (run / "report.html").read_text()
