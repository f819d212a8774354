"""How far a pulse moves a device on average, compiled: the step laws in the coordinates of a fit.

With v = w for pulses up and v = -w for pulses down, S the step in the middle of the range:

    constant     S
    linear       S (1 - q v), until a bound (0: soft bounds, where it has none but where it vanishes)
    exponential  S (1 - q (exp(k v) - 1) / k), until it vanishes
    power        S (1 - c v) ** (q / c)
    polygon      nodes over the measured range; a table has a second one for the noise

All are smooth where a device is linear (k or c = 0), which aihwkit's own parameters are not. Where a law has a kink,
step and slope are those that a device of normal weight has on average (statistical linearisation: Särkkä, Bayesian
Filtering and Smoothing, 2013, chapter 5): at the weight itself they would jump, and with them the likelihood.
"""

from math import erf, exp, log
from typing import Final

from numba import njit

from .step_law import Code

_CONSTANT, _LINEAR, _SOFT, _EXP, _POW, _POLYGON, _TABLE = (int(code) for code in Code)
_FAR: Final = 8.0  # standard deviations beyond which nothing is


@njit(cache=True, inline="always")
def beyond(distance, std):  # type: ignore[no-untyped-def]
    """Return by how much a normal number lies beyond a place on average, and how often; the place is so far ahead."""
    if distance > _FAR * std:
        return 0.0, 0.0
    a = distance / max(std, 1e-300)
    often = 0.5 * (1.0 - erf(a / 1.4142135623730951))
    return std * exp(-0.5 * a * a) / 2.5066282746310002 - distance * often, often


@njit(cache=True, inline="always")
def _polygon(x, first, nodes, w, std):  # type: ignore[no-untyped-def]
    """Return mean height and mean slope of a polygon with equally distant nodes over the measured range."""
    spacing = 2.0 / (nodes - 1)
    place, spread = (w + 1.0) / spacing, std / spacing
    left = min(max(int(place), 0), nodes - 2)
    rise = x[first + left + 1] - x[first + left]
    height, slope = x[first + left] + rise * (place - left), rise
    if left < nodes - 2:
        over, often = beyond(left + 1 - place, spread)
        bend = x[first + left + 2] - x[first + left + 1] - rise
        height += bend * over
        slope += bend * often
    if left > 0:
        under, often = beyond(place - left, spread)
        bend = x[first + left] - x[first + left - 1] - rise
        height -= bend * under
        slope += bend * often
    return height, slope / spacing


@njit(cache=True, inline="always")
def bounds(law, nodes):  # type: ignore[no-untyped-def]
    """Return which coordinates are the highest and the lowest weight; -1: steps end by themselves."""
    if law == _CONSTANT:
        return 2, 3
    if law == _LINEAR:
        return 4, 5
    if law == _EXP:
        return 6, 7
    if law == _POLYGON:
        return 2 * nodes, 2 * nodes + 1
    if law == _TABLE:
        return 4 * nodes, 4 * nodes + 1
    return -1, -1


@njit(cache=True, inline="always")
def involved(law, nodes, w, is_up):  # type: ignore[no-untyped-def]
    """Return which coordinates a step depends on: the first of them, the distance to the next, how many, and from
    where on a table has as many for the noise (-1: no table)."""
    way = 0 if is_up else 1
    if law in (_POLYGON, _TABLE):
        left = min(max(int((w + 1.0) / 2.0 * (nodes - 1)) - 1, 0), nodes - 4)
        return way * nodes + left, 1, 4, (2 + way) * nodes + left if law == _TABLE else -1
    return way, 2, 1 if law == _CONSTANT else 2 if law in (_LINEAR, _SOFT) else 3, -1


@njit(cache=True)
def mean_step(law, nodes, x, w, std, is_up):  # type: ignore[no-untyped-def]
    """Return the size of the mean step of a device whose weight is known to `std`, and its mean slope."""
    if law in (_POLYGON, _TABLE):
        return _polygon(x, 0 if is_up else nodes, nodes, w, std)
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
        left, doubt = 1.0 - q * part, abs(q * slope) * std
        under, often = beyond(left, doubt)  # there steps have ended
        return size * (left + under), -way * size * q * slope * (1.0 - often)
    left = max(1.0 - bend * v, 1e-6)
    if abs(bend) < 1e-4:
        height = size * exp(min(-q * v * (1.0 + 0.5 * bend * v), 20.0))
    else:
        height = size * exp(min(q / bend * log(left), 20.0))
    return height, -way * min(max(q * height / left, -0.5), 0.5)


@njit(cache=True, inline="always")
def pulse(law, nodes, x, noise, is_up, mean, std):  # type: ignore[no-untyped-def]
    """Return step and slope of a device whose weight is known to `std`, and the variance of the step."""
    size, slope = mean_step(law, nodes, x, mean, std, is_up)
    if law == _TABLE:
        height, _ = _polygon(x, 2 * nodes if is_up else 3 * nodes, nodes, mean, std)
        return size, slope, exp(2.0 * min(height, 2.0))
    return size, slope, noise * noise * (size * size + slope * slope * std * std)
