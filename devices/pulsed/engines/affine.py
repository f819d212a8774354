"""Many pulses on devices whose step is an affine function of the weight; see `aggregated`."""

import numpy as np
from numba import njit, uint64

from ..random_numbers import sums_of_bits
from .lanes import (
    CHANGE,
    DOWN,
    HIGH,
    LOW,
    MAX,
    MIN,
    MOVED,
    NOISE,
    SLOPE_DOWN,
    SLOPE_UP,
    SPREAD,
    START,
    STEEPNESS,
    TOTAL,
    UP,
    VARIANCE,
    N,
    V,
    part,
)

# A run's noise is drawn once where the mean path stays this many times its spread away from the bounds: the noise
# crosses them once in 2,000 runs that go that near.
_AWAY = np.float32(3.5)
_BEYOND = np.float32(1e30)
_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_THIRD, _QUARTER, _TWO, _THREE = np.float32(1.0 / 3.0), np.float32(0.25), np.float32(2.0), np.float32(3.0)


@njit(cache=True, error_model="numpy")
def begin_run(s, lanes):  # type: ignore[no-untyped-def]
    """Remember where the paths begin."""
    for k in range(lanes):
        j = uint64(k)
        s[START + j] = s[HIGH + j] = s[LOW + j] = s[V + j]
        s[VARIANCE + j] = _ZERO


@njit(cache=True, error_model="numpy")
def follow_constant(s, lanes):  # type: ignore[no-untyped-def]
    """Follow mean and variance of constant steps through the pulses of one vector."""
    for k in range(lanes):
        j = uint64(k)
        n, up, down = s[N + j], s[UP + j], s[DOWN + j]
        step = up if n > _ZERO else down
        m = abs(n)
        v = s[V + j] + m * step
        s[V + j] = v
        s[VARIANCE + j] += m * step * step
        # Of a choice between a number and what stands there the compiler makes a branch.
        higher, lower = v - s[HIGH + j], s[LOW + j] - v
        s[HIGH + j] += higher if higher > _ZERO else _ZERO
        s[LOW + j] -= lower if lower > _ZERO else _ZERO
        s[TOTAL + j] += m


@njit(cache=True, error_model="numpy")
def follow_affine(s, lanes, std, is_additive):  # type: ignore[no-untyped-def]
    """Follow mean and variance of affine steps through the pulses of one vector: both are known in closed form.

    Every pulse multiplies what noise has done before by 1 + s, and the noise of multiplicative steps by as much; the
    variance is in units of one pulse's.
    """
    own = _ZERO if is_additive else np.float32(std * std)
    weight_of_v = _ZERO if is_additive else _ONE
    for k in range(lanes):
        j = uint64(k)
        n, v = s[N + j], s[V + j]
        up, down, slope_u, slope_d = s[UP + j], s[DOWN + j], s[SLOPE_UP + j], s[SLOPE_DOWN + j]
        step, slope = up if n > _ZERO else down, slope_u if n > _ZERO else slope_d
        m = abs(n)
        first = step + slope * v
        # ((1 + s)**m - 1) / s, as the binomial series.
        by_one = (m - _ONE) * slope
        growth = by_one * (_ONE + _HALF * (m - _TWO) * slope)
        tail = _ONE + _THIRD * (m - _TWO) * slope * (_ONE + _QUARTER * (m - _THREE) * slope)
        total = m + _HALF * m * by_one * tail
        factor = _ONE + slope * total
        # Of the noise of single pulses: (1 + s)**(m - 1), or for additive noise half the exponent.
        noise = (step + weight_of_v * slope * v) * (_ONE + (_HALF + _HALF * weight_of_v) * growth)
        s[VARIANCE + j] = s[VARIANCE + j] * (factor * factor + m * slope * slope * own) + m * noise * noise
        v = v + first * total
        s[V + j] = v
        # Of a choice between a number and what stands there the compiler makes a branch.
        higher, lower = v - s[HIGH + j], s[LOW + j] - v
        s[HIGH + j] += higher if higher > _ZERO else _ZERO
        s[LOW + j] -= lower if lower > _ZERO else _ZERO
        s[TOTAL + j] += m


@njit(cache=True, error_model="numpy")
def end_run(s, lanes, key, std, listed):  # type: ignore[no-untyped-def]
    """Draw the noise of the run, and list the devices with steep steps or paths near a bound: their number."""
    sums_of_bits(part(s, NOISE, lanes), key)
    for k in range(lanes):
        j = uint64(k)
        spread = np.float32(std) * np.sqrt(s[VARIANCE + j])
        s[V + j] += spread * s[NOISE + j]
        far = _AWAY * spread
        above, below = s[MAX + j] - s[HIGH + j], s[LOW + j] - s[MIN + j]
        s[CHANGE + j] = (above if above < below else below) - far - _BEYOND * s[STEEPNESS + j]
    number = 0
    for k in range(lanes):
        j = uint64(k)
        if not s[CHANGE + j] >= _ZERO:  # a number that is none, too
            if s[TOTAL + j] > _ZERO:
                listed[number] = k
                number += 1
            else:
                s[V + j] = s[START + j]
    return number


@njit(cache=True, error_model="numpy")
def step_affine(s, lanes, std, is_additive):  # type: ignore[no-untyped-def]
    """Write where affine steps lead in the mean, with which spread, and by which part of itself the step changes."""
    weight_of_v = _ZERO if is_additive else _ONE
    for k in range(lanes):
        j = uint64(k)
        n, v = s[N + j], s[V + j]
        up, down, slope_u, slope_d = s[UP + j], s[DOWN + j], s[SLOPE_UP + j], s[SLOPE_DOWN + j]
        step, slope = up if n > _ZERO else down, slope_u if n > _ZERO else slope_d
        m = abs(n)
        first = step + slope * v
        tail = _ONE + _THIRD * (m - _TWO) * slope * (_ONE + _QUARTER * (m - _THREE) * slope)
        total = m * (_ONE + _HALF * (m - _ONE) * slope * tail)
        growth = (m - _ONE) * slope * (_ONE + _HALF * (m - _TWO) * slope)
        noise = weight_of_v * first * (_ONE + growth) + (_ONE - weight_of_v) * step * (_ONE + _HALF * growth)
        s[MOVED + j] = v + first * total
        s[SPREAD + j] = np.float32(std) * np.sqrt(m) * abs(noise)
        s[CHANGE + j] = abs(m * slope)
