"""What voltage drops and the spread of read noise follow from: three products of the size of the layer's own.

For currents y = sum w v of a bit line with read noise and IR drop these are sum |w| |v|, sum w v s, where a line's
share s falls with its distance from the output, and sum |w| v².
"""

import functools
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numba import int16, int32, njit, prange
from torch import Tensor
from typing_extensions import final, override

from devices.pulsed.random_numbers import bits_of
from devices.pulsed.threaded_loops import threaded

from ...aihwkit.adapter import IOParameters
from ..fused_loops import as_rows
from ..periphery import Stages
from .products import product

# Less than this gains nothing. Three such products with all around them, in float32 over bfloat16, on one thread of a
# Xeon with AMX: 64 tiles of 64 x 64 and 64 vectors 1.2; 36 of 64 x 288 and 16 vectors 0.8, 64 vectors 1.4; 16 of
# 128 x 576 and 64 vectors 1.9.
LEAST_INPUTS = 128
LEAST_VECTORS = 64


class Moments(ABC):
    """The three products of some tiles' weights and voltages."""

    @abstractmethod
    def load(self, out: Tensor | None) -> Tensor:
        """Return sum |w| |v|, (tiles, batch, out); in memory that is given, or fresh."""

    @abstractmethod
    def near(self, out: Tensor | None) -> Tensor:
        """Return sum w v s, likewise."""

    @abstractmethod
    def square(self, out: Tensor | None) -> Tensor:
        """Return sum |w| v^2, likewise."""


@final
class ExactMoments(Moments):
    """The products in the precision of weights and voltages.

    Args:
        weight: (tiles, out, in).
        v: (tiles, batch, in).
        stages: Of these tiles.
    """

    def __init__(self, weight: Tensor, v: Tensor, stages: Stages) -> None:
        self._weight, self._v = weight, v
        self._magnitude = torch.abs(weight, out=stages.scratch("weight", weight))
        self._room = stages.scratch("voltages", v)

    @override
    def load(self, out: Tensor | None) -> Tensor:
        return product(torch.abs(self._v, out=self._room), self._magnitude, out)

    @override
    def near(self, out: Tensor | None) -> Tensor:
        return product(torch.mul(self._v, _shares(self._v), out=self._room), self._weight, out)

    @override
    def square(self, out: Tensor | None) -> Tensor:
        return product(torch.square(self._v, out=self._room), self._magnitude, out)


@final
class ShortMoments(Moments):
    """The products in bfloat16: 8 bits of every factor and every result, while sums are formed in float32.

    Args:
        weight: (tiles, out, in).
        v: (tiles, batch, in).
        stages: Of these tiles.
        of_weight: The weights as an array of one row a tile.
        of_v: The voltages likewise.
    """

    def __init__(
        self, weight: Tensor, v: Tensor, stages: Stages, of_weight: np.ndarray, of_v: np.ndarray
    ) -> None:
        def room(name: str, like: Tensor) -> Tensor:
            return stages.scratch(f"short {name}", like, torch.bfloat16)

        self._room = room
        self._shared, self._magnitude = room("shared", weight), room("magnitude", weight)
        self._v, self._v_magnitude, self._square = room("v", v), room("v magnitude", v), room("square", v)
        shorten_weights(of_weight, _shares(v).numpy(), *map(_bits, (self._shared, self._magnitude)))
        shorten_voltages(of_v, *map(_bits, (self._v, self._v_magnitude, self._square)))

    @override
    def load(self, out: Tensor | None) -> Tensor:
        return self._long(self._v_magnitude, self._magnitude, out)

    @override
    def near(self, out: Tensor | None) -> Tensor:
        return self._long(self._v, self._shared, out)

    @override
    def square(self, out: Tensor | None) -> Tensor:
        return self._long(self._square, self._magnitude, out)

    def _long(self, v: Tensor, weight: Tensor, out: Tensor | None) -> Tensor:
        if out is None:
            return product(v, weight).to(torch.float32)
        return out.copy_(product(v, weight, self._room("products", out)))


def moments_of(weight: Tensor, v: Tensor, io: IOParameters, stages: Stages) -> Moments:
    """Return the three products, short ones where that is asked for, hidden by noise, and gains time.

    Args:
        weight: (tiles, out, in).
        v: (tiles, batch, in).
        io: Settings.
        stages: Of these tiles.
    """
    is_hidden = io.out_noise > 0 or io.w_noise > 0
    is_large = v.shape[1] >= LEAST_VECTORS and v.shape[2] >= LEAST_INPUTS
    if stages.noise_precision == "bfloat16" and is_hidden and is_large and multiplies_short_numbers():
        rows = as_rows(weight), as_rows(v)
        if rows[0] is not None and rows[1] is not None and weight.is_contiguous():
            return ShortMoments(weight, v, stages, rows[0][0], rows[1][0])
    return ExactMoments(weight, v, stages)


@functools.cache
def multiplies_short_numbers() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _shares(v: Tensor) -> Tensor:
    """Return by how much of the drop along the whole line each input is lowered: (in,)."""
    inputs = v.shape[2]
    distance = 1 - torch.arange(inputs, dtype=v.dtype, device=v.device) / inputs
    return 1 - distance**2


def _bits(values: Tensor) -> np.ndarray:
    """Return bfloat16 numbers as bits, one row a tile, which share their memory."""
    in_order = values if values.is_contiguous() else values.transpose(1, 2)
    bits: np.ndarray = in_order.view(torch.int16).reshape(len(values), -1).numpy()
    return bits


def _visits(values: np.ndarray, *_: Any) -> int:
    return values.size


@njit(cache=True, inline="always")
def _short(number):  # type: ignore[no-untyped-def]
    """Round to the nearest bfloat16 number, of two equally near to the even one."""
    bits = bits_of(number)
    return int16((bits + int32(0x7FFF) + ((bits >> int32(16)) & int32(1))) >> int32(16))


@njit(cache=True)
def _shorten_line(weight, shares, shared, magnitude):  # type: ignore[no-untyped-def]
    for i in range(len(weight)):
        shared[i] = _short(weight[i] * shares[i])
        magnitude[i] = _short(abs(weight[i]))


@threaded(_visits)
def shorten_weights(weight, shares, shared, magnitude):  # type: ignore[no-untyped-def]
    """Round weights to bfloat16 numbers.

    Args:
        weight: (tiles, out * in).
        shares: (in,) what they are multiplied by first.
        shared: (tiles, out * in) int16 results.
        magnitude: (tiles, out * in) int16 results of magnitudes that are not multiplied.
    """
    inputs = len(shares)
    for tile in prange(len(weight)):
        for at in range(0, weight.shape[1], inputs):
            line = slice(at, at + inputs)
            _shorten_line(weight[tile, line], shares, shared[tile, line], magnitude[tile, line])


@njit(cache=True)
def _shorten(v, short, magnitude, square):  # type: ignore[no-untyped-def]
    for j in range(len(v)):
        short[j] = _short(v[j])
        magnitude[j] = _short(abs(v[j]))
        square[j] = _short(v[j] * v[j])


@threaded(_visits)
def shorten_voltages(v, short, magnitude, square):  # type: ignore[no-untyped-def]
    """Round voltages, their magnitudes and their squares to bfloat16 numbers.

    Args:
        v: (tiles, n).
        short: (tiles, n) int16 results, and so the others.
        magnitude: Likewise.
        square: Likewise.
    """
    for tile in prange(len(v)):
        _shorten(v[tile], short[tile], magnitude[tile], square[tile])
