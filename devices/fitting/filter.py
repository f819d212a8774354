"""How likely a measured pulse response is, when pulses and readings are noisy.

The conductance of a device is a hidden state that each pulse moves by f(w), with a noise proportional to f. A reading
shows it with two noises: a white one, and a slow fluctuation, an autoregression of first order (a Lorentzian
spectrum, as one trap has it), whose differences grow with the lag in pulses and saturate. An extended Kalman filter
follows means and covariances along the measurement; the readings' deviations from its predictions are independent,
and give the likelihood (Särkkä, Bayesian Filtering and Smoothing, 2013, chapters 5 and 12). Where a pulse may reach a
bound, mean and variance are those of a normal number that is cut off there: the likelihood is smooth in the bound.
The derivatives in all coordinates are carried along, so that they cost little more than the filter itself.
"""

import math
from math import erf, exp, pi, sqrt
from typing import Final

import numpy as np
from numba import njit

from ..units import Dimensionless
from .compiled_steps import bounds, involved, mean_step, pulse
from .readings import Readings
from .step_law import SHORTEST, Code, StepLaw, Values

_ROUNDING: Final = 1e-4  # of the range: that of the file; the least noise of a reading
_SHORTEST: Final = float(SHORTEST)
_TELLING: Final = 60  # readings that tell where a series began; assumed
_PLACES: Final = 201
_UNKNOWN: Final = np.zeros(3)
_NONE: Final = np.empty((0, 0))
_TABLE: Final = int(Code.TABLE)
_SHIFT: Final = 1e-6  # of weight and its uncertainty, for the derivatives of a step


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
        readings.is_up, readings.begins, readings.before, readings.after, _UNKNOWN,
        deviation, variance, _NONE, _NONE,
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
            is_up, np.zeros(len(after), np.bool_), before, after, state, deviation, variance, _NONE, _NONE,
        )  # fmt: skip
        likely[number] = -(unlikelihood(deviation, variance) + seen**2 / (slow + reading)) / 2
    likely = np.exp(likely - likely.max())
    return places, likely / likely.sum()


def slopes(
    law: StepLaw, x: Values, readings: Readings, is_slow: bool
) -> tuple[Values, Values, Values, Values]:
    """Return `deviations`, and how both change with each coordinate: (coordinates, readings)."""
    n = len(readings.after)
    deviation, variance = np.empty(n), np.empty(n)
    of_deviation, of_variance = np.empty((len(x), n)), np.empty((len(x), n))
    _filter(
        int(law.code), law.nodes, x.copy(), is_slow,  # it is changed and changed back
        readings.is_up, readings.begins, readings.before, readings.after, _UNKNOWN,
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


@njit(cache=True)
def _filter(  # type: ignore[no-untyped-def]
    law, nodes, x, is_slow, is_up, begins, before, after, start, deviations, variances, of_deviations, of_variances
):  # fmt: skip
    """Fill in deviations and variances, and how they change with each coordinate, if there are rows for that.

    What is known is kept in `state`: mean and variance of the weight, its covariance with the slow fluctuation, and
    mean and variance of that; its derivatives in the rows of `slope`.
    """
    many = len(of_deviations)
    state, slope = np.zeros(5), np.zeros((5, many))
    state[0], state[1], state[3], state[4] = start[0], 1e-18, start[1], start[2]
    last = len(x) - 2 if is_slow else len(x)
    noise = exp(min(x[last - 2], 5.0)) if law != _TABLE else 0.0
    of_reading = exp(2.0 * min(x[last - 1], 2.0))
    of_slow, kept, of_kept = 0.0, 0.0, 0.0
    if is_slow:
        lasting = exp(min(max(x[last + 1], -9.0), 15.0))
        of_slow, kept = exp(2.0 * min(x[last], 2.0)), exp(-1.0 / (_SHORTEST + lasting))
        of_kept = kept * lasting / (_SHORTEST + lasting) ** 2
    of_step = np.zeros((3, many))
    for i in range(len(after)):
        if begins[i]:  # nothing was known but this reading
            read = of_reading + _ROUNDING**2
            state[0], state[1], state[2], state[3], state[4] = (
                before[i],
                read + of_slow,
                -of_slow,
                0.0,
                of_slow,
            )
            slope[:] = 0.0
            if many:
                slope[1, last - 1] = 2.0 * of_reading
                if is_slow:
                    slope[1, last], slope[2, last], slope[4, last] = (
                        2.0 * of_slow,
                        -2.0 * of_slow,
                        2.0 * of_slow,
                    )
        _push(law, nodes, x, noise, last - 2, is_up[i], state, slope, of_step)
        _stop(law, nodes, x, is_up[i], state, slope)
        if is_slow:
            _fade(of_slow, kept, of_kept, last, state, slope)
        deviation = after[i] - state[0] - state[3]
        shown = state[1] + 2.0 * state[2] + state[4]
        expected = max(shown, 0.0) + of_reading + _ROUNDING**2
        deviations[i], variances[i] = deviation, expected
        by_weight, by_slow = state[1] + state[2], state[2] + state[4]  # covariances with the reading
        trust, slow_trust = by_weight / expected, by_slow / expected
        for k in range(many):
            of_deviation = -slope[0, k] - slope[3, k]
            of_expected = slope[1, k] + 2.0 * slope[2, k] + slope[4, k] if shown > 0.0 else 0.0
            if k == last - 1:
                of_expected += 2.0 * of_reading
            of_deviations[k, i], of_variances[k, i] = of_deviation, of_expected
            of_trust = (slope[1, k] + slope[2, k] - trust * of_expected) / expected
            of_slow_trust = (slope[2, k] + slope[4, k] - slow_trust * of_expected) / expected
            slope[0, k] += of_trust * deviation + trust * of_deviation
            slope[3, k] += of_slow_trust * deviation + slow_trust * of_deviation
            own, other = slope[1, k] + slope[2, k], slope[2, k] + slope[4, k]
            slope[1, k] -= of_trust * by_weight + trust * own
            slope[2, k] -= of_trust * by_slow + trust * other
            slope[4, k] -= of_slow_trust * by_slow + slow_trust * other
        state[0] += trust * deviation
        state[3] += slow_trust * deviation
        state[1] = max(state[1] - trust * by_weight, 1e-18)
        state[2] -= trust * by_slow
        state[4] = max(state[4] - slow_trust * by_slow, 0.0)


@njit(cache=True)
def _push(law, nodes, x, noise, of_noise, is_up, state, slope, of_step):  # type: ignore[no-untyped-def]
    """Move what is known by one pulse, as if there were no bounds."""
    way = 1.0 if is_up else -1.0
    mean, variance = state[0], state[1]
    std = sqrt(variance)
    size, decline, step_variance = pulse(law, nodes, x, noise, is_up, mean, std)
    growth = 1.0 + way * decline
    if slope.shape[1]:
        by_mean = pulse(law, nodes, x, noise, is_up, mean + _SHIFT, std)
        by_std = pulse(law, nodes, x, noise, is_up, mean, std + _SHIFT)
        first, stride, count, noises = involved(law, nodes, mean, is_up)
        for number in range(2 * count if noises >= 0 else count):
            k = first + stride * number if number < count else noises + number - count
            own = x[k]
            x[k] = own + _SHIFT
            by_own = pulse(law, nodes, x, noise, is_up, mean, std)
            x[k] = own
            of_step[0, k] = (by_own[0] - size) / _SHIFT
            of_step[1, k] = (by_own[1] - decline) / _SHIFT
            of_step[2, k] = (by_own[2] - step_variance) / _SHIFT
        if law != _TABLE:
            of_step[2, of_noise] = 2.0 * step_variance
        for k in range(slope.shape[1]):
            by, of_std = slope[0, k] / _SHIFT, slope[1, k] / (2.0 * std) / _SHIFT
            of_size = (by_mean[0] - size) * by + (by_std[0] - size) * of_std + of_step[0, k]
            of_decline = (by_mean[1] - decline) * by + (by_std[1] - decline) * of_std + of_step[1, k]
            of_variance = (
                (by_mean[2] - step_variance) * by + (by_std[2] - step_variance) * of_std + of_step[2, k]
            )
            slope[0, k] += way * of_size
            slope[1, k] = (
                slope[1, k] * growth * growth + 2.0 * variance * growth * way * of_decline + of_variance
            )
            slope[2, k] = slope[2, k] * growth + state[2] * way * of_decline
            of_step[0, k] = of_step[1, k] = of_step[2, k] = 0.0
    state[0] += way * size
    state[1] = variance * growth * growth + step_variance
    state[2] *= growth


@njit(cache=True)
def _stop(law, nodes, x, is_up, state, slope):  # type: ignore[no-untyped-def]
    """Cut off what lies beyond the bound, of which a normal number keeps mean and variance."""
    high, low = bounds(law, nodes)
    if high < 0:
        return  # steps end by themselves
    way = 1.0 if is_up else -1.0
    edge = high if is_up else low
    std = sqrt(state[1])
    ahead = way * (x[edge] - state[0])
    if ahead > 6.0 * std:
        return
    if ahead < -8.0 * std:
        state[0], state[1], state[2] = x[edge], 1e-18, 0.0
        slope[:3] = 0.0
        if slope.shape[1]:
            slope[0, edge] = 1.0
        return
    a = ahead / std
    density, above = exp(-0.5 * a * a) / 2.5066282746310002, 0.5 * (1.0 - erf(a / 1.4142135623730951))
    over = std * (density - a * above)
    squared = state[1] * ((1.0 + a * a) * above - a * density)
    rest = state[1] * (1.0 - 2.0 * above) + squared - over * over
    for k in range(slope.shape[1]):
        of_ahead = way * ((1.0 if k == edge else 0.0) - slope[0, k])
        of_std = slope[1, k] / (2.0 * std)
        of_above = -density * (of_ahead - a * of_std) / std
        of_over = density * of_std - above * of_ahead
        of_squared = -2.0 * over * of_ahead + 2.0 * std * above * of_std
        slope[0, k] -= way * of_over
        slope[1, k] = (
            slope[1, k] * (1.0 - 2.0 * above) - 2.0 * state[1] * of_above + of_squared - 2.0 * over * of_over
        )
        slope[2, k] = slope[2, k] * (1.0 - above) - state[2] * of_above
    state[0] -= way * over
    state[1] = max(rest, 1e-18)
    state[2] *= 1.0 - above


@njit(cache=True, inline="always")
def _fade(of_slow, kept, of_kept, last, state, slope):  # type: ignore[no-untyped-def]
    """Let the slow fluctuation forget, and begin anew."""
    for k in range(slope.shape[1]):
        change = of_kept if k == last + 1 else 0.0
        slope[2, k] = slope[2, k] * kept + state[2] * change
        slope[3, k] = slope[3, k] * kept + state[3] * change
        slope[4, k] = slope[4, k] * kept * kept + 2.0 * kept * change * (state[4] - of_slow)
        if k == last:
            slope[4, k] += 2.0 * of_slow * (1.0 - kept * kept)
    state[2] *= kept
    state[3] *= kept
    state[4] = state[4] * kept * kept + of_slow * (1.0 - kept * kept)


@njit(cache=True)
def _sizes(law, nodes, x, w, is_up, sizes):  # type: ignore[no-untyped-def]
    for i in range(len(w)):
        sizes[i], _ = mean_step(law, nodes, x, w[i], 0.0, is_up)


@njit(cache=True)
def _curve(law, nodes, x, is_up, begins, before, weights):  # type: ignore[no-untyped-def]
    high, low = bounds(law, nodes)
    highest, lowest = (x[high], x[low]) if high >= 0 else (np.inf, -np.inf)
    w = 0.0
    for i in range(len(is_up)):
        w = min(max(before[i], lowest), highest) if begins[i] else w
        size, _ = mean_step(law, nodes, x, w, 0.0, is_up[i])
        w = min(max(w + size if is_up[i] else w - size, lowest), highest)
        weights[i] = w
