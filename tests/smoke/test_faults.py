"""`--faults` from end to end: what is printed, kept, shared and refused."""

import json
import re

import pytest

from experiments.cli import main

TINY = [
    *("--train-images", "64", "--test-images", "30", "--batch-size", "32", "--epochs", "1"),
    *("--chips", "2", "--threads", "1"),
]


def train(out, *more):
    assert main(["train", *TINY, "--out", str(out), *more]) == 0
    (folder,) = out.iterdir()
    return folder


def test_a_chip_learns_with_its_faults(tmp_path, capsys):
    wish = ("--mode", "in-situ", "--device", "ecram", "--faults", "dead_columns=0.1, stuck_low=.1")
    folder = train(tmp_path, *wish)
    assert re.search(
        r"^Faults: stuck_low=0.1,dead_columns=0.1; \d\d\.\d % of the devices work\.$",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    result = json.loads((folder / "result.json").read_text())
    assert result["faults"] == "stuck_low=0.1,dead_columns=0.1"
    (yield_,) = result["yields"]
    assert 0.5 < yield_ < 0.95
    # The same wish in other words is the same run, which is finished.
    assert main(["train", *TINY, "--out", str(tmp_path), *wish[:-1], "stuck_low=0.1,dead_columns=0.1"]) == 0
    assert list(tmp_path.iterdir()) == [folder]
    # Evaluated anew, the devices are read from the file, with their faults.
    assert main(["evaluate", str(folder), "--threads", "1"]) == 0
    (file,) = folder.glob("evaluation-*.json")
    assert json.loads(file.read_text())["yields"] == [yield_]


def test_what_chips_with_faults_would_make_of_a_network(tmp_path, capsys):
    folder = train(tmp_path, "--times", "1s,1d")
    whole = json.loads((folder / "result.json").read_text())
    assert (whole["faults"], whole["yields"]) == (None, [])
    assert "Faults" not in capsys.readouterr().out
    assert main(["evaluate", str(folder), "--faults", "stuck_high=0.2", "--threads", "1"]) == 0
    assert re.search(
        r"Faults: stuck_high=0.2; \d\d\.\d ± \d\.\d % of the devices work", capsys.readouterr().out
    )
    (file,) = folder.glob("evaluation-*.json")
    broken = json.loads(file.read_text())
    assert len(broken["yields"]) == 2
    assert broken["accuracy"] != whole["accuracy"]
    file.unlink()
    assert main(["evaluate", str(folder), "--faults", "none", "--threads", "1"]) == 0
    (file,) = folder.glob("evaluation-*.json")
    assert json.loads(file.read_text())["accuracy"] == whole["accuracy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--faults", "stuck=1"], "`faults` must name each of stuck_low"),
        (["--mode", "digital", "--device", "none", "--faults", "stuck_low=0.1"], "nothing is programmed"),
    ],
)
def test_what_is_refused(tmp_path, capfd, options, message):
    assert main(["train", *TINY, "--out", str(tmp_path), *options]) == 2
    assert message in capfd.readouterr().err


def test_devices_that_have_learned_cannot_fail_afterwards(tmp_path, capfd):
    folder = train(tmp_path, "--mode", "in-situ", "--device", "ecram")
    capfd.readouterr()
    assert main(["evaluate", str(folder), "--faults", "stuck_low=0.1"]) == 2
    assert "`faults` must be left out" in capfd.readouterr().err
