"""What layers and containers answer about their tiles: an entry for each physical one, deeds once for each array."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from devices.units import Dimensionless, Seconds

from ..aihwkit.adapter import (
    AnalogLayerBase,
    BaseNoiseModel,
    InferenceTileWithPeriphery,
    ModuleError,
    TileModule,
)
from ..aihwkit.adapter import AnalogSequential as TheirSequential
from ..tiles.tile_array import TileArray


def arrays_of(module: Any) -> Iterator[tuple[str, TileModule]]:
    """Return the tile modules of a model, with their names: one array for all tiles of a layer."""
    for name, part in module.named_modules():
        if isinstance(part, TileModule):
            yield name, part


class CountsTiles(AnalogLayerBase):
    """Anything with tiles, as aihwkit's users count them.

    `analog_tiles()` and `named_analog_tiles()` have an entry for each physical tile. The entries of one layer are one
    and the same `TileArray`, which answers for the whole layer.
    """

    def named_analog_tiles(self) -> Iterator[tuple[str, TileModule]]:
        """Iterate over the physical tiles, with names; those of one layer are numbered if there are several."""
        for name, array in arrays_of(self):
            tiles = array.tiles if isinstance(array, TileArray) else 1
            for tile in range(tiles):
                yield (f"{name}.{tile}" if tiles > 1 else name), array

    def analog_tiles(self) -> Iterator[TileModule]:
        """Iterate over the physical tiles: an array once for each of its tiles."""
        for _, array in self.named_analog_tiles():
            yield array

    def apply_to_analog_tiles(self, fn: Callable[[TileModule], object]) -> "CountsTiles":
        """Call a function with every tile array once."""
        for _, array in arrays_of(self):
            fn(array)
        return self


class AnalogContainer(CountsTiles):
    """Anything with analog layers: what is asked of it, every layer does once."""

    IS_CONTAINER = True
    training: bool

    def get_weights(self, **options: Any) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Return weight and bias of every layer, by the name of its tiles; see `TileArray.get_weights`."""
        return {name: array.get_weights(**options) for name, array in arrays_of(self)}

    def set_weights(self, weights_dic: dict[str, tuple[Tensor, Tensor | None]], **options: Any) -> None:
        """Set the weights of every layer; see `TileArray.set_weights`.

        Raises:
            ModuleError: If a layer is missing.
        """
        for name, array in arrays_of(self):
            if name not in weights_dic:
                raise ModuleError(
                    f"`weights_dic` must have the tiles {name!r}, but has {sorted(weights_dic)}."
                )
            array.set_weights(*weights_dic[name], **options)

    def program_analog_weights(self, noise_model: BaseNoiseModel | None = None) -> None:
        """Program every layer."""
        self._refuse_in_training("program_analog_weights")
        for _, array in arrays_of(self):
            array.program_weights(noise_model=noise_model)

    def drift_analog_weights(self, t_inference: Seconds = 0.0) -> None:
        """Program, if need be, and let the devices of every layer drift until a time in seconds."""
        self._refuse_in_training("drift_analog_weights")
        for _, array in arrays_of(self):
            if isinstance(array, InferenceTileWithPeriphery):
                array.drift_weights(t_inference)

    def remap_analog_weights(self, weight_scaling_omega: Dimensionless | None = 1.0) -> None:
        """Map the weights of every layer anew onto the conductance range."""
        for _, array in arrays_of(self):
            array.remap_weights(weight_scaling_omega=weight_scaling_omega)

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings of every layer."""
        for _, array in arrays_of(self):
            array.to(rpu_config)

    def _refuse_in_training(self, name: str) -> None:
        if self.training:
            raise ModuleError(f"{name} can only be applied in evaluation mode")


class AnalogSequential(AnalogContainer, TheirSequential):
    """aihwkit's container of layers one after the other, which counts tiles as `CountsTiles` does.

    Example:
        >>> from torch import nn
        >>> from crossbar import AnalogLinear
        >>> from crossbar.aihwkit.adapter import InferenceRPUConfig
        >>> config = InferenceRPUConfig()
        >>> config.mapping.max_input_size = 4
        >>> model = AnalogSequential(AnalogLinear(8, 3, rpu_config=config), nn.ReLU())
        >>> [name for name, _ in model.named_analog_tiles()], model.analog_tile_count()
        (['0.analog_module.0', '0.analog_module.1'], 2)
    """
