"""Which tensors of a layer have an entry for every tile, and which of them a process holds."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...distributed import communication
from ...distributed.locations_of_process import LocationsOfProcess
from ...distributed.tiles_of_process import TilesOfProcess
from ...layers.placed_layer import PlacedLayer
from ...tiles.tile_array import TileArray

# What `Memory.populate` makes of one mask.
_FOLLOWS_FROM_POPULATED = ("population", "word_lines", "bit_lines")


@dataclass(frozen=True)
class Share:
    """A tensor of a layer of which each process holds a part.

    Attributes:
        name: Its name in the layer.
        axis: Along which tiles, or locations, lie.
        starts: Where the part of every process starts, and the end of the last.
    """

    name: str
    axis: int
    starts: tuple[int, ...]

    def own(self, whole: Tensor) -> Tensor:
        """Return the part of this process."""
        start, stop = self.starts[communication.rank() :][:2]
        return whole.narrow(self.axis, start, stop - start)

    def gather(self, own: Tensor) -> Tensor:
        """Return the whole from the parts of all processes."""
        return communication.gather(own, self.starts, self.axis)


def tiles_of(layer: PlacedLayer, locations: LocationsOfProcess) -> TilesOfProcess:
    """Return which physical tiles of a layer serve the locations of this process.

    Args:
        layer: A layer in which every location has tiles of its own, those of all groups and blocks of its kernel.
        locations: The locations of every process.
    """
    each = layer.geometry.groups * layer.blocks.per_kernel
    return TilesOfProcess.of(tuple(start * each for start in locations.starts), locations.traffic)


def shares_of(layer: PlacedLayer, locations: LocationsOfProcess) -> Iterator[Share]:
    """Iterate over the tensors of a layer that are divided: all that has an entry for every tile, and the biases.

    Args:
        layer: A layer in which every location has tiles of its own; divided already, or to be.
        locations: The locations of every process.
    """
    array, starts = layer.tile_array, tiles_of(layer, locations).starts
    axes = dict(_axes_of_tiles(array))
    for name, value in _tensors(array):
        if name in (f"{array.memory.name}.{one}" for one in _FOLLOWS_FROM_POPULATED):
            continue
        # What two small arrays do not have, a count or a copy for example, is one value for each device.
        axis = axes.get(name, 0 if value.shape == (array.tiles, array.out_size, array.in_size) else None)
        if axis is not None:
            yield Share(f"analog_module.{name}", axis, starts)
    if layer.bias is not None:
        yield Share("bias", 0, locations.starts)


def say_how_many(array: TileArray, tiles: int) -> None:
    """Tell all parts of an array how many tiles it has now.

    Args:
        array: Whose tensors have been divided, or brought together.
        tiles: How many.
    """
    small, other = _two_small(array)
    for name, part in small.named_modules():
        others = vars(other.get_submodule(name))
        for attribute, value in vars(part).items():
            if (value, others.get(attribute)) == (2, 3):
                setattr(array.get_submodule(name), attribute, tiles)
    if array.in_situ is not None:
        array.in_situ.sizes = (tiles, *array.in_situ.sizes[1:])


def _axes_of_tiles(array: TileArray) -> Iterator[tuple[str, int | None]]:
    """Iterate over the tensors of an array, and the axis along which tiles lie; None if there is none.

    It is seen from what differs between two small arrays of the same kind, of 2 and 3 tiles: so that a learning rule
    does not have to say it.
    """
    small, other = _two_small(array)
    others = dict(_tensors(other))
    for name, value in _tensors(small):
        sizes = list(zip(value.shape, others[name].shape, strict=True))
        yield name, sizes.index((2, 3)) if (2, 3) in sizes else None


def _two_small(array: TileArray) -> tuple[TileArray, TileArray]:
    def small(tiles: int) -> TileArray:
        shape = tiles, array.out_size, array.in_size
        populated = None if array.populated is None else torch.ones(shape, dtype=torch.bool)
        return TileArray(*shape, array.rpu_config, populated=populated, seed=0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given when the array itself was made
        return small(2), small(3)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
