"""A refresh of pairs in one compiled loop: word line by word line, pairs are read, reset where full, written anew.

Hardly a pair is full after a batch. In torch, reading all of them took most of the time of an update.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from devices.pulsed.arrays import lent
from devices.pulsed.engines.lines import draw_line, pulse_device
from devices.pulsed.random_numbers import normal, start
from devices.pulsed.threaded_loops import borrowed, threaded

from ...reading.mvm.lines import read_device


@threaded(lambda plus, *rest: 4 * plus[1].size, error_model="numpy")
def refresh(
    plus: Any,
    minus: Any,
    due: Any,
    resets: Any,
    settings: Any,
    seed: Any,
) -> Any:
    """Refresh the pairs of the tiles that are due, unless a read might be repeated.

    A pair is full if the larger of both reads, in parts of the nominal maximum, exceeds the upper threshold and the
    smaller one the lower. Where the first read excludes that nobody draws the noise of the second.

    Args:
        plus: See `devices.pulsed.arrays.as_arrays`.
        minus: Likewise.
        due: (tiles,) which tiles are looked at.
        resets: Of both devices, (tiles, out, in) where a reset leads, empty for zero, and by how much it misses.
        settings: Upper and lower threshold, nominal maxima of plus and minus, and the weight from which on the ADC
            might clip, and bound management read again: then nothing is done; how lines are read, see
            `reading.mvm.lines.reading_of`; how each device is written, see `devices.pulsed.engines.lines.writing_of`.
        seed: (1,) names the noise of reads, resets and pulses; word lines of a tile have streams of their own.

    Returns:
        Whether it was done; how many pairs were refreshed; (tiles, in) how many of each word line; (2, tiles, in, 2)
        pulses on lines and slots of both.
    """
    (upper, lower, most_plus, most_minus, limit), reading, writings = settings
    (write_plus, write_minus), (reset_plus, reset_minus) = writings, resets
    tiles, outs, ins = plus[1].shape
    is_full, differences = np.empty((tiles, ins, outs), np.bool_), np.empty((tiles, ins, outs), np.float32)
    of_lines = np.zeros((tiles, ins), np.int64)
    sent_of_all = np.zeros((2, tiles, ins, 2), np.int64)
    least = min(upper, lower)
    if _beyond(plus[1], limit) or _beyond(minus[1], limit):
        return False, 0, of_lines, sent_of_all
    g_plus, g_minus = borrowed(plus[1]), borrowed(minus[1])
    full, difference, sent = borrowed(is_full), borrowed(differences), borrowed(sent_of_all)
    for each in prange(tiles * ins):
        t, j = each // ins, each % ins
        if not due[t]:
            continue
        state, found = start(seed[0], each), 0
        for i in range(outs):
            full[t, j, i], difference[t, j, i] = False, np.float32(0.0)
            state, p = read_device(state, g_plus[t, i, j], reading)
            if not p / most_plus > least:
                continue
            state, m = read_device(state, g_minus[t, i, j], reading)
            of_plus, of_minus, is_positive = p / most_plus, m / most_minus, p > m
            larger, smaller = (of_plus if is_positive else of_minus), (of_minus if is_positive else of_plus)
            if larger > upper and smaller > lower:
                full[t, j, i], difference[t, j, i] = True, p - m
                found += 1
        if found > 0:
            of_lines[t, j] = found
            state = _write_anew(
                state, t, j, full[t, j], difference[t, j], plus, reset_plus, write_plus, sent[0, t, j]
            )
            for i in range(outs):
                difference[t, j, i] = -difference[t, j, i]
            _write_anew(
                state, t, j, full[t, j], difference[t, j], minus, reset_minus, write_minus, sent[1, t, j]
            )
    return True, of_lines.sum(), of_lines, sent_of_all


@njit(cache=True, error_model="numpy")
def _beyond(weight, limit):  # type: ignore[no-untyped-def]
    """Tell whether any weight reaches a limit."""
    number = 0
    for values in weight.reshape(-1, weight.shape[2]):
        for value in values:
            number += abs(value) >= limit
    return number > 0


@njit(cache=True, error_model="numpy")
def _write_anew(state, t, j, full, gains, devices, resets, writing, sent):  # type: ignore[no-untyped-def]
    """Reset the full ones of the devices on a word line, and raise those that are to gain: the next state."""
    devices = lent(devices)
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    bias, std = resets
    gradients, pulses = np.empty(len(full), np.float32), np.empty(len(full), np.int32)
    for i in range(len(full)):
        gradients[i] = -max(gains[i], np.float32(0.0))
        if full[i]:
            after = bias[t, i, j] if bias.size > 0 else np.float32(0.0)
            if std > np.float32(0.0):
                state, xi = normal(state)
                after += std * np.float32(xi)
            weight[t, i, j] = min(max(after, min_bound[t, i, j]), max_bound[t, i, j])
            if pulse_count.size > 0:  # a reset counts as one pulse
                pulse_count[t, i, j] += 1
    state, are_any = draw_line(state, True, gradients, np.float32(1.0), writing, pulses, sent)
    for i in range(len(full) if are_any else 0):
        if pulses[i] != 0:
            state = pulse_device(
                state,
                t,
                i,
                j,
                pulses[i],
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
            )
    return state
