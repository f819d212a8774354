"""One device and its pulses, one after the other: what every engine falls back on."""

import numpy as np
from numba import njit

from ..laws import step
from ..random_numbers import normal


@njit(cache=True, inline="always")
def _move(  # type: ignore[no-untyped-def]
    state, pulses, law, w, ref, is_up, scale, shape, mx, mn, constants, nodes, has_noise
):
    """Move one device by pulses of one direction, rounded to float32 where aihwkit does: thousands of them add up."""
    xi = 0.0
    for _ in range(pulses):
        if has_noise:
            state, xi = normal(state)
        v = np.float32(w + ref)
        f, g = step(law, v, is_up, scale, shape, mx, mn, constants, nodes)
        change = f + g * xi
        v = np.float32(v + change if is_up else v - change)
        w = np.float32(min(max(v, mn), mx) - ref)
    return state, w


@njit(cache=True, inline="always")
def pulse_one_by_one(  # type: ignore[no-untyped-def]
    state, pulses, is_up, law, w, ref, up, down, shape_up, shape_down, mx, mn, constants, nodes_up, nodes_down
):
    """Send one device pulses of one direction: the next state of the noise, and the weight."""
    has_noise = constants[0] > 0.0
    # Two calls: choosing between two arrays takes as long as a pulse.
    if is_up:
        return _move(state, pulses, law, w, ref, True, up, shape_up, mx, mn, constants, nodes_up, has_noise)
    return _move(
        state, pulses, law, w, ref, False, down, shape_down, mx, mn, constants, nodes_down, has_noise
    )
