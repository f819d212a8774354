"""Refusals that name the layer: `layer3.0.conv1`, not only the rule that it breaks."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..aihwkit.adapter import AihwkitException, AnalogLayerBase, TileModule
from ..layers.analog_layer import AnalogLayer
from ..layers.map_layer import MapLayer
from ..tiles.tile_array import TileArray

_OF_A_LAYER = ".analog_module"


def layer_name(array_name: str) -> str:
    """Return the name of the layer whose tile array has this name.

    Example:
        >>> layer_name("layer3.0.conv1.analog_module"), layer_name("analog_module")
        ('layer3.0.conv1', '')
    """
    return f".{array_name}".removesuffix(_OF_A_LAYER).removeprefix(".")


@contextmanager
def naming(layer: str) -> Iterator[None]:
    """Name a layer in whatever is refused inside the block."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, AihwkitException) as error:
        is_plain = type(error) in (ValueError, TypeError, RuntimeError) or isinstance(error, AihwkitException)
        if not layer or not is_plain:
            raise
        raise type(error)(f"layer {layer!r}: {error}") from error


def foreign_layers(model: nn.Module) -> dict[str, str]:
    """Return the analog layers that are not this emulator's, by name, with their class."""
    found = {}
    for name, module in model.named_modules():
        is_layer = isinstance(module, AnalogLayerBase) and not module.IS_CONTAINER
        has_tiles = any(isinstance(tile, TileModule) for tile in module.modules())
        if is_layer and has_tiles and not isinstance(module, AnalogLayer):
            found[name] = type(module).__name__
    return found


def refuse_foreign_layers(model: nn.Module, action: str, *, may_be_spread: bool = False) -> None:
    """Refuse a model with analog layers of aihwkit's own, whose tiles would be passed over without a word.

    Args:
        model: A model.
        action: What cannot be done with them, as in "cannot be {action}".
        may_be_spread: Whether it can be done where this process holds a part of the tiles only.

    Raises:
        ValueError: If there are such layers, or tiles are spread; names them.
    """
    if not may_be_spread:
        refuse_spread_layers(model, action)
    foreign = foreign_layers(model)
    if foreign:
        names = ", ".join(f"{name or '(model)'!r} ({kind})" for name, kind in foreign.items())
        raise ValueError(
            f"`model` must have analog layers of this emulator only, but has aihwkit's own: {names}. Their tiles "
            f"cannot be {action}. Convert the digital network with crossbar.convert_to_analog, and name what should "
            "stay digital in `exclude_modules`."
        )


def refuse_spread_layers(model: nn.Module, action: str) -> None:
    """Refuse a model of whose tiles this process holds a part only.

    Args:
        model: A model.
        action: What cannot be done with it, as in "cannot be {action}".

    Raises:
        ValueError: If there are such layers; names them.
    """
    spread = [name for name, layer in model.named_modules() if isinstance(layer, MapLayer) and layer.spread]
    if spread:
        names = ", ".join(repr(name or "(model)") for name in spread)
        raise ValueError(
            f"`model` must have all its tiles in this process, but those of {names} are spread over several, and "
            f"cannot be {action}. Call `gather_tiles` first, in all of them."
        )


def arrays_to_act_on(model: nn.Module, action: str) -> list[tuple[str, TileArray]]:
    """Return the tile arrays of a model and their names.

    Raises:
        ValueError: If there are none, or analog layers that are not this emulator's.
    """
    refuse_foreign_layers(model, action)
    arrays = [(name, module) for name, module in model.named_modules() if isinstance(module, TileArray)]
    if not arrays:
        raise ValueError("`model` must have analog layers, but has none. Use `convert_to_analog` first.")
    return arrays
