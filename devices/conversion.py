"""Weights to conductances and back, every tile over its own range.

aihwkit's converters take the extreme weights of whatever tensor they are given. Given many tiles at once,
they would spread all of them over the range of the largest. Here every tile is first brought to its own unit
range; then the converter acts once on all of them, which is the same as a loop over the tiles and much
faster.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import final, override

from .aihwkit_adapter import (
    BaseConductanceConverter,
    CustomPairConductanceConverter,
    DualPairConductanceConverter,
    NPairConductanceConverter,
    SingleDeviceConductanceConverter,
    SinglePairConductanceConverter,
)

Weights = Float[Tensor, "tiles bit_lines word_lines"]
Conductances = list[Float[Tensor, "tiles bit_lines word_lines"]]
Populated = Bool[Tensor, "tiles bit_lines word_lines"]

# These map an interval that is symmetric about zero, so one scale per tile describes the tile's range.
# Subclasses are not meant: they may look at the weights in any way.
_SYMMETRIC_CONVERTERS = (
    SinglePairConductanceConverter,
    NPairConductanceConverter,
    DualPairConductanceConverter,
    CustomPairConductanceConverter,
)

# aihwkit's own floor below the largest weight: a tile of zeros is written with this range, so that its
# programming noise is some 1e-9 in weight and not as large as that of a tile in use.
_SMALLEST_RANGE = 1e-7


_ALL = slice(None)


class AbstractTileConversion(ABC):
    """How the weights of many tiles are laid out over devices."""

    @property
    def g_target(self) -> Conductances:
        """The conductances asked for, in µS; one tensor for each device of the unit cell. Computed anew."""
        return self.targets(_ALL)

    @abstractmethod
    def targets(self, part: slice) -> Conductances:
        """Return the conductances asked for of some tiles."""

    @abstractmethod
    def to_weights(self, conductances: Conductances, part: slice = _ALL) -> Weights:
        """Turn conductances in µS into weights, with the ranges that the target weights had.

        Args:
            conductances: Of some tiles.
            part: Which tiles.
        """


def convert_tiles(
    converter: BaseConductanceConverter, weights: Weights, populated: Populated | None = None
) -> AbstractTileConversion:
    """Lay out the weights of many tiles over devices, every tile over its own range.

    Args:
        converter: aihwkit's or a user's conductance converter.
        weights: The target weights.
        populated: Where a device exists. Absent devices do not take part in finding a tile's range.

    Returns:
        The conversion, with the target conductances.
    """
    if type(converter) is SingleDeviceConductanceConverter:
        low, high = _extremes(weights, populated)
        # A tile whose weights are all equal has no range: its magnitude stands in, so that noise stays in
        # proportion. (aihwkit divides by zero here.)
        span = torch.where(high > low, high - low, torch.maximum(high.abs(), low.abs()))
        return _RangeConversion(converter, weights, span, low, populated)
    if type(converter) in _SYMMETRIC_CONVERTERS:
        low, high = _extremes(weights, populated)
        largest = torch.maximum(high.abs(), low.abs())
        return _RangeConversion(converter, weights, largest, torch.zeros_like(largest), populated)
    return _LoopConversion(converter, weights)


@final
class _RangeConversion(AbstractTileConversion):
    """One call of the converter for all tiles, each shifted and scaled to a unit range before."""

    def __init__(
        self,
        converter: BaseConductanceConverter,
        weights: Weights,
        span: Tensor,
        offset: Tensor,
        populated: Populated | None,
    ) -> None:
        self.span = span.clamp(min=_SMALLEST_RANGE)  # (tiles, 1, 1)
        self.offset = offset
        self._converter, self._weights, self._populated = converter, weights, populated
        # The converter takes the extremes of all it sees: 0 and 1 fix them, whatever the tiles hold.
        self._anchors = weights.new_tensor([0.0, 1.0])
        conductances, self._parameters = converter.convert_to_conductances(self._anchors)
        self._is_bare = isinstance(conductances, Tensor)

    @override
    def targets(self, part: slice) -> Conductances:
        unit_weights = (self._weights[part] - self.offset[part]) / self.span[part]
        if self._populated is not None:
            unit_weights = unit_weights.masked_fill(~self._populated[part], 0.0)
        seen = torch.cat([unit_weights.flatten(), self._anchors])
        conductances, _ = self._converter.convert_to_conductances(seen)
        return [g[:-2].reshape(unit_weights.shape) for g in _as_list(conductances)]

    @override
    def to_weights(self, conductances: Conductances, part: slice = _ALL) -> Weights:
        unit_weights = self._converter.convert_back_to_weights(
            conductances[0] if self._is_bare else conductances, self._parameters
        )
        return unit_weights * self.span[part] + self.offset[part]


@final
class _LoopConversion(AbstractTileConversion):
    """A converter that we do not know, called once for each tile."""

    def __init__(self, converter: BaseConductanceConverter, weights: Weights) -> None:
        self._converter = converter
        converted = [converter.convert_to_conductances(tile.clone()) for tile in weights]
        self._parameters: list[dict[str, Any]] = [parameters for _, parameters in converted]
        self._is_bare = isinstance(converted[0][0], Tensor)
        per_tile = [_as_list(conductances) for conductances, _ in converted]
        self._targets = [torch.stack(devices) for devices in zip(*per_tile, strict=True)]

    @override
    def targets(self, part: slice) -> Conductances:
        return [g[part] for g in self._targets]

    @override
    def to_weights(self, conductances: Conductances, part: slice = _ALL) -> Weights:
        tiles = [
            self._converter.convert_back_to_weights(
                conductances[0][tile] if self._is_bare else [g[tile] for g in conductances], parameters
            )
            for tile, parameters in enumerate(self._parameters[part])
        ]
        return torch.stack(tiles)


def _extremes(weights: Weights, populated: Populated | None) -> tuple[Tensor, Tensor]:
    if populated is None:
        return weights.amin((1, 2), keepdim=True), weights.amax((1, 2), keepdim=True)
    low = weights.masked_fill(~populated, torch.inf).amin((1, 2), keepdim=True)
    high = weights.masked_fill(~populated, -torch.inf).amax((1, 2), keepdim=True)
    is_empty = ~populated.any(2, keepdim=True).any(1, keepdim=True)
    return low.masked_fill(is_empty, 0.0), high.masked_fill(is_empty, 0.0)


def _as_list(conductances: list[Tensor] | Tensor) -> list[Tensor]:
    # aihwkit's single-device converter returns a bare tensor where the interface promises a list, and must be
    # given one back: a list would add an axis to the weights.
    return [conductances] if isinstance(conductances, Tensor) else list(conductances)
