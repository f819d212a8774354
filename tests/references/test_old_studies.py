"""A study of an earlier version is priced again, or refused with a sentence that says what to do.

study_1fd498f.json holds the folder of a study that commit 1fd498f (23 November 2026) wrote, and those of its runs,
without weights and figures: `xbar sharing-cost --schemes time_multiplexed --tile-counts --devices pcm --mechanisms
in-situ hwa --seeds 0 --epochs 1 --train-images 60 --test-images 20 --batch-size 20 --chips 1` (two rows of a larger
grid).
"""

import json
from pathlib import Path

import pytest

from experiments.cli import main

KEPT = json.loads((Path(__file__).parent / "study_1fd498f.json").read_text())
# Of the energy of an image, what the rules of that version and of this one price alike.
ALIKE = ("dac", "adc", "cells", "update", "programming", "verify")


@pytest.fixture
def old_study(tmp_path):
    for name, files in KEPT["runs"].items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "sharing_cost.json").write_text(KEPT["study"])
    return tmp_path / "study"


def test_a_study_of_an_earlier_version_is_priced_again(old_study, tmp_path):
    out = tmp_path / "again"
    assert main(["sharing-cost", "--from", str(old_study), "--out", str(out)]) == 0
    before = json.loads(KEPT["study"])["rows"]
    after = json.loads((out / "sharing_cost.json").read_text())["rows"]
    assert [row["mechanism"] for row in after] == ["in-situ", "hwa"]
    for old, new in zip(before, after, strict=True):
        assert new["accuracy"] == old["accuracy"]
        for part in ALIKE:
            assert new["inference"]["energy_uJ"][part] == pytest.approx(old["inference"]["energy_uJ"][part])
        assert new["inference"]["sequential_s"] == pytest.approx(old["inference"]["sequential_s"])
        assert any(note.startswith("counted by an earlier version") for note in new["notes"])
        assert any(note.startswith("dense1: a kernel was emulated on 1 tile") for note in new["notes"])
    # Static power is that of the lines in use, and less than that of whole arrays.
    for old, new in zip(before, after, strict=True):
        assert 0 < new["inference"]["energy_uJ"]["static"] < old["inference"]["energy_uJ"]["static"]
    text = (out / "sharing_cost.md").read_text()
    assert "Repeat the run to have both counted better." in text


def test_a_run_of_an_earlier_version_is_priced_again(old_study, tmp_path):
    (run,) = (folder for folder in (tmp_path / "runs").iterdir() if "hwa" in folder.name)
    assert main(["sharing-cost", "--from", str(run), "--static-scope", "layer", "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "cost-hermes-pcm.json").read_text())
    (old,) = (row for row in json.loads(KEPT["study"])["rows"] if row["mechanism"] == "hwa")
    assert row["inference"]["energy_uJ"]["adc"] == pytest.approx(old["inference"]["energy_uJ"]["adc"])


def test_a_ledger_of_a_version_to_come_is_refused(old_study, tmp_path, capfd):
    """It says what to do; nothing is priced by half."""
    for file in (tmp_path / "runs").rglob("ledger.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "format": "crossbar-emulator ledger 9"}))
    assert main(["sharing-cost", "--from", str(old_study), "--out", str(tmp_path / "x")]) == 2
    error = capfd.readouterr().err
    assert error.startswith("xbar: `run` must hold a ledger.json of events, but ")
    assert "--force" in error
    assert not (tmp_path / "x").exists()
