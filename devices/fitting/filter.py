"""How likely a measured pulse response is, when pulses and readings are noisy.

The conductance of a device is a hidden state that each pulse moves by f(w), with a noise proportional to f, and each
reading shows with a noise of its own. An extended Kalman filter follows mean and variance of the state along the
measurement; the readings' deviations from its predictions are independent, and give the likelihood (Särkkä, Bayesian
Filtering and Smoothing, 2013, chapters 5 and 12). Where reading is perfect, each step stands for itself; where it is
poor, whole curves are fitted.
"""

from math import pi
from typing import Final

import numpy as np
from numba import njit

from ..units import Dimensionless
from .laws import StepLaw, Values
from .readings import Readings

_POINTS: Final = 1001  # of the table that stands for a law in compiled code
_BEYOND: Final = 1.3  # how far the table reaches, in weights; measurements lie within 1
_ROUNDING: Final = 1e-4  # of the range: that of the table and of the file; the least noise of a reading


def deviations(
    law: StepLaw,
    parameters: Values,
    noise: Dimensionless,
    read: Dimensionless,
    readings: Readings,
    gains: Values,
) -> tuple[Values, Values]:
    """Return by how much each reading deviates from its prediction, and the variance that is expected of that.

    Args:
        law: The step law.
        parameters: Its parameters.
        noise: Standard deviation of a step, relative to its mean.
        read: Standard deviation of a reading, in weights.
        readings: What was measured.
        gains: (devices,) factor by which the steps of each device differ from the mean one.
    """
    grid = np.linspace(-_BEYOND, _BEYOND, _POINTS)
    up, down = (law.change(parameters, grid, np.full(_POINTS, way)) for way in (True, False))
    deviation, variance = _filter(
        up, down, -_BEYOND, 2 * _BEYOND / (_POINTS - 1), readings.is_up, readings.begins, readings.before,
        readings.after, gains[readings.device], noise, read**2 + _ROUNDING**2,
    )  # fmt: skip
    return deviation, variance


def unlikelihood(deviation: Values, variance: Values) -> Dimensionless:
    """Return -2 ln L of the readings."""
    return float(np.sum(deviation**2 / variance + np.log(2 * pi * variance)))


@njit(cache=True)
def _filter(up, down, lowest, spacing, is_up, begins, before, after, gain, noise, of_reading):  # type: ignore[no-untyped-def]
    deviations, variances = np.empty(len(after)), np.empty(len(after))
    mean, variance = 0.0, 0.0
    for i in range(len(after)):
        if begins[i]:
            mean, variance = before[i], of_reading
        table = up if is_up[i] else down
        place = min(max((mean - lowest) / spacing, 0.0), len(table) - 1.0)
        left = min(int(place), len(table) - 2)
        slope = gain[i] * (table[left + 1] - table[left])
        step = gain[i] * table[left] + slope * (place - left)
        mean += step
        variance = variance * (1 + slope / spacing) ** 2 + (noise * step) ** 2
        deviations[i], variances[i] = after[i] - mean, variance + of_reading
        trust = variance / variances[i]
        mean += trust * deviations[i]
        variance *= 1 - trust
    return deviations, variances
