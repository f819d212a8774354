"""Long bursts: what many pulses do to one device, computed as a whole.

1. Response. Pulses up and down are mixed at random in time, so the weight flows along the mean of both steps,
   n_up f_up - n_down f_down, and diffuses with the cycle-to-cycle noise, n_up g_up**2 + n_down g_down**2. Linear laws
   flow in closed form; others by the midpoint rule, in as many parts as keep the change within `_PART` of the weight
   over which the step changes.
2. Bounds. A weight that stops at a bound at every pulse is a random walk reflected there. Its end is that of the free
   walk, less by what the free walk's maximum exceeds the bound; and the maximum of a Brownian bridge is known in
   closed form (Karatzas and Shreve, "Brownian Motion and Stochastic Calculus", section 2.8), less by 0.5826 steps
   because pulses come one at a time (Chernoff, Ann. Math. Stat. 36 (1965); Siegmund, Adv. Appl. Probab. 11 (1979)).
"""

from math import expm1, log, log1p, sqrt

import numpy as np
from numba import njit

from ..laws import Law, step
from ..random_numbers import normal, uniform

# Largest part of the weight's natural scale that one flow may cross. assumed: chosen so that the error of the mean,
# which falls with its square, stays below a hundredth of the scale (tests/statistics measures it).
_PART = 0.2
_MOST_PARTS = 256
_DISCRETE = 0.5826
# A walk's highest point exceeds `room` with the probability exp(-2 room (room - end) / variation): here, never.
_NEVER = 10.0

_EXP, _POW, _PIECEWISE = int(Law.EXP_STEP), int(Law.POW_STEP), int(Law.PIECEWISE_STEP)
_LINEAR, _LINEAR_ADD = int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


@njit(cache=True, inline="always")
def natural_slope(law, shape_u, shape_d, mx, mn, constants, sections):  # type: ignore[no-untyped-def]
    """Return one over the weight on which the step changes by its own size, of laws that are not affine."""
    width = mx - mn
    if width <= 0.0:
        return 0.0
    if law == _EXP:
        return 2.0 * abs(constants[5]) * max(abs(constants[3]), abs(constants[4])) / width
    if law == _POW:
        return max(shape_u, shape_d, 1.0) / width
    return max(sections, 0) / width


@njit(cache=True, inline="always")
def _log1p(x):  # type: ignore[no-untyped-def]
    """Return log(1 + x), of small numbers by its series, which is five times as fast."""
    if abs(x) < 0.01:
        return x * (1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)))
    return log1p(max(x, -0.999999))


@njit(cache=True, inline="always")
def _expm1(x):  # type: ignore[no-untyped-def]
    """Return exp(x) - 1, of small numbers by its series."""
    if abs(x) < 0.02:
        return x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x / 24.0)))
    return expm1(x)


@njit(cache=True, inline="always")
def _linear_flow(v, n_u, n_d, su, sd, slope_u, slope_d, mx, mn, std, is_additive):  # type: ignore[no-untyped-def]
    """Return the mean change by n_u pulses up and n_d down, mixed, the variance of noise, and both steps half-way.

    Every pulse multiplies the distance to the fixed point by 1 + slope, many by the product of these.
    """
    f_u, f_d = su + slope_u * v, sd + slope_d * v
    change, damping = n_u * f_u - n_d * f_d, 1.0
    if slope_u != 0.0 or slope_d != 0.0:
        slope = n_u * slope_u - n_d * slope_d
        growth = n_u * _log1p(slope_u) + n_d * _log1p(-slope_d)
        grown = _expm1(growth)
        if abs(slope) > 1e-9:
            change *= grown / slope
        if abs(growth) > 1e-9:
            damping = grown * (grown + 2.0) / (2.0 * growth)
        middle = min(max(v + 0.5 * change, mn), mx)
        f_u, f_d = su + slope_u * middle, sd + slope_d * middle
    g_u, g_d = (su, sd) if is_additive else (f_u, f_d)
    return change, std * std * (n_u * g_u * g_u + n_d * g_d * g_d) * damping, f_u, f_d


@njit(cache=True)
def _midpoint_flow(law, v, n_u, n_d, su, sd, shape_u, shape_d, mx, mn, constants, up, down):  # type: ignore[no-untyped-def]
    """Return what `_linear_flow` does, for any law, by the midpoint rule."""
    f_u, _ = step(law, v, True, su, shape_u, mx, mn, constants, up)
    f_d, _ = step(law, v, False, sd, shape_d, mx, mn, constants, down)
    middle = min(max(v + 0.5 * (n_u * f_u - n_d * f_d), mn), mx)
    f_u, g_u = step(law, middle, True, su, shape_u, mx, mn, constants, up)
    f_d, g_d = step(law, middle, False, sd, shape_d, mx, mn, constants, down)
    return n_u * f_u - n_d * f_d, n_u * g_u * g_u + n_d * g_d * g_d, f_u, f_d


@njit(cache=True, inline="always")
def _excess(state, end, variation, pulse_std, room):  # type: ignore[no-untyped-def]
    """Draw by how much the highest point of a walk from 0 to `end` exceeds `room`: the next state, and the excess."""
    if room * (room - end) > _NEVER * variation:
        return state, 0.0
    state, u = uniform(state)
    highest = 0.5 * (end + sqrt(end * end - 2.0 * variation * log(u)))
    return state, max(max(highest - _DISCRETE * pulse_std, end) - room, 0.0)


@njit(cache=True, inline="always")
def _wander(state, v, change, variance, f_u, f_d, n_u, n_d, mx, mn):  # type: ignore[no-untyped-def]
    """Add noise to a mean change, and reflect the walk at the bounds: the next state, and the weight."""
    if variance > 0.0:
        state, xi = normal(state)
        change += sqrt(variance) * xi
    # Pulses up and down come in random order: that, too, makes the weight wander on its way.
    pulses = n_u + n_d
    variation = variance + 4.0 * abs(f_u * f_d) * n_u * n_d / pulses
    pulse_std = sqrt(variation / pulses)
    state, above = _excess(state, change, variation, pulse_std, mx - v)
    state, below = _excess(state, -change, variation, pulse_std, v - mn)
    return state, min(max(v + change - (above if above > 0.0 else -below), mn), mx)


@njit(cache=True)
def many_pulses(  # type: ignore[no-untyped-def]
    state, law, v, n_u, n_d, su, sd, shape_u, shape_d, mx, mn, constants, up, down
):
    """Move one device by many pulses: the next state, and the weight."""
    v = min(max(v, mn), mx)  # the first pulse does it
    if law not in (_EXP, _POW, _PIECEWISE):
        slope_u = slope_d = 0.0
        if law in (_LINEAR, _LINEAR_ADD):
            slope_u, slope_d = shape_u, shape_d
        elif law in (_SOFT, _SOFT_ADD):
            slope_u = -su / mx if mx > 0.0 else 0.0
            slope_d = -sd / mn if mn < 0.0 else 0.0
        change, variance, f_u, f_d = _linear_flow(
            v, n_u, n_d, su, sd, slope_u, slope_d, mx, mn, constants[0], law in (_LINEAR_ADD, _SOFT_ADD)
        )
        return _wander(state, v, change, variance, f_u, f_d, n_u, n_d, mx, mn)
    slope = natural_slope(law, shape_u, shape_d, mx, mn, constants, len(up) - 1)
    scale = _PART / slope if slope > 0.0 else np.inf
    left = 1.0
    for part in range(_MOST_PARTS):
        share = left
        if scale < np.inf:
            f_u, g_u = step(law, v, True, su, shape_u, mx, mn, constants, up)
            f_d, g_d = step(law, v, False, sd, shape_d, mx, mn, constants, down)
            mean, variance = n_u * abs(f_u) + n_d * abs(f_d), n_u * g_u * g_u + n_d * g_d * g_d
            if share * mean > scale:
                share = scale / mean
            if share * variance > scale * scale:
                share = scale * scale / variance
            share = left if part == _MOST_PARTS - 1 else min(max(share, 1.0 / _MOST_PARTS), left)
        ups, downs = share * n_u, share * n_d
        change, variance, f_u, f_d = _midpoint_flow(
            law, v, ups, downs, su, sd, shape_u, shape_d, mx, mn, constants, up, down
        )
        state, v = _wander(state, v, change, variance, f_u, f_d, ups, downs, mx, mn)
        left -= share
        if left <= 1e-9:
            break
    return state, v
