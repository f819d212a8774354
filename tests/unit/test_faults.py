"""How faults are written down, and what is refused."""

import pytest

from devices import Faults
from experiments.runs.options.fault_options import canonical


def test_text_there_and_back() -> None:
    faults = Faults(stuck_low=0.01, stuck_high=1e-3, stuck_random=1 / 3, dead_rows=0.002, dead_columns=1e-9)
    again = Faults.parse(str(faults))
    assert str(again) == str(faults)
    assert again.dead_columns == 1e-9
    assert str(Faults()) == "none"
    assert Faults.parse("none") == Faults()


def test_equal_wishes_are_written_alike() -> None:
    assert canonical("dead_rows=2e-3, stuck_low=.01") == canonical(
        "stuck_low=0.010,dead_rows=0.002,stuck_high=0"
    )
    assert canonical("none") is canonical("stuck_low=0") is canonical(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stuck=0.1", r"must name each of stuck_low, .* once at most, but has 'stuck=0.1'"),
        ("stuck_low=0.1,stuck_low=0.2", "once at most, but has 'stuck_low=0.2'"),
        ("", "once at most, but has ''"),
        ("stuck_low=0.1,", "once at most, but has ''"),
        ("stuck_low=1 %", "must give a number for stuck_low, but has '1 %'"),
        ("stuck_low", "must give a number for stuck_low, but has ''"),
        ("dead_rows=1.5", r"`dead_rows` must lie in \[0, 1\], but is 1.5"),
        ("dead_rows=-0.1", r"`dead_rows` must lie in \[0, 1\], but is -0.1"),
        ("dead_rows=nan", r"`dead_rows` must lie in \[0, 1\], but is nan"),
        ("stuck_low=0.6,stuck_high=0.6", "must add up to 1 at most, but to 1.2"),
    ],
)
def test_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Faults.parse(text)
