"""`xbar patterns`: a tiny study from end to end; where nothing is absent, patterns are not trained twice."""

import json

import pytest

from experiments.cli import main


def test_patterns(tmp_path):
    words = ["patterns", "--modes", "digital", "--shares", "0", "0.5", "--seeds", "0", "--epochs", "1"]
    words += ["--train-images", "64", "--test-images", "30", "--jobs", "1"]
    assert main([*words, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    content = json.loads((tmp_path / "out" / "patterns.json").read_text())
    found = [(row["share"], row["scheme"]) for row in content["rows"]]
    assert found == [
        (0.0, "weights and patterns"),
        (0.0, "patterns alone"),
        (0.5, "weights and patterns"),
        (0.5, "weights alone"),
        (0.5, "patterns alone"),
        (0.5, "neither"),
    ]
    text = (tmp_path / "out" / "patterns.md").read_text()
    (line,) = (
        line for line in text.splitlines() if line.startswith("| digital | 0 % | ") and "+" not in line
    )
    _, _, _, both, weights, patterns, neither, _ = (cell.strip() for cell in line.split("|"))
    assert (both, patterns) == (weights, neither)
    assert "own patterns" in text
    assert (tmp_path / "out" / "patterns.png").exists()


def test_shares_beyond_all_are_refused(capsys):
    assert main(["patterns", "--shares", "1"]) == 2
    assert "`shares` must lie in [0, 1), but one is 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["patterns", "--modes", "nowhere"])
