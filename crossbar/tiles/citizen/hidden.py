"""What is hidden in the devices of a tile, as aihwkit's users read and write it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from devices.pulsed.retention import reset_
from devices.units import Dimensionless

from ...learning import UnitCells
from ...reading.noise import NoiseStream
from ...reference.backend import ReferenceCells
from ...reference.hidden import hidden_parameters, set_hidden_parameters
from ..lasting import lasting
from .matrix import TileWithMatrix
from .simulated_tile import SimulatedTile


class TileWithHidden(TileWithMatrix):
    """Tiles whose devices are listed by aihwkit's names: bounds, step sizes, and more, as the device has them.

    An array of one physical tile has (out, in) under each name, as aihwkit's tile; of several, (tiles, out, in).
    Weights that an optimizer trains have no devices, and no names, as in aihwkit.
    """

    tiles: int

    def get_hidden_parameters(self) -> "OrderedDict[str, Tensor]":
        """Return copies of what is hidden in the devices, by aihwkit's names."""
        if self.cells is None:
            return OrderedDict()
        found = hidden_parameters(self.cells)
        return OrderedDict((name, values[0] if self.tiles == 1 else values) for name, values in found.items())

    def get_hidden_parameter_names(self) -> list[str]:
        """Return their names."""
        return list(self.get_hidden_parameters())

    @lasting
    def set_hidden_parameters(self, ordered_parameters: Mapping[str, Tensor]) -> None:
        """Make the devices what changed hidden parameters say.

        Args:
            ordered_parameters: What `get_hidden_parameters` returned, with changed values.

        Raises:
            ValueError: If a name is missing or unknown, a shape differs, or there are no devices.
        """
        if self.cells is None:
            if ordered_parameters:
                raise ValueError(
                    f"`ordered_parameters` must be empty for {type(self.rpu_config).__name__}, whose weights an "
                    f"optimizer trains, but has {sorted(ordered_parameters)}."
                )
            return
        values = {
            name: value[None] if self.tiles == 1 and value.dim() == 2 else value
            for name, value in ordered_parameters.items()
        }
        set_hidden_parameters(self.cells, values)
        self.show_devices()

    @property
    def tile(self) -> SimulatedTile:
        """What aihwkit's users find under this name: the devices of the tile, without digital scales and ranges."""
        return SimulatedTile(self)

    def reset(self, reset_prob: Dimensionless = 1.0) -> None:
        """Reset the devices: each goes to its own reset value, as its device model says.

        Args:
            reset_prob: With which each of them is reset.

        Raises:
            ValueError: If there are no devices, or several at each crosspoint.
        """
        self.reset_columns(0, -1, reset_prob)

    @lasting
    def reset_columns(
        self, start_column_idx: int = 0, num_columns: int = 1, reset_prob: Dimensionless = 1.0
    ) -> None:
        """Reset the devices of some word lines, which aihwkit calls columns, of every tile.

        Args:
            start_column_idx: The first.
            num_columns: How many; -1 for all. Behind the last word line comes the first.
            reset_prob: With which each device of them is reset.

        Raises:
            ValueError: If there are no devices, or several at each crosspoint, or no such word line.
        """
        arrays = {} if self.cells is None else self.cells.device_arrays()
        if self.cells is None or (arrays.keys() != {"main"} and not isinstance(self.cells, ReferenceCells)):
            held = (
                "no devices that learn in place" if self.cells is None else "several devices at a crosspoint"
            )
            raise ValueError(
                f"`rpu_config` must give every crosspoint one device to be reset, but a "
                f"{type(self.rpu_config).__name__} with {held} does not. Use set_weights."
            )
        if not 0 <= start_column_idx < self.in_size or not -1 <= num_columns <= self.in_size:
            raise ValueError(
                f"`start_column_idx` and `num_columns` must name some of {self.in_size} word lines, but are "
                f"{start_column_idx} and {num_columns}. Count from 0."
            )
        if isinstance(self.cells, ReferenceCells):
            for tile in self.cells.aihwkit_tiles:
                tile.reset_columns(start_column_idx, num_columns, reset_prob)
        else:
            lines = torch.arange(self.in_size, device=self.mapping_scales.device)
            count = self.in_size if num_columns < 0 else num_columns
            chosen = (lines - start_column_idx) % self.in_size < count
            reset_(arrays["main"], chosen, probability=reset_prob, rng=self.noise.generator("cpu"))
        self.show_devices()

    rpu_config: Any
    in_size: int
    noise: NoiseStream

    @property
    def cells(self) -> UnitCells | None:
        """The devices that are trained in place, or None."""
        raise NotImplementedError

    def show_devices(self) -> None:
        """Show what the devices hold."""
        raise NotImplementedError
