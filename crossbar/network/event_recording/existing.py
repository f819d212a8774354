"""What there is of a layer to be driven, read and multiplied: lines without devices and absent weights are not."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ...cost.events import LayerShape
from ...layers.analog_layer import AnalogLayer
from ...layers.locally_connected import LocallyConnected
from ...layers.map_layer import MapLayer
from ...placement.connections import existing_devices
from ...tiles.tile_array import TileArray


@final
@dataclass(frozen=True)
class Passes:
    """What some vectors meet on their way through a layer, over all of them and over all tiles.

    Attributes:
        word_lines: Word lines that are driven; those of every block of outputs count.
        bit_lines: Bit lines that are read; those of every block of inputs count.
        inputs: Inputs that any block uses.
        outputs: Outputs that any block has.
        weights: Weights that are multiplied.
    """

    word_lines: int
    bit_lines: int
    inputs: int
    outputs: int
    weights: int


@final
class ExistingParts:
    """Which lines and weights the tiles of a layer have; of a digital layer, its kernels.

    Args:
        layer: An analog or digital layer.
        shape: Its sizes.
    """

    def __init__(self, layer: nn.Module, shape: LayerShape) -> None:
        self._layer, self._shape = layer, shape
        self._parts: Tensor | None = None  # (holders, 5), the numbers of `Passes` of one vector
        if isinstance(layer, AnalogLayer):
            population = _population_of_all(layer.tile_array)
            if population is not None:
                self._parts = _of_tiles(layer, population)
        elif isinstance(layer, LocallyConnected):
            present = existing_devices(layer.connections, layer.populated, layer.geometry)
            if present is not None:
                self._parts = _counted(present, present)

    def of(self, vectors: int) -> Passes:
        """Return what so many vectors meet, which all locations and groups have their equal part of.

        Args:
            vectors: How many products of kernels.
        """
        shape, layer = self._shape, self._layer
        if self._parts is None:
            return Passes(
                vectors * shape.in_size * shape.grid[0],
                vectors * shape.out_size * shape.grid[1],
                vectors * shape.in_size,
                vectors * shape.out_size,
                vectors * shape.cells,
            )
        groups = layer.geometry.groups if isinstance(layer, MapLayer) else 1
        holders = self._parts.unflatten(0, (-1, groups)).sum(dim=1)
        if len(holders) == 1 or not isinstance(layer, MapLayer):
            return Passes(*(vectors // groups * holders[0]).tolist())
        placed = layer.placement
        index = placed.tile_of_location if len(holders) == placed.tiles else placed.kernel_of_location
        images = vectors // (shape.locations * groups)
        return Passes(*(images * holders[index].sum(dim=0)).tolist())


def _population_of_all(array: TileArray) -> Tensor | None:
    """Return which devices exist of all tiles, those that other processes hold among them; None for all."""
    population, part = array.tile_population(), array.noise.part
    return population if population is None or part is None else part.gather(population)


def lines_of_tiles(layer: AnalogLayer) -> tuple[Tensor, Tensor, Tensor]:
    """Return bit lines, word lines and devices of every physical tile, (tiles,) each."""
    array = layer.tile_array
    population = _population_of_all(array)
    if population is None:
        sizes = (array.out_size, array.in_size, array.out_size * array.in_size)
        return tuple(torch.full((array.all_tiles,), size) for size in sizes)  # type: ignore[return-value]
    population = population.cpu()
    return population.any(dim=2).sum(dim=1), population.any(dim=1).sum(dim=1), population.sum(dim=(1, 2))


def _of_tiles(layer: AnalogLayer, population: Tensor) -> Tensor:
    blocks = layer.blocks
    bit_lines, word_lines, _ = (part.unflatten(0, (-1, blocks.per_kernel)) for part in lines_of_tiles(layer))
    counted = _counted(blocks.join(population.cpu().float()).bool(), population)
    counted[:, 0], counted[:, 1] = word_lines.sum(dim=1), bit_lines.sum(dim=1)
    return counted


def _counted(kernels: Tensor, population: Tensor) -> Tensor:
    """Return the numbers of `Passes` for one vector and each of (holders, out, in), not cut into blocks."""
    inputs, outputs = kernels.any(dim=1).sum(dim=1), kernels.any(dim=2).sum(dim=1)
    return torch.stack([inputs, outputs, inputs, outputs, kernels.sum(dim=(1, 2))], dim=1).cpu()
