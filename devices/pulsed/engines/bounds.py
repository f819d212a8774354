"""What bounds do to the pulses of one vector: every pulse stops there.

A weight that stops at a bound at every pulse is a random walk reflected there. It ends where the free walk does, less
by what the free walk's highest point exceeds the bound, and that point is drawn from the law of a Brownian bridge;
see `bursts`, which does so for one device.
"""

import numpy as np
from numba import njit, uint64

from ..laws import log2_of
from ..random_numbers import sums_of_bits, sums_of_bits_at, uniforms, word
from .lanes import (
    CHANGE,
    F_0,
    HIGH,
    LOW,
    MAX,
    MIN,
    MOVED,
    NOISE,
    SCALE,
    SHAPE,
    SPREAD,
    TOTAL,
    F,
    N,
    V,
    part,
)

# Rows that nobody needs while a vector arrives.
_END, _ABOVE, _BELOW, _SPREAD, _PULSES = F_0, HIGH, LOW, SCALE, SHAPE

# Out of reach of a walk: it gets further than three times its spread once in 400 times, and then not by much.
_REACH = np.float32(3.0)
# Pulses come one at a time: a walk's highest point lies lower by this part of one pulse's noise.
_DISCRETE = np.float32(0.5826)
_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_FAR = np.float32(1e30)  # beyond all weights
_MINUS_TWO_LOG = np.float32(-2.0 * 0.6931471805599453)


@njit(cache=True, error_model="numpy")
def add_noise(s, lanes, key, places):  # type: ignore[no-untyped-def]
    """Draw the noise of one vector's pulses.

    Args:
        s: The block.
        lanes: Devices in it.
        key: Names the numbers.
        places: Where the devices stand in a block of more, whose numbers they get; none for a whole block.
    """
    if len(places) > 0:
        sums_of_bits_at(part(s, NOISE, lanes), places, key)
    else:
        sums_of_bits(part(s, NOISE, lanes), key)
    for k in range(lanes):
        j = uint64(k)
        s[NOISE + j] *= s[SPREAD + j]


@njit(cache=True, error_model="numpy")
def mark_steep(s, lanes, most_change):  # type: ignore[no-untyped-def]
    """Set `CHANGE` to -1 where pulses are to be taken one by one: how many devices these are."""
    marked = _ZERO
    for k in range(lanes):
        j = uint64(k)
        is_steep = (s[CHANGE + j] > np.float32(most_change)) & (abs(s[N + j]) > _ONE)
        s[CHANGE + j] = -_ONE if is_steep else _ZERO
    for k in range(lanes):
        marked -= s[CHANGE + uint64(k)]
    return int(marked)


@njit(cache=True, error_model="numpy")
def reflect(s, lanes, state, listed):  # type: ignore[no-untyped-def]
    """Take from the noise by how much a walk of several pulses exceeds a bound on its way."""
    for k in range(lanes):
        j = uint64(k)
        v = s[V + j]
        room = min(s[MAX + j] - v, v - s[MIN + j])
        reach = abs(s[MOVED + j] - v) + _REACH * s[SPREAD + j]
        s[F + j] = _ONE if (room < reach) & (abs(s[N + j]) > _ONE) else _ZERO
    number = 0
    for k in range(lanes):  # without a branch, which could not be foreseen
        listed[number] = k
        number += int(s[F + uint64(k)])
    if number == 0:
        return state
    # Devices far from their bounds are left out: they are most.
    for k in range(number):
        j, to = uint64(listed[k]), uint64(k)
        v = s[V + j]
        s[_END + to] = s[MOVED + j] + s[NOISE + j] - v
        s[_ABOVE + to], s[_BELOW + to] = s[MAX + j] - v, v - s[MIN + j]
        s[_SPREAD + to], s[_PULSES + to] = s[SPREAD + j], abs(s[N + j])
    state, key = word(state)
    uniforms(part(s, F, number), key)
    for k in range(number):
        j = uint64(k)
        end, spread = s[_END + j], s[_SPREAD + j]
        root = np.sqrt(end * end + spread * spread * _MINUS_TWO_LOG * log2_of(s[F + j]))
        later = _DISCRETE * spread / np.sqrt(s[_PULSES + j])
        above = max(_HALF * (root + end) - later, end) - s[_ABOVE + j]
        below = max(_HALF * (root - end) - later, -end) - s[_BELOW + j]
        below = below if below > _ZERO else _ZERO
        s[_END + j] = above if above > _ZERO else -below
    for k in range(number):
        s[NOISE + uint64(listed[k])] -= s[_END + uint64(k)]
    return state


@njit(cache=True, error_model="numpy")
def arrive(s, lanes):  # type: ignore[no-untyped-def]
    """Move the devices, and stop those that were pulsed at their bounds."""
    for k in range(lanes):
        j = uint64(k)
        n = s[N + j]
        margin = _FAR if n == _ZERO else _ZERO
        s[V + j] = min(max(s[MOVED + j] + s[NOISE + j], s[MIN + j] - margin), s[MAX + j] + margin)
        s[TOTAL + j] += abs(n)
