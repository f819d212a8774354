"""The usual read in two compiled loops: before the product, vectors become voltages; after it, currents become codes.

Usual is what aihwkit's training configurations have as a default: each vector is divided by its largest input, DAC
and ADC round, output noise has one strength, and nothing else is not ideal. Thirty calls of torch, most of them on a
handful of numbers, took three times as long for a small layer and few vectors. Numbers are the same to the last bit.
"""

import numpy as np
import torch
from numba import float32, int32, njit, prange
from torch import Tensor

from devices.pulsed.random_numbers import bits_of, number_of
from devices.pulsed.threaded_loops import threaded

from ...aihwkit.adapter import AnalogMVType, IOParameters, NoiseManagementType
from ..fused_loops import as_rows
from ..noise import NoiseStream
from ..periphery import Periphery, resolution
from .converters import noisy_adc
from .one_read import Read, parts_of_read
from .products import product

_MAGNITUDE = np.int32(0x7FFFFFFF)  # all bits but the sign: magnitudes are ordered as these whole numbers


def is_usual(io: IOParameters, periphery: Periphery) -> bool:
    """Tell whether reads with these settings are the usual ones.

    Args:
        io: Settings.
        periphery: What is frozen in it.
    """
    return (
        io.noise_management == NoiseManagementType.ABS_MAX
        and io.mv_type == AnalogMVType.ONE_PASS
        and io.inp_res > 0
        and io.out_res > 0
        and io.out_noise > 0
        and io.inp_noise <= 0
        and io.w_noise <= 0
        and io.ir_drop <= 0
        and not (io.inp_sto_round or io.out_sto_round)
        and io.inp_asymmetry == 0
        and io.out_asymmetry <= 0
        and periphery.is_ideal
    )


def usual_read(
    weight: Tensor, x: Tensor, io: IOParameters, periphery: Periphery, noise: NoiseStream, masks: bool
) -> tuple[Read, Tensor, bool] | None:
    """Read every vector once, as `managed_read` begins, where a read is the usual one and loops can do it.

    Args:
        weight: (tiles, out, in).
        x: (tiles, batch, in).
        io: Settings.
        periphery: What is frozen in it.
        noise: Draws the output noise.
        masks: Whether anybody asks which values were inside the ranges.

    Returns:
        The read; (tiles, batch, 1) the largest input of each vector, or `nm_thres`; whether any of them is zero.
        None, and nothing drawn, where something else has to do it.
    """
    if not is_usual(io, periphery) or noise.is_shared or weight.dtype != torch.float32:
        return None
    step, out_step = resolution(io.inp_res, io.inp_bound), resolution(io.out_res, io.out_bound)
    if step <= 0 or out_step <= 0 or torch.compiler.is_compiling():
        return None
    v = torch.empty_like(x)
    rows = as_rows(x, v)
    if rows is None or len(parts_of_read(weight, x, periphery, can_be=True)) > 1:
        return None
    alpha, scale = torch.empty(2, *x.shape[:2], 1).unbind()
    counts = np.empty((x.shape[0], 2), np.int64)
    managed = alpha.numpy()[..., 0], scale.numpy()[..., 0]
    manage_and_quantise(*rows, io.nm_thres, step, io.inp_bound, not x.is_contiguous(), *managed, counts)
    beyond, dead = counts[:, 0].any(), bool(counts[:, 1].any())
    inside = (x * scale).abs_() <= io.inp_bound if masks and beyond else None
    y = product(v, weight)
    drawn = noise.normal_of_products(y, out=periphery.scratch("near", y))
    y, inside_adc, passed = noisy_adc(y, drawn, io.out_noise, out_step, io, noise, masks)
    return Read(y, v, scale, inside, inside_adc, passed), alpha, dead


@njit(cache=True, error_model="numpy")
def _managed(most, threshold):  # type: ignore[no-untyped-def]
    """Return by what a vector is divided whose largest magnitude has these bits, and the factor into the range."""
    alpha = number_of(most)
    if threshold > float32(0) and alpha > threshold:
        alpha = threshold
    return alpha, (float32(1) / alpha if alpha > float32(0) else float32(1))


@njit(cache=True, error_model="numpy")
def _voltages(values, factor, step, bound, out):  # type: ignore[no-untyped-def]
    beyond = int32(0)
    for j in range(len(values)):
        voltage = values[j] * factor
        beyond = int32(beyond + (abs(voltage) > bound))
        code = np.rint(voltage / step) * step
        code = -bound if code < -bound else code
        out[j] = bound if code > bound else code
    return beyond


@njit(cache=True, error_model="numpy")
def _of_rows(values, threshold, step, bound, out, alphas, scales, counts):  # type: ignore[no-untyped-def]
    beyond = dead = 0
    for i in range(len(values)):
        most = int32(0)
        for value in values[i]:
            most = max(most, int32(bits_of(value) & _MAGNITUDE))
        alphas[i], scales[i] = _managed(most, threshold)
        dead += alphas[i] <= float32(0)
        beyond += _voltages(values[i], scales[i], step, bound, out[i])
    counts[0], counts[1] = beyond, dead


@njit(cache=True, error_model="numpy")
def _of_columns(values, threshold, step, bound, out, alphas, scales, counts):  # type: ignore[no-untyped-def]
    vectors = values.shape[1]
    most = np.zeros(vectors, np.int32)
    for i in range(len(values)):
        for j in range(vectors):
            most[j] = max(most[j], int32(bits_of(values[i, j]) & _MAGNITUDE))
    dead = 0
    for j in range(vectors):
        alphas[j], scales[j] = _managed(most[j], threshold)
        dead += alphas[j] <= float32(0)
    total = 0
    for i in range(len(values)):
        beyond = int32(0)
        for j in range(vectors):
            voltage = values[i, j] * scales[j]
            beyond = int32(beyond + (abs(voltage) > bound))
            code = np.rint(voltage / step) * step
            code = -bound if code < -bound else code
            out[i, j] = bound if code > bound else code
        total += beyond
    counts[0], counts[1] = total, dead


@threaded(lambda values, *_: 2 * values.size)
def manage_and_quantise(  # type: ignore[no-untyped-def]
    values, out, threshold, step, bound, are_columns, alphas, scales, counts
):
    """Divide each vector by its largest magnitude, round to multiples of a step and clip to [-bound, bound].

    Args:
        values: (tiles, n) the vectors of each tile, one after the other; or as columns of a matrix, row by row.
        out: (tiles, n) results.
        threshold: What a vector is divided by at most, if positive.
        step: Positive.
        bound: Half of the range.
        are_columns: Which of both.
        alphas: (tiles, vectors) results: what each vector was divided by; NaN for one with a NaN.
        scales: (tiles, vectors) results: the factor that does that; one for a vector of zeros, or with a NaN.
        counts: (tiles, 2) results: scaled values beyond the range, and vectors of zeros.
    """
    vectors = alphas.shape[1]
    length = values.shape[1] // vectors
    threshold, step, bound = float32(threshold), float32(step), float32(bound)
    for tile in prange(len(values)):
        managed = alphas[tile], scales[tile], counts[tile]
        if are_columns:
            x, codes = values[tile].reshape(length, vectors), out[tile].reshape(length, vectors)
            _of_columns(x, threshold, step, bound, codes, *managed)
        else:
            x, codes = values[tile].reshape(vectors, length), out[tile].reshape(vectors, length)
            _of_rows(x, threshold, step, bound, codes, *managed)
