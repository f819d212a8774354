"""How likely a measured pulse response is, when pulses and readings are noisy.

The conductance of a device is a hidden state that each pulse moves by f(w), with a noise proportional to f. A reading
shows it with two noises: a white one, and a slow fluctuation, an autoregression of first order (a Lorentzian
spectrum, as one trap has it), whose differences grow with the lag in pulses and saturate. An extended Kalman filter
follows means and covariances along the measurement; the readings' deviations from its predictions are independent,
and give the likelihood (Särkkä, Bayesian Filtering and Smoothing, 2013, chapters 5 and 12). Where a pulse may reach a
bound, mean and variance are those of a normal number that is cut off there: the likelihood is smooth in the bound.

Laws, with v = w for pulses up and v = -w for pulses down, S the step in the middle of the range:

    constant     S
    linear       S (1 - q v), until a bound (0: soft bounds, where it has none but where it vanishes)
    exponential  S (1 - q (exp(k v) - 1) / k)
    power        S (1 - c v) ** (q / c)
    polygon      nodes over the measured range; a table has a second one for the noise

All are smooth where a device is linear (k or c = 0), which aihwkit's own parameters are not.
"""

import math
from math import erf, exp, log, pi, sqrt
from typing import Final

import numpy as np
from numba import njit

from ..units import Dimensionless
from .readings import Readings
from .step_law import SHORTEST, Code, StepLaw, Values

_ROUNDING: Final = 1e-4  # of the range: that of the file; the least noise of a reading
_SHORTEST: Final = float(SHORTEST)
_TELLING: Final = 60  # readings that tell where a series began; assumed
_PLACES: Final = 201
_UNKNOWN: Final = np.zeros(3)
_CONSTANT, _LINEAR, _SOFT, _EXP, _POW, _POLYGON, _TABLE = (int(code) for code in Code)


def deviations(law: StepLaw, x: Values, readings: Readings, is_slow: bool) -> tuple[Values, Values]:
    """Return by how much each reading deviates from its prediction, and the variance that is expected of that.

    Args:
        law: The step law.
        x: Its coordinates, then the logarithms of the relative noise of a step (not of a table, which has its own),
            of a reading's noise and, if `is_slow`, of the slow fluctuation's and of its length beyond `SHORTEST`
            pulses.
        readings: What was measured.
        is_slow: Whether there is a slow fluctuation.
    """
    deviation, variance = np.empty(len(readings.after)), np.empty(len(readings.after))
    _filter(
        int(law.code), law.nodes, x, is_slow,
        readings.is_up, readings.begins, readings.before, readings.after, _UNKNOWN, deviation, variance,
    )  # fmt: skip
    return deviation, variance


def starts(law: StepLaw, x: Values, readings: Readings, is_slow: bool, first: int) -> tuple[Values, Values]:
    """Return where the device may have stood when a series began, and how likely each place is.

    Args:
        law: The step law.
        x: As of `deviations`.
        readings: What was measured.
        is_slow: Whether there is a slow fluctuation.
        first: The first pulse of the series; some readings after it tell more than the one before it.
    """
    slow = math.exp(2 * x[-2]) if is_slow else 0.0
    reading = math.exp(2 * x[-3 if is_slow else -1]) + _ROUNDING**2
    ends = np.flatnonzero(readings.begins[first + 1 : first + _TELLING])
    own = slice(first, first + 1 + int(ends[0]) if len(ends) else first + _TELLING)
    is_up, before, after = readings.is_up[own], readings.before[own], readings.after[own]
    places = before[0] + np.linspace(-5, 5, _PLACES) * math.sqrt(slow + reading)
    deviation, variance, likely = np.empty(len(after)), np.empty(len(after)), np.empty(_PLACES)
    for number, place in enumerate(places):
        seen = before[0] - place
        state = np.array([place, slow / (slow + reading) * seen, slow * reading / (slow + reading)])
        _filter(
            int(law.code), law.nodes, x, is_slow,
            is_up, np.zeros(len(after), np.bool_), before, after, state, deviation, variance,
        )  # fmt: skip
        likely[number] = -(unlikelihood(deviation, variance) + seen**2 / (slow + reading)) / 2
    likely = np.exp(likely - likely.max())
    return places, likely / likely.sum()


def slopes(
    law: StepLaw, x: Values, shift: Values, readings: Readings, is_slow: bool
) -> tuple[Values, Values, Values, Values]:
    """Return `deviations`, and how both change with each coordinate: (coordinates, readings)."""
    n = len(readings.after)
    deviation, variance = np.empty(n), np.empty(n)
    of_deviation, of_variance = np.empty((len(x), n)), np.empty((len(x), n))
    _slopes(
        int(law.code), law.nodes, x, shift, is_slow,
        readings.is_up, readings.begins, readings.before, readings.after,
        deviation, variance, of_deviation, of_variance,
    )  # fmt: skip
    return deviation, variance, of_deviation, of_variance


def unlikelihood(deviation: Values, variance: Values) -> Dimensionless:
    """Return -2 ln L of the readings."""
    return float(np.sum(deviation**2 / variance + np.log(2 * pi * variance)))


def mean_steps(law: StepLaw, x: Values, w: Values, is_up: bool) -> Values:
    """Return the size of the mean step at each weight, without regard to the bounds."""
    sizes = np.empty(len(w))
    _sizes(int(law.code), law.nodes, x, w, is_up, sizes)
    return sizes


def curve(law: StepLaw, x: Values, readings: Readings) -> Values:
    """Return the weight after each pulse, without noise; where a series begins, as measured."""
    weights = np.empty(len(readings.after))
    _curve(int(law.code), law.nodes, x, readings.is_up, readings.begins, readings.before, weights)
    return weights


@njit(cache=True, inline="always")
def _polygon(x, first, nodes, w):  # type: ignore[no-untyped-def]
    """Return height and slope of a polygon with equally distant nodes over the measured range."""
    spacing = 2.0 / (nodes - 1)
    place = (w + 1.0) / spacing
    left = min(max(int(place), 0), nodes - 2)
    rise = x[first + left + 1] - x[first + left]
    return x[first + left] + rise * (place - left), rise / spacing


@njit(cache=True, inline="always")
def _bounds(law, nodes, x):  # type: ignore[no-untyped-def]
    """Return the highest and the lowest weight."""
    if law == _CONSTANT:
        return x[2], x[3]
    if law == _LINEAR:
        return x[4], x[5]
    if law == _EXP:
        return x[6], x[7]
    if law == _POLYGON:
        return x[2 * nodes], x[2 * nodes + 1]
    if law == _TABLE:
        return x[4 * nodes], x[4 * nodes + 1]
    return np.inf, -np.inf  # steps end by themselves


@njit(cache=True)
def _step(law, nodes, x, w, is_up):  # type: ignore[no-untyped-def]
    """Return the size of the mean step, and its slope against the weight."""
    if law in (_POLYGON, _TABLE):
        return _polygon(x, 0 if is_up else nodes, nodes, w)
    way = 1.0 if is_up else -1.0
    v = way * w
    size = exp(min(x[0] if is_up else x[1], 3.0))
    if law == _CONSTANT:
        return size, 0.0
    q = x[2] if is_up else x[3]
    if law in (_LINEAR, _SOFT):
        return size * (1.0 - q * v), -way * size * q
    bend = x[4] if is_up else x[5]
    if law == _EXP:
        if abs(bend) < 1e-4:
            part, slope = v * (1.0 + 0.5 * bend * v), 1.0 + bend * v
        else:
            slope = exp(min(bend * v, 50.0))
            part = (slope - 1.0) / bend
        left = 1.0 - q * part
        if left <= 0.0:
            return 0.0, 0.0
        return size * left, -way * size * q * slope
    left = max(1.0 - bend * v, 1e-6)
    if abs(bend) < 1e-4:
        height = size * exp(min(-q * v * (1.0 + 0.5 * bend * v), 20.0))
    else:
        height = size * exp(min(q / bend * log(left), 20.0))
    return height, -way * min(max(q * height / left, -0.5), 0.5)


@njit(cache=True, inline="always")
def _pulse(law, nodes, x, noise, is_up, mean, variance, shared, highest, lowest):  # type: ignore[no-untyped-def]
    """Move mean and variance of the state, and its covariance with the slow fluctuation, by one pulse."""
    size, slope = _step(law, nodes, x, mean, is_up)
    way = 1.0 if is_up else -1.0
    growth = 1.0 + way * slope
    if law == _TABLE:
        height, _ = _polygon(x, 2 * nodes if is_up else 3 * nodes, nodes, mean)
        of_step = exp(2.0 * min(height, 2.0))
    else:
        of_step = noise * noise * (size * size + slope * slope * variance)
    mean = way * (mean + way * size)  # mirrored, so that the bound lies above
    variance = variance * growth * growth + of_step
    shared *= growth
    bound = highest if is_up else -lowest
    std = sqrt(variance)
    if mean + 6.0 * std > bound:
        a = (bound - mean) / max(std, 1e-12)
        if a < -8.0:
            return way * bound, 1e-18, 0.0
        density = exp(-0.5 * a * a) / 2.5066282746310002
        above = 0.5 * (1.0 - erf(a / 1.4142135623730951))
        over = std * (density - a * above)
        squared = variance * ((1.0 + a * a) * above - a * density)
        mean -= over
        variance = max(variance * (1.0 - 2.0 * above) + squared - over * over, 1e-18)
        shared *= 1.0 - above
    return way * mean, variance, shared


@njit(cache=True)
def _filter(law, nodes, x, is_slow, is_up, begins, before, after, state, deviations, variances):  # type: ignore[no-untyped-def]
    highest, lowest = _bounds(law, nodes, x)
    last = len(x) - 2 if is_slow else len(x)
    noise = exp(min(x[last - 2], 5.0)) if law != _TABLE else 0.0
    of_reading = exp(2.0 * min(x[last - 1], 2.0)) + _ROUNDING**2
    of_slow, kept = 0.0, 0.0
    if is_slow:
        of_slow, kept = (
            exp(2.0 * min(x[last], 2.0)),
            exp(-1.0 / (_SHORTEST + exp(min(max(x[last + 1], -9.0), 15.0)))),
        )
    mean, slow, slow_variance = state[0], state[1], state[2]
    variance, shared = 1e-18, 0.0
    for i in range(len(after)):
        if begins[i]:  # nothing was known but this reading
            mean, variance = before[i], of_reading + of_slow
            slow, shared, slow_variance = 0.0, -of_slow, of_slow
        mean, variance, shared = _pulse(
            law, nodes, x, noise, is_up[i], mean, variance, shared, highest, lowest
        )
        slow *= kept
        shared *= kept
        slow_variance = slow_variance * kept * kept + of_slow * (1.0 - kept * kept)
        deviation = after[i] - mean - slow
        expected = max(variance + 2.0 * shared + slow_variance, 0.0) + of_reading
        deviations[i], variances[i] = deviation, expected
        trust, slow_trust = (variance + shared) / expected, (shared + slow_variance) / expected
        mean += trust * deviation
        slow += slow_trust * deviation
        variance = max(variance - trust * trust * expected, 1e-18)
        shared -= trust * slow_trust * expected
        slow_variance = max(slow_variance - slow_trust * slow_trust * expected, 0.0)


@njit(cache=True)
def _slopes(  # type: ignore[no-untyped-def]
    law,
    nodes,
    x,
    shift,
    is_slow,
    is_up,
    begins,
    before,
    after,
    deviation,
    variance,
    of_deviation,
    of_variance,
):
    state = np.zeros(3)
    _filter(law, nodes, x, is_slow, is_up, begins, before, after, state, deviation, variance)
    for k in range(len(x)):
        there = x.copy()
        there[k] = x[k] + shift[k]
        _filter(
            law, nodes, there, is_slow, is_up, begins, before, after, state, of_deviation[k], of_variance[k]
        )
        for i in range(len(after)):
            of_deviation[k, i] = (of_deviation[k, i] - deviation[i]) / shift[k]
            of_variance[k, i] = (of_variance[k, i] - variance[i]) / shift[k]


@njit(cache=True)
def _sizes(law, nodes, x, w, is_up, sizes):  # type: ignore[no-untyped-def]
    for i in range(len(w)):
        sizes[i], _ = _step(law, nodes, x, w[i], is_up)


@njit(cache=True)
def _curve(law, nodes, x, is_up, begins, before, weights):  # type: ignore[no-untyped-def]
    highest, lowest = _bounds(law, nodes, x)
    w = 0.0
    for i in range(len(is_up)):
        w = min(max(before[i], lowest), highest) if begins[i] else w
        size, _ = _step(law, nodes, x, w, is_up[i])
        w = min(max(w + size if is_up[i] else w - size, lowest), highest)
        weights[i] = w
