"""Pulses for the devices on one line, which alone carries an input of one: how a line is written, pulse by pulse.

Inside compiled loops; what is computed is what `draw_trains` and `apply_exactly` compute for a one-hot vector.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

from ...aihwkit_adapter import PulseType, UpdateParameters
from ...units import Dimensionless
from ..looks import show
from ..pulse_trains import are_drawn_at_once, rules_of
from ..random_numbers import popcount
from ..slots import draw_word
from ..train_loops import largest, manage
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
    # Not nested: loops that share their work among threads could not hand it on.
    return (
        *rules_of(granularity, update),
        update.pulse_type == PulseType.DETERMINISTIC_IMPLICIT,
        np.float32(update.x_res_implicit),
        np.float32(update.d_res_implicit),
    )


@njit(cache=True, inline="always")
def _resolved(p, res):  # type: ignore[no-untyped-def]
    """Round a probability to a multiple of a resolution; at most one."""
    return min(np.rint(p / res) * res if res > np.float32(0.0) else p, np.float32(1.0))


@njit(cache=True, error_model="numpy")
def draw_line(state, is_column, gradients, rate, writing, pulses, sent):  # type: ignore[no-untyped-def]
    """Draw how many pulses the devices on one line receive.

    Args:
        state: Of the stream of random numbers.
        is_column: Whether it is a word line.
        gradients: (other,) for each device on it, what it is to move by, divided by minus `rate`.
        rate: Not negative.
        writing: See `writing_of`.
        pulses: (other,) int32, where the numbers go, negative ones for pulses down.
        sent: (2,) to which pulses on lines and slots are added.

    Returns:
        The next state, and whether there are any pulses.
    """
    rules, (is_rounded, x_res, d_res) = writing[:6], writing[6:]
    one, most = np.float32(1.0), largest(gradients)
    if is_column:
        length, for_line, for_others = manage(one, most, rate, rules)
        line_res, others_res = x_res, d_res
    else:
        length, for_others, for_line = manage(most, one, rate, rules)
        line_res, others_res = d_res, x_res
    if length == np.float32(0.0):
        return state, False
    slots, on_line = int(length), uint64(0)
    if not is_rounded:
        state, on_line = draw_word(state, for_line, slots)
        sent[0] += np.int64(popcount(on_line))
    sent[1] += slots
    for k in range(len(gradients)):
        number, p = np.int64(0), abs(gradients[k]) * for_others
        if is_rounded:
            # In the order in which values of lines are multiplied: the one of the bit line has the length.
            of_line, of_other = _resolved(for_line, line_res), _resolved(p, others_res)
            drawn = of_other * length * of_line if is_column else of_line * length * of_other
            number = np.int64(np.rint(drawn))
        elif p > np.float32(0.0):
            state, across = draw_word(state, p, slots)
            sent[0] += np.int64(popcount(across))
            number = np.int64(popcount(across & on_line))
        pulses[k] = -number if gradients[k] >= np.float32(0.0) else number
    return state, True


@njit(cache=True, inline="always")
def pulse_device(  # type: ignore[no-untyped-def]
    state,
    t,
    i,
    j,
    pulses,
    law,
    weight,
    visible,
    max_bound,
    min_bound,
    scale_up,
    scale_down,
    shape_up,
    shape_down,
    reference,
    constants,
    nodes_up,
    nodes_down,
    write_noise,
    pulse_count,
):
    """Send one device some pulses, negative ones down: the next state.

    The arrays are those of `arrays.as_arrays`, lent ones, in that order. Loops take them apart at their top: a call
    for every line with all of them takes longer than the pulses.
    """
    shape_u, shape_d, ref = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    if shape_up.size > 0:
        shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
    if reference.size > 0:
        ref = reference[t, i, j]
    state, weight[t, i, j] = pulse_one_by_one(
        state,
        abs(pulses),
        pulses > 0,
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
    return show(state, t, i, j, np.int32(abs(pulses)), weight, visible, write_noise, pulse_count)
