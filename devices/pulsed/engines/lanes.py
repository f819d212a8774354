"""A block of devices, side by side in the fastest memory, where the processor takes 8 or 16 of them at a time.

Everything about the devices of a block stands in one array, a row of `LANES` numbers for each quantity: loops over
several arrays are taken one device after the other, since the compiler cannot know whether arrays overlap. Rows are
named by where they begin, as unsigned numbers, which cannot be negative indices.
"""

import numpy as np
from numba import njit, uint32, uint64

from ..laws import Law
from ..random_numbers import normal, popcount_32

LANES = 640  # devices of a block: enough for loops that take 16 at a time, few enough for the fastest memory
ROWS = 24
# Not a power of two: the same place of two rows would fall on the same place in the fastest memory.
_STRIDE = LANES + 16
SIZE = ROWS * _STRIDE

_AT = [np.uint64(_STRIDE * row) for row in range(ROWS)]
V, START, N, TOTAL, MAX, MIN = _AT[0:6]  # weight now and before, pulses of a vector and so far, bounds
# Steps down are negative here: their size at zero, and its slope over the weight.
UP, DOWN, SLOPE_UP, SLOPE_DOWN, SHAPE_UP, SHAPE_DOWN = _AT[6:12]
VARIANCE, HIGH, LOW = _AT[12:15]  # of the path of a weight through several vectors
MOVED, SPREAD, NOISE, CHANGE = _AT[15:19]  # what the pulses of one vector do
SCALE, SHAPE, F_0, F, STEEPNESS = _AT[19:24]  # of curved laws

_LINEAR, _LINEAR_ADD = int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


@njit(cache=True, inline="always")
def part(s, row, lanes):  # type: ignore[no-untyped-def]
    """Return a row as an array of its own."""
    return s[int(row) : int(row) + lanes]


@njit(cache=True, inline="always")
def columns_of_block(ins):  # type: ignore[no-untyped-def]
    """Return how many columns a block has, in whole registers where rows are cut."""
    parts = (ins + LANES - 1) // LANES
    return ins if parts <= 1 else (((ins + parts - 1) // parts) + 15) // 16 * 16


@njit(cache=True, error_model="numpy")
def load(s, row, values, first, last, left, right):  # type: ignore[no-untyped-def]
    """Copy what a block has of values (out, in) into a row."""
    width = right - left
    for i in range(first, last):
        begin = row + uint64((i - first) * width)
        for j in range(width):
            s[begin + uint64(j)] = values[i, left + j]


@njit(cache=True, error_model="numpy")
def prepare_affine(s, lanes, law, most_slope):  # type: ignore[no-untyped-def]
    """Write slopes of affine steps, turn steps down, and mark the devices with too steep ones: how many these are."""
    steep = 0
    for k in range(lanes):
        j = uint64(k)
        up, down, slope_u, slope_d = s[UP + j], s[DOWN + j], np.float32(0.0), np.float32(0.0)
        mx, mn = s[MAX + j], s[MIN + j]
        if law in (_LINEAR, _LINEAR_ADD):
            slope_u, slope_d = s[SHAPE_UP + j], -s[SHAPE_DOWN + j]
        elif law in (_SOFT, _SOFT_ADD):
            slope_u = -up / mx if mx > 0.0 else np.float32(0.0)
            slope_d = down / mn if mn < 0.0 else np.float32(0.0)
        s[DOWN + j] = -down
        s[SLOPE_UP + j], s[SLOPE_DOWN + j] = slope_u, slope_d
        is_steep = max(abs(slope_u), abs(slope_d)) > most_slope
        s[STEEPNESS + j] = np.float32(1.0) if is_steep else np.float32(0.0)
        steep += is_steep
    return steep


@njit(cache=True, error_model="numpy")
def count(s, x_bits, d_bits, x_sign, d_sign, first, last, left, right, polarity):  # type: ignore[no-untyped-def]
    """Count the pulses of one vector on every device of a block, those down below zero: whether there are any."""
    words, width = x_bits.shape[0], uint64(right - left)
    any_pulse = False
    for i in range(first, last):
        begin = N + uint64(i - first) * width
        drawn = uint32(0)
        for w in range(words):
            drawn |= d_bits[w, i]
        if drawn == uint32(0):
            for j in range(width):
                s[begin + j] = np.float32(0.0)
            continue
        any_pulse = True
        minus_sign = -d_sign[i]
        signs = x_sign[left:right]
        bits, lines = d_bits[0, i], x_bits[0, left:right]
        for j in range(width):
            s[begin + j] = np.float32(np.int32(popcount_32(lines[j] & bits))) * signs[j] * minus_sign
        for w in range(1, words):
            bits, lines = d_bits[w, i], x_bits[w, left:right]
            for j in range(width):
                s[begin + j] += np.float32(np.int32(popcount_32(lines[j] & bits))) * signs[j] * minus_sign
        if polarity != 0:
            _turn(s, begin, width, np.float32(polarity))
    return any_pulse


@njit(cache=True, error_model="numpy")
def _turn(s, begin, width, way):  # type: ignore[no-untyped-def]
    """Keep the pulses of one direction, turned up."""
    for j in range(width):
        s[begin + j] = max(s[begin + j] * way, np.float32(0.0))


@njit(cache=True, error_model="numpy")
def count_listed(  # type: ignore[no-untyped-def]
    s, listed, lanes, x_bits, d_bits, x_sign, d_sign, first, left, width, polarity
):
    """Do what `count` does for the devices of a list, given as places in the block."""
    any_pulse = False
    for k in range(lanes):
        i, j = first + listed[k] // width, left + listed[k] % width
        pulses = np.int32(0)
        for w in range(x_bits.shape[0]):
            pulses += np.int32(popcount_32(x_bits[w, j] & d_bits[w, i]))
        signed = np.float32(pulses) * x_sign[j] * -d_sign[i]
        if polarity != 0:
            signed = max(signed * np.float32(polarity), np.float32(0.0))
        any_pulse |= signed != np.float32(0.0)
        s[N + uint64(k)] = signed
    return any_pulse


@njit(cache=True, error_model="numpy")
def gather(to, s, listed, lanes):  # type: ignore[no-untyped-def]
    """Copy all about the devices of a list into a block of their own, at the weights where they started."""
    for row in range(ROWS):
        begin = uint64(_STRIDE * row)
        for k in range(lanes):
            to[begin + uint64(k)] = s[begin + uint64(listed[k])]
    for k in range(lanes):
        to[V + uint64(k)] = to[START + uint64(k)]
        to[NOISE + uint64(k)] = np.float32(0.0)  # of the run; devices without noise draw none for a vector


@njit(cache=True, error_model="numpy")
def store(  # type: ignore[no-untyped-def]
    s,
    state,
    t,
    first,
    last,
    left,
    right,
    weight,
    visible,
    reference,
    write_noise,
    pulse_count,
    line,
    is_column,
):
    """Write back the weights of those that received pulses, count these, and draw the noise of writing.

    Args:
        line: The only line of which devices are written back; -1 for all of them.
        is_column: Whether it is a word line.

    Returns:
        The next state of the noise.
    """
    width = right - left
    rows, columns = (first, last), (left, right)
    if line >= 0 and is_column:
        columns = (max(line, left), min(line + 1, right))
    elif line >= 0:
        rows = (max(line, first), min(line + 1, last))
    for i in range(rows[0], rows[1]):
        begin = uint64((i - first) * width)
        for column in range(columns[0], columns[1]):
            j = begin + uint64(column - left)
            if s[TOTAL + j] == np.float32(0.0):
                continue
            v = s[V + j]
            w = np.float32(v - reference[t, i, column]) if reference.size > 0 else v
            weight[t, i, column] = w
            if pulse_count.size > 0:
                pulse_count[t, i, column] += int(s[TOTAL + j])
            if visible.size > 0:
                state, drawn = normal(state)
                visible[t, i, column] = w + write_noise * drawn
            s[TOTAL + j] = np.float32(0.0)
    return state
