"""What stands in aihwkit for the simulator behind a tile, `analog_module.tile`, as its users read and print it."""

from typing import Any

import torch
from torch import Tensor

from devices.units import Dimensionless


class SimulatedTile:
    """The weights of a tile in units of the largest conductance; a bias that lies on it is its last input.

    A view: it keeps nothing. aihwkit's users read, set and print the C++ tile through `analog_module.tile`; digital
    scales, input ranges and a digital bias are not part of it.

    Args:
        array: The tile array that is looked at.
    """

    def __init__(self, array: Any) -> None:
        self._array = array

    def get_weights(self) -> Tensor:
        """Return the (out, in) matrix that the tile holds; (kernels, out, in) of several."""
        held: Tensor = self._array.held_weights(apply_weight_scaling=False)
        matrix: Tensor = held[0] if len(held) == 1 else held
        return matrix

    def set_weights(self, weight: Tensor) -> None:
        """Set it, in units of the largest conductance.

        Args:
            weight: As `get_weights` returns it.
        """
        self._array.write_weights(weight[None] if weight.dim() == 2 else weight, apply_weight_scaling=False)

    def get_x_size(self) -> int:
        """Return the number of word lines."""
        size: int = self._array.in_size
        return size

    def get_d_size(self) -> int:
        """Return the number of bit lines."""
        size: int = self._array.out_size
        return size

    def get_hidden_parameter_names(self) -> list[str]:
        """Return what is listed of the devices."""
        names: list[str] = self._array.get_hidden_parameter_names()
        return names

    def get_hidden_parameters(self) -> Tensor:
        """Return all of it in one tensor, in the order of the names; empty without devices."""
        values = list(self._array.get_hidden_parameters().values())
        return torch.stack(values) if values else torch.empty(0)

    def set_hidden_parameters(self, params: Tensor) -> None:
        """Make the devices what changed hidden parameters say.

        Args:
            params: As `get_hidden_parameters` returns them.
        """
        names = self.get_hidden_parameter_names()
        self._array.set_hidden_parameters(dict(zip(names, params, strict=True)))

    def get_learning_rate(self) -> Dimensionless:
        """Return the learning rate of in-situ updates."""
        rate: Dimensionless = self._array.get_learning_rate()
        return rate

    def set_learning_rate(self, learning_rate: Dimensionless | None) -> None:
        """Set it."""
        self._array.set_learning_rate(learning_rate)

    def get_brief_info(self) -> str:
        """Return one line about the tile."""
        line: str = self._array.get_brief_info()
        return line

    def __repr__(self) -> str:
        """Describe the tile and its devices."""
        config = self._array.rpu_config
        device = getattr(config, "device", None)
        what = "" if device is None else f", {type(device).__name__}"
        return f"SimulatedTile({self._array.extra_repr()}, {type(config).__name__}{what})"
