"""Blocks of which one vector pulses a few devices: these are taken out, moved, and put back.

Most inputs and gradients of a network with ReLU are zero, and a device is pulsed where both of its lines are. The
numbers are those that moving the whole block gives, to the last bit.
"""

import numpy as np
from numba import njit, uint64

from .lanes import (
    DOWN,
    MAX,
    MIN,
    NOISE,
    SHAPE_DOWN,
    SHAPE_UP,
    SLOPE_DOWN,
    SLOPE_UP,
    STEEPNESS,
    TOTAL,
    UP,
    N,
    V,
)


@njit(cache=True, error_model="numpy")
def list_pulsed(s, lanes, places):  # type: ignore[no-untyped-def]
    """List the devices of a block that the vector pulses: how many these are."""
    number = uint64(0)
    for k in range(lanes):  # without a branch, which could not be foreseen
        places[number] = k
        number += uint64(s[N + uint64(k)] != np.float32(0.0))
    return int(number)


@njit(cache=True, error_model="numpy")
def _take(few, s, row, places):  # type: ignore[no-untyped-def]
    to, of = few[int(row) : int(row) + len(places)], s[int(row) :]
    for k in range(len(places)):
        to[k] = of[places[k]]


@njit(cache=True, error_model="numpy")
def take_out(few, s, places, is_affine, has_shapes):  # type: ignore[no-untyped-def]
    """Copy the listed devices, with all that a vector's pulses depend on, into a block of their own."""
    _take(few, s, V, places)
    _take(few, s, N, places)
    _take(few, s, UP, places)
    _take(few, s, DOWN, places)
    _take(few, s, MAX, places)
    _take(few, s, MIN, places)
    few[int(NOISE) : int(NOISE) + len(places)] = np.float32(0.0)  # devices without noise draw none
    if is_affine:
        _take(few, s, SLOPE_UP, places)
        _take(few, s, SLOPE_DOWN, places)
    else:
        _take(few, s, STEEPNESS, places)
    if has_shapes:
        _take(few, s, SHAPE_UP, places)
        _take(few, s, SHAPE_DOWN, places)


@njit(cache=True, error_model="numpy")
def put_back(s, few, places):  # type: ignore[no-untyped-def]
    """Write the weights of the listed devices back, and count their pulses."""
    for k in range(len(places)):
        j, to = uint64(k), uint64(places[k])
        s[V + to] = few[V + j]
        s[TOTAL + to] += abs(few[N + j])
