"""The exact update: pulse by pulse, in aihwkit's order, with noise and bounds after every pulse.

Devices do not talk to one another, so rows of devices are computed in parallel, each through the whole batch while it
lies in the fastest memory. Word lines without a pulse are skipped: the cost is one visit for every word line and bit
line that both pulse, and one step for every pulse.
"""

from typing import Any

import numpy as np
from numba import njit, prange, uint64
from torch import Tensor

from .device_array import DeviceArray
from .laws import step
from .pulse_trains import PulseTrains
from .random_numbers import normal, popcount, start

_NOTHING = np.empty((0, 0, 0), dtype=np.float32)


def apply_exactly(
    devices: DeviceArray, trains: PulseTrains, seed: int, polarity: int, tile_of_train: Tensor
) -> None:
    """Give every device its pulses, one after the other.

    Args:
        devices: The devices, on the CPU.
        trains: The trains of each kernel.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
    """
    kernel = _sparse if trains.is_stochastic else _dense
    lines: tuple[Any, ...]
    if trains.is_stochastic:
        assert trains.x_bits is not None
        assert trains.d_bits is not None
        x_bits, x_columns, x_numbers = _compress(_unsigned(trains.x_bits), trains.x_sign.contiguous().numpy())
        lines = (x_bits, x_columns, x_numbers, _unsigned(trains.d_bits), trains.d_sign.contiguous().numpy())
    else:
        lines = (trains.x_pulses.contiguous().numpy(), trains.d_pulses.contiguous().numpy())
    kernel(*lines, tile_of_train.numpy(), *as_arrays(devices), np.uint64(seed), polarity)


def as_arrays(devices: DeviceArray) -> tuple[Any, ...]:
    """Return what the compiled loops need of a device array: law, devices, constants, memory to change."""
    shape_up = _array(devices.shape_up)
    return (
        int(devices.law),
        _array(devices.hidden_weight),
        _array(devices.weight if devices.persistent_weight is not None else None),
        _array(devices.max_bound),
        _array(devices.min_bound),
        _array(devices.scale_up),
        _array(devices.scale_down),
        shape_up,
        _array(devices.shape_down),
        _array(devices.reference),
        devices.constants.numpy(),
        devices.nodes_up.numpy(),
        devices.nodes_down.numpy(),
        np.float32(devices.write_noise),
        np.empty((0, 0, 0), dtype=np.int32) if devices.pulse_count is None else devices.pulse_count.numpy(),
    )


def _array(values: Tensor | None) -> Any:
    return _NOTHING if values is None else values.numpy()


def _unsigned(bits: Tensor) -> Any:
    return bits.contiguous().numpy().view(np.uint64)


@njit(cache=True, parallel=True)
def _compress(bits: Any, sign: Any) -> Any:
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


@njit(cache=True, inline="always")
def _pulse(law, w, ref, is_up, su, sd, shape_u, shape_d, mx, mn, constants, up, down, xi):  # type: ignore[no-untyped-def]
    """Move one device by one pulse; rounded to float32 where aihwkit does, as thousands of roundings add up."""
    v = np.float32(w + ref)
    if is_up:
        f, g = step(law, v, True, su, shape_u, mx, mn, constants, up)
        v = np.float32(v + (f + g * xi))
    else:
        f, g = step(law, v, False, sd, shape_d, mx, mn, constants, down)
        v = np.float32(v - (f + g * xi))
    return np.float32(min(max(v, mn), mx) - ref)


@njit(cache=True, parallel=True)
def _sparse(
    x_bits: Any,
    x_columns: Any,
    x_numbers: Any,
    d_bits: Any,
    d_sign: Any,
    tile_of_train: Any,
    law: Any,
    weight: Any,
    visible: Any,
    max_bound: Any,
    min_bound: Any,
    scale_up: Any,
    scale_down: Any,
    shape_up: Any,
    shape_down: Any,
    reference: Any,
    constants: Any,
    nodes_up: Any,
    nodes_down: Any,
    write_noise: Any,
    pulse_count: Any,
    seed: Any,
    polarity: Any,
) -> None:
    tiles, outs, ins = weight.shape
    batch, words = d_bits.shape[1], d_bits.shape[2]
    has_shape, has_reference = shape_up.size > 0, reference.size > 0
    has_noise, counts, has_write_noise = constants[0] > 0.0, pulse_count.size > 0, visible.size > 0
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        k = tile_of_train[t]
        state = start(seed, row)
        received = np.zeros(ins, np.int32)
        xi = 0.0
        shape_u = shape_d = ref = np.float32(0.0)
        for b in range(batch):
            any_pulse = uint64(0)
            for w in range(words):
                any_pulse |= d_bits[k, b, w, i]
            if any_pulse == uint64(0):
                continue
            d_positive = d_sign[k, b, i] > 0
            for s in range(x_numbers[k, b]):
                pulses = 0
                for w in range(words):
                    pulses += popcount(d_bits[k, b, w, i] & x_bits[k, b, s, w])
                if pulses == 0:
                    continue
                column = x_columns[k, b, s]
                is_up = (column > 0) != d_positive
                if polarity != 0:
                    if is_up != (polarity > 0):
                        continue
                    is_up = True
                j = abs(column) - 1
                received[j] += pulses
                if has_shape:
                    shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
                if has_reference:
                    ref = reference[t, i, j]
                mx, mn = max_bound[t, i, j], min_bound[t, i, j]
                su, sd = scale_up[t, i, j], scale_down[t, i, j]
                v = weight[t, i, j]
                for _ in range(pulses):
                    if has_noise:
                        state, xi = normal(state)
                    v = _pulse(
                        law, v, ref, is_up, su, sd, shape_u, shape_d, mx, mn, constants, nodes_up, nodes_down, xi
                    )
                weight[t, i, j] = v
        for j in range(ins):
            if received[j] > 0:
                if counts:
                    pulse_count[t, i, j] += received[j]
                if has_write_noise:
                    state, xi = normal(state)
                    visible[t, i, j] = weight[t, i, j] + write_noise * xi


@njit(cache=True, parallel=True)
def _dense(
    x_values: Any,
    d_values: Any,
    tile_of_train: Any,
    law: Any,
    weight: Any,
    visible: Any,
    max_bound: Any,
    min_bound: Any,
    scale_up: Any,
    scale_down: Any,
    shape_up: Any,
    shape_down: Any,
    reference: Any,
    constants: Any,
    nodes_up: Any,
    nodes_down: Any,
    write_noise: Any,
    pulse_count: Any,
    seed: Any,
    polarity: Any,
) -> None:
    tiles, outs, ins = weight.shape
    batch = d_values.shape[1]
    has_shape, has_reference = shape_up.size > 0, reference.size > 0
    has_noise, counts, has_write_noise = constants[0] > 0.0, pulse_count.size > 0, visible.size > 0
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        k = tile_of_train[t]
        state = start(seed, row)
        received = np.zeros(ins, np.int32)
        xi = 0.0
        shape_u = shape_d = ref = np.float32(0.0)
        for b in range(batch):
            d = d_values[k, b, i]
            if d == 0.0:
                continue
            for j in range(ins):
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
                if has_shape:
                    shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
                if has_reference:
                    ref = reference[t, i, j]
                mx, mn = max_bound[t, i, j], min_bound[t, i, j]
                su, sd = scale_up[t, i, j], scale_down[t, i, j]
                v = weight[t, i, j]
                for _ in range(pulses):
                    if has_noise:
                        state, xi = normal(state)
                    v = _pulse(
                        law, v, ref, is_up, su, sd, shape_u, shape_d, mx, mn, constants, nodes_up, nodes_down, xi
                    )
                weight[t, i, j] = v
        for j in range(ins):
            if received[j] > 0:
                if counts:
                    pulse_count[t, i, j] += received[j]
                if has_write_noise:
                    state, xi = normal(state)
                    visible[t, i, j] = weight[t, i, j] + write_noise * xi

