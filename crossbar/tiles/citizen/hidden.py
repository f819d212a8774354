"""What is hidden in the devices of a tile, as aihwkit's users read and write it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...learning import UnitCells
from ...reference.hidden import hidden_parameters, set_hidden_parameters
from ..lasting import lasting
from .matrix import TileWithMatrix


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

    rpu_config: Any

    @property
    def cells(self) -> UnitCells | None:
        """The devices that are trained in place, or None."""
        raise NotImplementedError

    def show_devices(self) -> None:
        """Show what the devices hold."""
        raise NotImplementedError
