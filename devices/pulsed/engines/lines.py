"""Pulses for the devices on one line, which alone carries an input of one: how a line is written, pulse by pulse.

Inside compiled loops; what is computed is what `draw_trains` and `apply_exactly` compute for a one-hot vector.
"""

from typing import Any

import numpy as np
from numba import njit

from ...aihwkit_adapter import PulseType, UpdateParameters
from ...units import Dimensionless
from ..looks import show
from ..pulse_trains import are_drawn_at_once, rules_of
from ..random_numbers import popcount, start, word
from ..slots import draw_train
from ..train_loops import manage
from .single_pulses import pulse_one_by_one


def can_write_lines(update: UpdateParameters) -> bool:
    """Tell whether lines can be written with these settings: stochastic trains of at most a word, or rounded values.

    Args:
        update: aihwkit's settings.
    """
    is_rounded = update.pulse_type == PulseType.DETERMINISTIC_IMPLICIT and not update.sto_round
    return is_rounded or are_drawn_at_once(update)


def writing_of(granularity: Dimensionless, update: UpdateParameters) -> tuple[Any, ...]:
    """Return the settings that `write_line` wants, in one tuple.

    Args:
        granularity: Size of a device's step.
        update: aihwkit's settings.
    """
    return (
        rules_of(granularity, update),
        update.pulse_type == PulseType.DETERMINISTIC_IMPLICIT,
        np.float32(update.x_res_implicit),
        np.float32(update.d_res_implicit),
    )


@njit(cache=True, inline="always")
def _resolved(p, res):  # type: ignore[no-untyped-def]
    """Round a probability to a multiple of a resolution; at most one."""
    return min(np.rint(p / res) * res if res > np.float32(0.0) else p, np.float32(1.0))


@njit(cache=True, error_model="numpy")
def write_line(state, t, line, is_column, gradients, rate, writing, devices, sent):  # type: ignore[no-untyped-def]
    """Send pulses to the devices on a line of one tile.

    Args:
        state: Of the stream of random numbers.
        t: Number of the tile.
        line: Number of the line.
        is_column: Whether it is a word line.
        gradients: (other,) for each device on it, what it is to move by, divided by minus `rate`.
        rate: Not negative.
        writing: See `writing_of`.
        devices: See `arrays.as_arrays`; lent ones.
        sent: (tiles, 2) to which pulses on lines and slots are added.

    Returns:
        The next state.
    """
    rules, is_rounded, x_res, d_res = writing
    law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    one = np.ones(1, np.float32)
    if is_column:
        length, for_line, for_others = manage(one, gradients, rate, rules)
        line_res, others_res = x_res, d_res
    else:
        length, for_others, for_line = manage(gradients, one, rate, rules)
        line_res, others_res = d_res, x_res
    if length == np.float32(0.0):
        return state
    number = len(gradients)
    p = np.abs(gradients) * for_others
    line_bits, bits = np.zeros((1, 1), np.uint64), np.zeros((1, number), np.uint64)
    if not is_rounded:
        line_count, counts = np.empty(1, np.float32), np.empty(number, np.float32)
        state, key = word(state)
        draw_train(line_bits, line_count, one * for_line, length, start(key, 0))
        draw_train(bits, counts, p, length, start(key, 1))
        sent[t, 0] += np.int64(line_count[0]) + np.int64(counts.sum())
    sent[t, 1] += np.int64(length)
    shape_u, shape_d, ref = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for k in range(number):
        i, j = (k, line) if is_column else (line, k)
        if is_rounded:
            # In the order in which values of lines are multiplied: the one of the bit line has the length.
            of_line, of_other = _resolved(for_line, line_res), _resolved(p[k], others_res)
            drawn = of_other * length * of_line if is_column else of_line * length * of_other
            pulses = np.int64(np.rint(drawn))
        else:
            pulses = np.int64(popcount(bits[0, k] & line_bits[0, 0]))
        if pulses == 0:
            continue
        if shape_up.size > 0:
            shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
        if reference.size > 0:
            ref = reference[t, i, j]
        state, weight[t, i, j] = pulse_one_by_one(
            state,
            pulses,
            not gradients[k] >= np.float32(0.0),
            law,
            weight[t, i, j],
            ref,
            scale_up[t, i, j],
            scale_down[t, i, j],
            shape_u,
            shape_d,
            max_bound[t, i, j],
            min_bound[t, i, j],
            constants,
            nodes_up,
            nodes_down,
        )
        state = show(state, t, i, j, np.int32(pulses), weight, visible, write_noise, pulse_count)
    return state
