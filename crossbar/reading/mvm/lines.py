"""Reads of single lines, by an input of one: what flows is what stands there, without a product."""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from devices.pulsed.random_numbers import normal
from devices.units import Dimensionless

from ...aihwkit.adapter import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    WeightNoiseType,
)
from ..noise import NoiseStream
from ..periphery import Periphery, resolution
from .converters import adc
from .products import room_for_product

_SCALED_BY_LARGEST = (NoiseManagementType.ABS_MAX, NoiseManagementType.MAX, NoiseManagementType.CONSTANT)


def can_read_lines(io: IOParameters, periphery: Periphery) -> bool:
    """Tell whether a read of a line, by an input of one, is its weights with noise, and no more.

    Args:
        io: aihwkit's settings of the periphery. Management of noise and bounds is not looked at.
        periphery: What is frozen in it.
    """
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL:
        return True
    steps = resolution(io.inp_res, io.inp_bound), resolution(io.out_res, io.out_bound)
    return (
        io.mv_type == AnalogMVType.ONE_PASS
        and io.inp_noise <= 0
        and io.ir_drop <= 0
        and io.out_asymmetry <= 0
        and not (io.inp_sto_round and steps[0] > 0)
        and not (io.out_sto_round and steps[1] > 0)
        and all(values is None for values in periphery._buffers.values())
    )


def reading_of(io: IOParameters) -> tuple[Any, ...]:
    """Return how a line is read by an input of one, as compiled loops compute with it.

    Returns:
        Voltage of the line; variance of the noise, and how much of it there is for each unit of conductance; step and
        bound of the ADC; output scale.
    """
    one = np.float32(1)
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL:
        return one, *[np.float32(0)] * 3, np.float32(np.inf), np.float32(io.out_scale)
    step, voltage = np.float32(resolution(io.inp_res, io.inp_bound)), one
    if step > 0:
        voltage = np.float32(np.rint(one / step) * step)
    if io.inp_bound > 0:
        voltage = np.float32(min(max(voltage, -io.inp_bound), io.inp_bound))
    variance, of_weight = max(io.out_noise, 0.0) ** 2, 0.0
    of_reads = float(voltage) ** 2 * max(io.w_noise, 0.0) ** 2
    if io.w_noise_type == WeightNoiseType.PCM_READ:
        of_weight = of_reads
    elif io.w_noise_type == WeightNoiseType.ADDITIVE_CONSTANT:
        variance += of_reads
    bound = io.out_bound if io.out_bound > 0 else np.inf
    numbers = variance, of_weight, resolution(io.out_res, io.out_bound), bound, io.out_scale
    return voltage, *(np.float32(number) for number in numbers)


@njit(cache=True, error_model="numpy")
def read_device(state, shown, reading):  # type: ignore[no-untyped-def]
    """Read what one device of a line shows, through DAC and ADC: the next state, and the value."""
    voltage, variance, of_weight, step, bound, scale = reading
    y = shown * voltage
    spread = variance + of_weight * abs(shown)
    if spread > np.float32(0.0):
        state, xi = normal(state)
        y = y + np.float32(xi) * np.sqrt(spread)
    if step > np.float32(0.0):
        y = np.rint(y / step) * step
    y = -bound if y < -bound else y
    return state, (bound if y > bound else y) * scale


def read_lines(
    values: Tensor, x: Tensor, weight: Tensor, io: IOParameters, periphery: Periphery, noise: NoiseStream
) -> Tensor | None:
    """Read lines as `analog_mvm` reads one-hot vectors, number by number; None where something else is to be done.

    Args:
        values: (tiles, reads, other) weights on the lines.
        x: (tiles, reads, lines) the one-hot vectors.
        weight: (tiles, other, lines) all weights.
        io: aihwkit's settings of the periphery.
        periphery: What is frozen in it.
        noise: Draws the noise of the reads.
    """
    if (
        io.w_noise > 0
        or noise.is_shared
        or is_scaled_otherwise(io)
        or not can_read_lines(io, periphery)
        or (io.bound_management != BoundManagementType.NONE and _may_clip(values, io))
    ):
        return None
    voltage, *_, scale = reading_of(io)
    y = torch.mul(values, float(voltage), out=room_for_product(x, weight))
    y, _, _ = adc(y, None, io, periphery.of(slice(0, len(weight))), noise, masks=False)
    return y if scale == 1 else y * float(scale)


def is_scaled_otherwise(io: IOParameters) -> bool:
    """Tell whether noise management would scale an input of one by something else than one."""
    manages = io.noise_management != NoiseManagementType.NONE
    return manages and (io.noise_management not in _SCALED_BY_LARGEST or io.nm_thres > 0)


def most_without_clipping(io: IOParameters) -> Dimensionless:
    """Return the weight below which the ADC cannot clip, and bound management does nothing; infinite without."""
    if io.bound_management == BoundManagementType.NONE or io.out_bound <= 0:
        return float("inf")
    voltage, variance, of_weight, step, bound, _ = (float(number) for number in reading_of(io))
    # No normal number reaches 10; and 10 sqrt(v + a w) is below 10 sqrt(v) + w / 10 + 250 a.
    room = bound - step - 10.0 * variance**0.5 - 250.0 * of_weight
    return room / (voltage + (0.1 if of_weight > 0 else 0.0))


def _may_clip(values: Tensor, io: IOParameters) -> bool:
    """Tell whether the ADC might clip, so that bound management would read again. No normal number reaches 10."""
    largest = float(values.abs().max()) + 10.0 * max(io.out_noise, 0.0)
    return io.out_bound > 0 and not largest + resolution(io.out_res, io.out_bound) < io.out_bound
