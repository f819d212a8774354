"""Copies of a kernel under the same pulses: as far apart on aihwkit's tiles as on ours, and as the formula says.

A standard deviation over 16 copies, rms over the 144 devices of a kernel, has 2,160 degrees of freedom: 1.5 %
sampling error where devices are normal. Weights at bounds and noise that is added up make tails heavier: a kurtosis
of 6 is assumed, sqrt(5 / 2) times that, and Z = 4.5. The formula takes noise for small and starts of many devices for
all: 10 % are allowed beside it.
"""

import math

import pytest

from devices.pulsed.divergence import relaxation, variance_of_copies
from devices.pulsed.symmetry import symmetry_points
from experiments.bench.copies_under_pulses import CopiesUnderPulses

Z = 4.5
SAMPLING = math.sqrt(5 / 2) / math.sqrt(2 * 15 * 144)
MARKS = (1, 10, 100, 300)


@pytest.mark.parametrize("device", ["ecram", "capacitor", "idealized", "reram-sb", "pcm"])
def test_copies_drift_apart_as_on_aihwkits_tiles(device: str) -> None:
    copies = CopiesUnderPulses(device)
    ours, theirs = copies.measured(MARKS), copies.measured(MARKS, on_aihwkit=True)
    expected = copies.expected(MARKS)
    for mine, real, formula in zip(ours, theirs, expected, strict=True):
        assert math.isclose(mine, real, rel_tol=Z * math.sqrt(2) * SAMPLING)
        if math.isfinite(formula):
            assert math.isclose(mine, formula, rel_tol=Z * SAMPLING + 0.1)
    assert math.isfinite(expected[1])


def test_the_formula_is_the_closed_one_for_linear_steps() -> None:
    (array,) = CopiesUnderPulses("ecram", copies=64).cells.device_arrays().values()
    share, n = relaxation(array), 1000
    assert share == pytest.approx(0.002 * (0.1153 / 1.1724 + 0.5085 / 0.8276) / 2, rel=0.02)
    step = float(array.scale_up.mean() + array.scale_down.mean()) / 2
    own = (float((array.scale_up + array.scale_down).std()) / 2 / step) ** 2 + 0.3**2
    closed = float(symmetry_points(array).var()) * (1 - math.exp(-share * n)) ** 2
    closed += step**2 * own * (1 - math.exp(-2 * share * n)) / (2 * share)
    assert variance_of_copies(array, [n])[0] == pytest.approx(closed, rel=0.05)


def test_copies_of_devices_that_send_no_pulses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must learn by plain pulses.*mixed-precision-reram-sb"):
        CopiesUnderPulses("mixed-precision-reram-sb")
