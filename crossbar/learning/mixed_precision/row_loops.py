"""Mixed precision on the CPU, in compiled loops: the gradient of one vector is added up, and rows are written.

A row that goes through the engines, as a vector with trains of its own, takes longer than its pulses, most of all
where these are few.
"""

from typing import Any

import numpy as np
from numba import prange

from devices.pulsed.arrays import lent
from devices.pulsed.engines.lines import draw_line, pulse_device
from devices.pulsed.random_numbers import start
from devices.pulsed.threaded_loops import borrowed, threaded


@threaded(lambda chi, *rest: chi.size, error_model="numpy")
def add_product(chi: Any, x: Any, d: Any, rate: Any, whose: Any) -> None:
    """Add the gradient of one vector to the memory of every tile.

    Args:
        chi: (tiles, out, in) the memory; changed in place.
        x: (trains, 1, in) inputs.
        d: (trains, 1, out) gradients.
        rate: Learning rate.
        whose: (tiles,) which of the trains a tile receives.
    """
    tiles, outs, ins = chi.shape
    rate = np.float32(rate)
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        to, inputs = chi[t, i], x[whose[t], 0]
        factor = rate * d[whose[t], 0, i]
        for j in range(ins):
            to[j] += factor * inputs[j]


@threaded(lambda chi, first, number, *rest: chi.shape[0] * number * chi.shape[2], error_model="numpy")
def take_steps(chi: Any, first: Any, number: Any, size: Any) -> Any:
    """Take the whole steps out of some rows of the memory.

    Args:
        chi: (tiles, out, in) gradient not yet written; changed in place.
        first: (1 or tiles, 1) the first of the rows, which follow one another.
        number: How many rows.
        size: Of a step.

    Returns:
        (tiles, number, in) the steps, (tiles, number) how many a row has, up and down, and how many there are.
    """
    tiles, outs, ins = chi.shape
    size = np.float32(size)
    steps, of_rows = np.zeros((tiles, number, ins), np.float32), np.zeros((tiles, number), np.int64)
    total = np.int64(0)
    for each in prange(tiles * number):
        t, k = each // number, each % number
        i = (first[t % len(first), 0] + k) % outs
        having, taken = 0, np.int64(0)
        for j in range(ins):
            having += abs(chi[t, i, j]) >= size
        for j in range(ins if having > 0 else 0):
            whole = np.trunc(chi[t, i, j] / size)
            steps[t, k, j] = whole
            chi[t, i, j] -= whole * size
            taken += np.int64(abs(whole))
        of_rows[t, k] = taken
        total += taken
    return steps, of_rows, total


@threaded(lambda steps, *rest: steps.size, error_model="numpy")
def write_rows(
    steps: Any,
    of_rows: Any,
    first: Any,
    rate: Any,
    writing: Any,
    devices: Any,
    seed: Any,
    first_tile: Any,
) -> Any:
    """Send the steps of rows to the devices, one row after the other and pulse by pulse.

    Args:
        steps: (tiles, number, in) the steps.
        of_rows: (tiles, number) how many a row has.
        first: (1 or tiles, 1) the first of the rows, which follow one another.
        rate: What a step is multiplied by.
        writing: See `devices.pulsed.engines.lines.writing_of`.
        devices: See `devices.pulsed.arrays.as_arrays`.
        seed: Names the trains and the noise; rows have streams of their own.
        first_tile: Number of the first tile.

    Returns:
        (tiles, number, 2) pulses on lines and slots.
    """
    tiles, number, ins = steps.shape
    rate = np.float32(rate)
    devices = lent(devices)
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    outs = weight.shape[1]
    of_all, sent_of_all = np.empty(steps.shape, np.int32), np.zeros((tiles, number, 2), np.int64)
    steps, pulses, sent = borrowed(steps), borrowed(of_all), borrowed(sent_of_all)
    for each in prange(tiles * number):
        t, k = each // number, each % number
        i = (first[t % len(first), 0] + k) % outs
        if of_rows[t, k] == 0:
            continue
        state = start(seed, (first_tile + t) * outs + i)
        state, are_any = draw_line(state, False, steps[t, k], rate, writing, pulses[t, k], sent[t, k])
        for j in range(ins if are_any else 0):
            if pulses[t, k, j] != 0:
                state = pulse_device(
                    state,
                    t,
                    i,
                    j,
                    pulses[t, k, j],
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
    return sent_of_all
