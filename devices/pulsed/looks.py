"""Lines that are looked at while a batch is sent: what their devices show at that moment, between two vectors.

Compiled loops take every device through a whole batch; who transfers what fast devices have learned wants to know
where these stood on the way. Seeing changes nothing, except that write noise is drawn then, if there was a pulse.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .random_numbers import normal


class Looks(NamedTuple):
    """Which lines are looked at, and when; a plain tuple inside compiled loops.

    Attributes:
        vectors: (looks,) int64, after which vector of the batch each is, in this order.
        lines: (looks,) int64, which line; the same for all tiles.
        are_columns: Whether lines are word lines.
        seen: (tiles, looks, other) float32, what the devices on the line showed.
    """

    vectors: np.ndarray
    lines: np.ndarray
    are_columns: bool
    seen: np.ndarray


NONE = Looks(np.empty(0, np.int64), np.empty(0, np.int64), True, np.empty((0, 0, 0), np.float32))
"""Nobody looks."""


@njit(cache=True, inline="always")
def show(state, t, i, j, received, weight, visible, write_noise, pulse_count):  # type: ignore[no-untyped-def]
    """Count the pulses that a device has received, and draw its write noise if there were any: the next state."""
    if received > 0:
        if pulse_count.size > 0:
            pulse_count[t, i, j] += received
        if visible.size > 0:
            state, xi = normal(state)
            visible[t, i, j] = weight[t, i, j] + write_noise * xi
    return state


@njit(cache=True)
def due_at(looks, at):  # type: ignore[no-untyped-def]
    """Return after which vector a look is due; -1 if there is none with this number."""
    return looks[0][at] if at < len(looks[0]) else -1


@njit(cache=True)
def look_at_row(  # type: ignore[no-untyped-def]
    state, b, t, i, at, looks, received, weight, visible, write_noise, pulse_count
):
    """Write down what the devices of one row show after one vector, as far as they lie on lines that are looked at.

    Returns:
        The next state of the noise, the number of the next look, and after which vector it is; see `due_at`.
    """
    vectors, lines, are_columns, seen = looks
    shown = visible if visible.size > 0 else weight
    while at < len(vectors) and vectors[at] == b:
        line = lines[at]
        if are_columns:
            state = show(state, t, i, line, received[line], weight, visible, write_noise, pulse_count)
            received[line] = 0
            seen[t, at, i] = shown[t, i, line]
        elif line == i:
            for j in range(len(received)):
                state = show(state, t, i, j, received[j], weight, visible, write_noise, pulse_count)
                received[j] = 0
                seen[t, at, j] = shown[t, i, j]
        at += 1
    return state, at, due_at(looks, at)
