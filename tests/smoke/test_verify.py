"""`xbar verify` computes its numbers, and says so when one does not hold."""

import json
from dataclasses import replace

import pytest

from experiments.cli import main
from experiments.commands import verify, verify_checks
from experiments.runs.options.config import TrainConfig


def test_the_quick_numbers_hold_and_are_written_down(tmp_path, capsys):
    assert main(["verify", "--quick", "--out", str(tmp_path / "v"), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    numbers = json.loads((tmp_path / "v" / "verify.json").read_text())["numbers"]
    assert f"{len(numbers)} of {len(numbers)} numbers hold" in printed
    assert printed.count("pass  ") == len(numbers) >= 6
    assert all(number["source"] and number["why"] for number in numbers)


@pytest.mark.parametrize("number", range(len(list(verify_checks.quick_checks()))))
def test_every_number_can_fail(number, tmp_path, capsys, monkeypatch):
    """Beyond its tolerance, on either side, it does not hold."""
    check = list(verify_checks.quick_checks())[number]
    for side in (-1, 1):
        wrong = check.expected + side * (1.01 * check.tolerance + 1e-30)
        monkeypatch.setattr(
            verify, "quick_checks", lambda wrong=wrong: [replace(check, measure=lambda: wrong)]
        )
        assert main(["verify", "--quick", "--out", str(tmp_path), "--threads", "1"]) == 3
        captured = capsys.readouterr()
        assert "FAIL  " in captured.out
        assert "1 of 1 differ" in captured.err


def test_the_demo_is_trained_once_and_read(tmp_path, capsys, monkeypatch):
    """All its numbers come from one run; a shorter one does not hold, which shows that they are compared."""
    monkeypatch.setattr(verify, "quick_checks", lambda: [])
    short = TrainConfig(train_images=64, test_images=30, epochs=1, chips=2)
    monkeypatch.setattr(verify_checks, "TrainConfig", lambda: short)
    assert main(["verify", "--out", str(tmp_path), "--threads", "1"]) == 3
    captured = capsys.readouterr()
    assert captured.out.count("FAIL  ") == 4
    assert len(list(tmp_path.glob("fcn_digits-*"))) == 1
