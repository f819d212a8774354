"""The exact update: pulse by pulse, in aihwkit's order, with noise and bounds after every pulse.

Devices do not talk to one another, so rows of devices are computed in parallel, each through the whole batch while it
lies in the fastest memory. Word lines without a pulse are skipped: the cost is one visit for every word line and bit
line that both pulse, and one step for every pulse.
"""

from typing import Any

import numpy as np
import torch
from numba import prange, uint64
from torch import Tensor

from ...parts import first_tile
from ..arrays import as_arrays, lent
from ..device_array import DeviceArray
from ..looks import NONE, Looks, due_at, look_at_row, show
from ..pulse_trains import PulseTrains
from ..random_numbers import popcount, start
from ..threaded_loops import borrowed, threaded
from .single_pulses import pulse_one_by_one


def apply_exactly(
    devices: DeviceArray,
    trains: PulseTrains,
    seed: int,
    polarity: int,
    tile_of_train: Tensor,
    rng: torch.Generator,
    looks: Looks = NONE,
) -> None:
    """Give every device its pulses, one after the other.

    Args:
        devices: The devices, on the CPU.
        trains: The trains of each kernel.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
        rng: Knows which tiles these are.
        looks: Lines that are looked at in between.
    """
    kernel = sparse if trains.is_stochastic else _dense
    lines: tuple[Any, ...]
    if trains.is_stochastic:
        assert trains.x_bits is not None
        assert trains.d_bits is not None
        x_bits, x_columns, x_numbers = compress(_unsigned(trains.x_bits), trains.x_sign.contiguous().numpy())
        lines = (x_bits, x_columns, x_numbers, _unsigned(trains.d_bits), trains.d_sign.contiguous().numpy())
    else:
        lines = (trains.x_pulses.contiguous().numpy(), trains.d_pulses.contiguous().numpy())
    kernel(
        *lines,
        tile_of_train.numpy(),
        as_arrays(devices),
        tuple(looks),
        np.uint64(seed),
        first_tile(rng),
        polarity,
    )


def _unsigned(bits: Tensor) -> Any:
    return bits.contiguous().numpy().view(np.uint64)


@threaded(lambda bits, sign: bits.size)
def compress(bits: Any, sign: Any) -> Any:
    """List, for every vector, the word lines that pulse at all: their slots, and their column with the sign."""
    kernels, batch, words, inputs = bits.shape
    listed = np.empty((kernels, batch, inputs, words), np.uint64)
    columns = np.empty((kernels, batch, inputs), np.int32)
    numbers = np.empty((kernels, batch), np.int32)
    for v in prange(kernels * batch):
        k, b = v // batch, v % batch
        number = 0
        for j in range(inputs):
            any_pulse = uint64(0)
            for w in range(words):
                any_pulse |= bits[k, b, w, j]
                listed[k, b, number, w] = bits[k, b, w, j]
            if any_pulse != uint64(0):
                columns[k, b, number] = j + 1 if sign[k, b, j] > 0 else -(j + 1)
                number += 1
        numbers[k, b] = number
    return listed, columns, numbers


@threaded(lambda x_bits, x_columns, x_numbers, d_bits, *rest: d_bits.size * x_columns.shape[2])
def sparse(
    x_bits: Any,
    x_columns: Any,
    x_numbers: Any,
    d_bits: Any,
    d_sign: Any,
    tile_of_train: Any,
    devices: Any,
    looks: Any,
    seed: Any,
    first_tile: Any,
    polarity: Any,
) -> None:
    """Do the work of `apply_exactly` for stochastic trains, with word lines as `compress` lists them."""
    devices = lent(devices)
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    tiles, outs, ins = weight.shape
    batch, words = d_bits.shape[1], d_bits.shape[2]
    # Every array that a loop takes apart or hands on, once for each row and vector.
    x_bits, x_columns, d_bits, d_sign = (
        borrowed(x_bits),
        borrowed(x_columns),
        borrowed(d_bits),
        borrowed(d_sign),
    )
    looks = borrowed(looks[0]), borrowed(looks[1]), looks[2], borrowed(looks[3])
    has_reference, first_due = reference.size > 0, due_at(looks, 0)
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        k = tile_of_train[t]
        state = start(seed, first_tile * outs + row)
        received = np.zeros(ins, np.int32)
        w_row, mx_row, mn_row = weight[t, i], max_bound[t, i], min_bound[t, i]
        up_row, down_row = scale_up[t, i], scale_down[t, i]
        # Where devices have no shape the law does not look at it.
        shape_up_row = shape_up[t, i] if shape_up.size > 0 else up_row
        shape_down_row = shape_down[t, i] if shape_down.size > 0 else down_row
        ref_row = reference[t, i] if has_reference else up_row
        ref = np.float32(0.0)
        look, due = 0, first_due
        for b in range(batch):
            first = d_bits[k, b, 0, i]
            if words > 1 or first != uint64(0):
                d_positive = d_sign[k, b, i] > 0
                bits, columns = x_bits[k, b], x_columns[k, b]
                for s in range(uint64(x_numbers[k, b])):
                    pulses = popcount(first & bits[s, 0])
                    for more in range(1, words):
                        pulses += popcount(d_bits[k, b, more, i] & bits[s, more])
                    if pulses == uint64(0):
                        continue
                    column = columns[s]
                    is_up = (column > 0) != d_positive
                    if polarity != 0:
                        if is_up != (polarity > 0):
                            continue
                        is_up = True
                    j = uint64(abs(column) - 1)
                    received[j] += np.int32(pulses)
                    if has_reference:
                        ref = ref_row[j]
                    state, w_row[j] = pulse_one_by_one(
                        state,
                        pulses,
                        is_up,
                        law,
                        w_row[j],
                        ref,
                        up_row[j],
                        down_row[j],
                        shape_up_row[j],
                        shape_down_row[j],
                        mx_row[j],
                        mn_row[j],
                        constants,
                        nodes_up,
                        nodes_down,
                    )
            if b == due:
                state, look, due = look_at_row(
                    state, b, t, i, look, looks, received, weight, visible, write_noise, pulse_count
                )
        for j in range(ins):
            state = show(state, t, i, j, received[j], weight, visible, write_noise, pulse_count)


@threaded(lambda x_values, d_values, *rest: d_values.size * x_values.shape[2])
def _dense(
    x_values: Any,
    d_values: Any,
    tile_of_train: Any,
    devices: Any,
    looks: Any,
    seed: Any,
    first_tile: Any,
    polarity: Any,
) -> None:
    devices = lent(devices)
    looks = borrowed(looks[0]), borrowed(looks[1]), looks[2], borrowed(looks[3])
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    tiles, outs, ins = weight.shape
    batch = d_values.shape[1]
    has_reference, first_due = reference.size > 0, due_at(looks, 0)
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        k = tile_of_train[t]
        state = start(seed, first_tile * outs + row)
        received = np.zeros(ins, np.int32)
        ref, shape_u, shape_d = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        look, due = 0, first_due
        for b in range(batch):
            d = d_values[k, b, i]
            for j in range(0 if d == 0.0 else ins):
                drawn = np.rint(d * x_values[k, b, j])
                if drawn == 0.0:
                    continue
                is_up = drawn < 0.0
                if polarity != 0:
                    if is_up != (polarity > 0):
                        continue
                    is_up = True
                pulses = int(abs(drawn))
                received[j] += pulses
                if has_reference:
                    ref = reference[t, i, j]
                if shape_up.size > 0:
                    shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
                state, weight[t, i, j] = pulse_one_by_one(
                    state,
                    pulses,
                    is_up,
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
            if b == due:
                state, look, due = look_at_row(
                    state, b, t, i, look, looks, received, weight, visible, write_noise, pulse_count
                )
        for j in range(ins):
            state = show(state, t, i, j, received[j], weight, visible, write_noise, pulse_count)
