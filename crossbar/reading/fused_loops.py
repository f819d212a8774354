"""Compiled loops that go once over memory where torch goes once for every operation, and give the same numbers.

They serve float32 on the CPU; `as_rows` tells whether they can, and torch computes where they cannot. Nothing in them
is reordered or contracted, so that every result is torch's to the last bit; what is summed is left to torch. Maxima
of numbers are not taken either, which would keep the compiler from taking 8 or 16 at a time: it is counted how many
values reach a limit, in 32 bits as the numbers themselves have.
"""

from typing import Any

import numpy as np
import torch
from numba import float32, int32, njit, prange
from torch import Tensor

from devices.pulsed.random_numbers import bits_of, number_of
from devices.pulsed.threaded_loops import threaded


def as_rows(*values: Tensor) -> tuple[np.ndarray, ...] | None:
    """Return tensors of one shape as arrays of one row a tile, or None where these loops cannot serve.

    Args:
        values: (tiles, batch, n), all in one memory order; the rows share their memory.
    """
    first = values[0]
    if torch.compiler.is_compiling() or first.dim() != 3 or first.numel() == 0:
        return None
    shape, strides = first.shape, first.stride()
    for one in values:
        is_plain = type(one) is Tensor and one.is_cpu and one.dtype == torch.float32
        if not is_plain or one.shape != shape or one.stride() != strides:
            return None
    tiles, batch, size = shape
    # A tensor's own `len`, `transpose` and `reshape` take as long as a loop over a small tile.
    if first.is_contiguous():
        return tuple([one.detach().numpy().reshape(tiles, batch * size) for one in values])
    if first.mT.is_contiguous():
        return tuple([one.detach().numpy().transpose(0, 2, 1).reshape(tiles, -1) for one in values])
    return None


def _visits(rows: np.ndarray, *_: Any) -> int:
    return rows.size


@njit(cache=True, error_model="numpy")
def _divide_and_clip(x, limit, out):  # type: ignore[no-untyped-def]
    above = below = alive = int32(0)
    for j in range(len(x)):
        value = x[j]
        above = int32(above + (value >= limit))
        below = int32(below + (value <= -limit))
        alive = int32(alive + (value != float32(0)))
        ratio = value / limit
        ratio = float32(-1) if ratio < float32(-1) else ratio
        out[j] = float32(1) if ratio > float32(1) else ratio
    return above, below, alive


@threaded(_visits)
def divide_and_clip(x, out, limits, counts):  # type: ignore[no-untyped-def]
    """Divide each tile's values by its limit and clip them to [-1, 1].

    Args:
        x: (tiles, n).
        out: (tiles, n) results.
        limits: (tiles,) float32, positive.
        counts: (tiles, 3) how many values reach the limit, reach its negative, and are not zero.
    """
    for tile in prange(len(x)):
        counts[tile, 0], counts[tile, 1], counts[tile, 2] = _divide_and_clip(x[tile], limits[tile], out[tile])


@njit(cache=True)
def _select_askers(x, grad, limit, sign, out):  # type: ignore[no-untyped-def]
    for j in range(len(x)):
        asks = (sign * x[j] >= limit) & (sign * grad[j] < float32(0))
        out[j] = grad[j] if asks else float32(0)


@threaded(_visits)
def select_askers(x, grad, out, limits, sign):  # type: ignore[no-untyped-def]
    """Select the gradients that ask values at their tile's limit to go beyond it; zero elsewhere.

    Args:
        x: (tiles, n).
        grad: (tiles, n).
        out: (tiles, n) results.
        limits: (tiles,) float32.
        sign: 1 for the limit, -1 for its negative.
    """
    for tile in prange(len(x)):
        _select_askers(x[tile], grad[tile], limits[tile], float32(sign), out[tile])


@njit(cache=True, error_model="numpy")
def _quantise(values, step, bound, out):  # type: ignore[no-untyped-def]
    for j in range(len(values)):
        code = np.rint(values[j] / step) * step
        code = -bound if code < -bound else code
        out[j] = bound if code > bound else code


@threaded(_visits)
def quantise(values, out, step, bound):  # type: ignore[no-untyped-def]
    """Round to multiples of a step and clip to [-bound, bound], as a DAC does.

    Args:
        values: (tiles, n).
        out: (tiles, n) results; may be `values`.
        step: Positive.
        bound: Half of the range.
    """
    for tile in prange(len(values)):
        _quantise(values[tile], float32(step), float32(bound), out[tile])


@njit(cache=True, error_model="numpy")
def _scaled_columns(values, factors, step, bound, out):  # type: ignore[no-untyped-def]
    beyond = int32(0)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            voltage = values[i, j] * factors[j]
            beyond = int32(beyond + (abs(voltage) > bound))
            code = np.rint(voltage / step) * step
            code = -bound if code < -bound else code
            out[i, j] = bound if code > bound else code
    return beyond


@njit(cache=True, error_model="numpy")
def _scaled_rows(values, factors, step, bound, out):  # type: ignore[no-untyped-def]
    beyond = int32(0)
    for i in range(values.shape[0]):
        factor = factors[i]
        for j in range(values.shape[1]):
            voltage = values[i, j] * factor
            beyond = int32(beyond + (abs(voltage) > bound))
            code = np.rint(voltage / step) * step
            code = -bound if code < -bound else code
            out[i, j] = bound if code > bound else code
    return beyond


@threaded(_visits)
def scale_and_quantise(values, out, scale, step, bound, are_columns, counts):  # type: ignore[no-untyped-def]
    """Multiply each vector by its scale, round to multiples of a step and clip to [-bound, bound], as a DAC does.

    Args:
        values: (tiles, n) the vectors of each tile, one after the other; or as columns of a matrix, row by row.
        out: (tiles, n) results.
        scale: (tiles, vectors).
        step: Positive.
        bound: Half of the range.
        are_columns: Which of both.
        counts: (tiles,) int64 results: how many scaled values lie beyond the range.
    """
    vectors = scale.shape[1]
    length = values.shape[1] // vectors
    for tile in prange(len(values)):
        if are_columns:
            x, codes = values[tile].reshape(length, vectors), out[tile].reshape(length, vectors)
            counts[tile] = _scaled_columns(x, scale[tile], float32(step), float32(bound), codes)
        else:
            x, codes = values[tile].reshape(vectors, length), out[tile].reshape(vectors, length)
            counts[tile] = _scaled_rows(x, scale[tile], float32(step), float32(bound), codes)


_MAGNITUDE = np.int32(0x7FFFFFFF)  # all bits but the sign: magnitudes are ordered as these whole numbers


@njit(cache=True)
def _beyond(values, bound):  # type: ignore[no-untyped-def]
    count = int32(0)
    for j in range(len(values)):
        count = int32(count + (not abs(values[j]) < bound))
    return count


@threaded(_visits)
def count_beyond(values, bound, counts):  # type: ignore[no-untyped-def]
    """Count the values of each tile that are not inside (-bound, bound).

    Args:
        values: (tiles, n).
        bound: Half of the range.
        counts: (tiles,) int64 results.
    """
    for tile in prange(len(values)):
        counts[tile] = _beyond(values[tile], float32(bound))


@njit(cache=True)
def _lower_by_drop(y, load, near, gain, strength):  # type: ignore[no-untyped-def]
    for j in range(len(y)):
        x = load[j] * gain
        drop = (((x * float32(0.05) - float32(0.2)) * x) + float32(0.5)) * x
        y[j] = y[j] + (-strength * drop) * near[j]


@threaded(_visits)
def lower_by_drop(y, load, near, gain, strength):  # type: ignore[no-untyped-def]
    """Lower currents by aihwkit's steady-state fit of the voltage drop along the lines, in place.

    Args:
        y: (tiles, n) currents.
        load: (tiles, n) sums of |v| |w|.
        near: (tiles, n) sums of v w, each weighted by its distance.
        gain: What the load is multiplied by.
        strength: `ir_drop`.
    """
    for tile in prange(len(y)):
        _lower_by_drop(y[tile], load[tile], near[tile], float32(gain), float32(strength))


@njit(cache=True, error_model="numpy")
def _noisy_codes(y, variance, drawn, more, step, bound):  # type: ignore[no-untyped-def]
    count = int32(0)
    for j in range(len(y)):
        noisy = y[j] + np.sqrt(variance[j] + more) * drawn[j]
        code = np.rint(noisy / step) * step
        y[j] = code
        count = int32(count + (not abs(code) <= bound))
    return count


@threaded(_visits)
def noisy_codes(y, variance, drawn, more, step, bound, counts):  # type: ignore[no-untyped-def]
    """Add noise and round to multiples of a step, in place, and count what an ADC has to clip.

    Args:
        y: (tiles, n) currents.
        variance: (tiles, n) of the read noise.
        drawn: (tiles, n) standard normal numbers.
        more: Variance of the output noise.
        step: Positive.
        bound: Half of the range.
        counts: (tiles,) int64: how many values lie beyond the range.
    """
    for tile in prange(len(y)):
        counts[tile] = _noisy_codes(
            y[tile], variance[tile], drawn[tile], float32(more), float32(step), float32(bound)
        )


@njit(cache=True, error_model="numpy")
def _codes_with_noise(y, drawn, std, step, bound):  # type: ignore[no-untyped-def]
    count = int32(0)
    for j in range(len(y)):
        noisy = y[j] + drawn[j] * std
        code = np.rint(noisy / step) * step
        y[j] = code
        count = int32(count + (not abs(code) <= bound))
    return count


@threaded(_visits)
def codes_with_noise(y, drawn, std, step, bound, counts):  # type: ignore[no-untyped-def]
    """Add noise of one strength and round, as `noisy_codes` does.

    Args:
        y: (tiles, n) currents.
        drawn: (tiles, n) standard normal numbers.
        std: Of the output noise.
        step: Positive.
        bound: Half of the range.
        counts: (tiles,) int64: how many values lie beyond the range.
    """
    for tile in prange(len(y)):
        counts[tile] = _codes_with_noise(y[tile], drawn[tile], float32(std), float32(step), float32(bound))


_EXPONENT = np.int32(0x7F800000)  # all ones in what is no number, and in infinity


@njit(cache=True)
def _bits(values):  # type: ignore[no-untyped-def]
    total, most = 0, int32(0)
    for j in range(len(values)):
        total += values[j]
        most = max(most, int32(values[j] & _MAGNITUDE))
    return total, most >= _EXPONENT


@threaded(_visits)
def add_bits(values, totals, strange):  # type: ignore[no-untyped-def]
    """Add up each tile's values as whole numbers that have the same bits: a sum that rounds nothing away.

    Args:
        values: (tiles, n) int32.
        totals: (tiles,) int64 results.
        strange: (tiles,) int64 results: one where a value is NaN or infinite, else zero.
    """
    for tile in prange(len(values)):
        totals[tile], strange[tile] = _bits(values[tile])


_BLOCK = 512


@njit(cache=True)
def _difference(first, second):  # type: ignore[no-untyped-def]
    bits = first[0] ^ second[0]
    for j in range(len(first)):
        bits |= first[j] ^ second[j]
    return bits


@njit(cache=True)
def _differ(first, second):  # type: ignore[no-untyped-def]
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        if _difference(first[block], second[block]) != 0:
            return True
    return False


@threaded(_visits)
def find_differences(first, second, differ):  # type: ignore[no-untyped-def]
    """Tell for each tile whether two sets of values differ in any bit.

    Args:
        first: (tiles, n) int32 or int64.
        second: Likewise.
        differ: (tiles,) bool results.
    """
    for tile in prange(len(first)):
        differ[tile] = _differ(first[tile], second[tile])


@njit(cache=True, error_model="numpy")
def _clip_and_stretch(weight, bound, full, largest):  # type: ignore[no-untyped-def]
    for line in range(weight.shape[0]):
        most = int32(0)
        for j in range(weight.shape[1]):
            value = weight[line, j]
            value = -bound if value < -bound else value
            value = bound if value > bound else value
            weight[line, j] = value
            most = max(most, int32(bits_of(value) & _MAGNITUDE))
        by = number_of(most) / full
        by = by if by > float32(0) else float32(1)
        for j in range(weight.shape[1]):
            weight[line, j] = weight[line, j] / by
        largest[line] = by


@threaded(_visits)
def clip_and_stretch(weight, bound, full, largest):  # type: ignore[no-untyped-def]
    """Clip each row to [-bound, bound], then divide it by its largest magnitude over `full`, in place.

    Args:
        weight: (tiles, out, in).
        bound: Positive.
        full: What the largest magnitude becomes.
        largest: (tiles, out) what each row was divided by; one for a row of zeros.
    """
    for tile in prange(len(weight)):
        _clip_and_stretch(weight[tile], float32(bound), float32(full), largest[tile])
