"""Many pulses on devices whose step is a curved function of the weight, at once; see `aggregated`."""

import numpy as np
from numba import njit, uint64

from ..laws import curved_steps
from .bursts import natural_slope
from .lanes import (
    CHANGE,
    DOWN,
    F_0,
    MAX,
    MIN,
    MOVED,
    SCALE,
    SHAPE,
    SHAPE_DOWN,
    SHAPE_UP,
    SPREAD,
    STEEPNESS,
    UP,
    F,
    N,
    V,
    part,
)

_ZERO, _ONE, _HALF, _TWO = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(2.0)


@njit(cache=True, error_model="numpy")
def prepare_curved(s, lanes, law, constants, sections):  # type: ignore[no-untyped-def]
    """Write one over the weight on which curved steps change by their own size."""
    for k in range(lanes):
        j = uint64(k)
        s[STEEPNESS + j] = natural_slope(
            law, s[SHAPE_UP + j], s[SHAPE_DOWN + j], s[MAX + j], s[MIN + j], constants, sections
        )


@njit(cache=True, error_model="numpy")
def step_curved(s, lanes, law, constants, nodes_up, nodes_down):  # type: ignore[no-untyped-def]
    """Write where curved steps lead, with which spread, and by which part of itself the step changes."""
    for k in range(lanes):
        j = uint64(k)
        is_up = s[N + j] > _ZERO
        up, down, shape_up, shape_down = s[UP + j], s[DOWN + j], s[SHAPE_UP + j], s[SHAPE_DOWN + j]
        s[SCALE + j] = up if is_up else down
        s[SHAPE + j] = shape_up if is_up else shape_down
    n, scale, shape = part(s, N, lanes), part(s, SCALE, lanes), part(s, SHAPE, lanes)
    mx, mn = part(s, MAX, lanes), part(s, MIN, lanes)
    f_0, half_way, f = part(s, F_0, lanes), part(s, MOVED, lanes), part(s, F, lanes)
    curved_steps(f_0, law, part(s, V, lanes), n, scale, shape, mx, mn, constants, nodes_up, nodes_down)
    for k in range(lanes):
        j = uint64(k)
        pulses, first = max(abs(s[N + j]) - _ONE, _ZERO), s[F_0 + j]
        way = _HALF * pulses * (first if s[N + j] > _ZERO else -first)
        s[MOVED + j] = min(max(s[V + j] + way, s[MIN + j]), s[MAX + j])
    curved_steps(f, law, half_way, n, scale, shape, mx, mn, constants, nodes_up, nodes_down)
    std, std_add, std_slope = constants[0], constants[7], constants[8]
    for k in range(lanes):
        j = uint64(k)
        first, middle, pulses = s[F_0 + j], s[F + j], s[N + j]
        more = std_add + std_slope * abs(s[MOVED + j]) if s[MAX + j] > s[MIN + j] else _ZERO
        noise = std * (abs(middle) + more) * np.sqrt(abs(pulses))
        # Where steps shrink, so does the noise of earlier ones.
        left = middle / first if first > _ZERO else _ONE
        on_the_way = _TWO * abs(middle - first) / max(abs(first), np.float32(1e-12))
        s[CHANGE + j] = max(on_the_way, noise * s[STEEPNESS + j])
        s[SPREAD + j] = noise * min(left, _TWO)
        s[MOVED + j] = s[V + j] + pulses * middle
