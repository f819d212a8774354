"""Networks of aihwkit's layers as networks of ours, and back; and aihwkit's checkpoints into ours."""

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..aihwkit.adapter import (
    THEIR_CONVOLUTIONS,
    THEIR_LINEARS,
    AnalogLayerBase,
    BaseConductanceConverter,
    BaseDriftCompensation,
    BaseNoiseModel,
    SimulatorTile,
    TileModule,
    TileModuleArray,
    TileModuleBase,
)
from ..layers.analog_convolution import AnalogConv1d, AnalogConv2d, AnalogConv3d, AnalogConvolution
from ..layers.analog_layer import AnalogLayer
from ..layers.analog_linear import AnalogLinear
from .exchanged_tiles import first_tile, hand_over, is_programmed, take_over
from .named_refusals import naming

_OURS = {1: AnalogConv1d, 2: AnalogConv2d, 3: AnalogConv3d}
_OF_MAPPED = re.compile(r"(?:(.*?)\.)?(analog_module\.)?array\.\d+\.\d+\.")
_DATA = (Enum, BaseNoiseModel, BaseConductanceConverter, BaseDriftCompensation)


def from_aihwkit(model: nn.Module) -> nn.Module:
    """Turn a network with layers of aihwkit's into one with layers of ours, as trained; it stays as it is.

    Linear layers, convolutions and their mapped variants, also inside aihwkit's recurrent layers, with weights,
    digital and learned scales, input ranges, hidden parameters of devices, biases. Of a programmed layer the targets
    are taken: program it anew. Counters inside compounds, of transfers for example, and ranges of digitally quantised
    outputs start anew.

    Args:
        model: A live model, with configurations; nothing is unpickled here.

    Raises:
        ValueError: If a layer has no counterpart, or its configuration is refused; names the layer.
    """

    def make(theirs: Any) -> nn.Module:
        if is_programmed(theirs):
            warnings.warn(
                "a programmed layer of aihwkit's becomes one with its targets, and no chip. Program it anew",
                stacklevel=4,
            )
        ours = _ours_like(theirs)
        take_over(ours, theirs)
        return ours.train(theirs.training)

    return _with_others(model, _is_theirs, make)


def to_aihwkit(model: nn.Module) -> nn.Module:
    """Turn a network with layers of ours into one with layers of aihwkit's, as trained; it stays as it is.

    The counterpart of `from_aihwkit`. A programmed chip is not part of it.

    Args:
        model: With dense layers and convolutions of ours on one tile each, split where the configuration says so.

    Raises:
        ValueError: If aihwkit has no such layer (several kernels, copies, groups, other paddings than zeros,
            transposed convolutions); names the layer.
    """

    return _as_theirs(model, frozenset())


def load_aihwkit_state(model: nn.Module, state: Mapping[str, Any] | str | Path) -> nn.Module:
    """Fill a network of ours with the state dictionary of the same network of aihwkit's layers.

    Args:
        model: With layers of ours, under the names that they have in aihwkit's network, with the configurations that
            it was trained with. A model that is changed only if everything fits.
        state: The state dictionary; or a file of it, which torch's restricted reader opens: it makes tensors and
            aihwkit's configurations, and runs nothing else.

    Returns:
        The model.

    Raises:
        ValueError: If the model has a layer that aihwkit has not, or the file holds other things.
        RuntimeError: If names or shapes differ, as torch's own message says.
    """
    read = _read_state(state) if isinstance(state, str | Path) else state
    twin = _as_theirs(model, frozenset(_mapped_layers(read)))
    for tile in twin.modules():
        if isinstance(tile, TileModule):
            tile.set_load_rpu_config_state(False)  # that of the model
    twin.load_state_dict(dict(read) if not hasattr(read, "_metadata") else read)
    for name, module in twin.named_modules():
        if _is_theirs(module):
            with naming(name):
                take_over(model.get_submodule(name), module)  # type: ignore[arg-type]
    inside = tuple(
        f"{name}." for name, module in model.named_modules() if isinstance(module, AnalogLayer) and name
    )
    if not isinstance(model, AnalogLayer):
        digital = {name: values for name, values in twin.state_dict().items() if not name.startswith(inside)}
        model.load_state_dict(digital, strict=False)
    return model


def _read_state(path: str | Path) -> Mapping[str, Any]:
    with torch.serialization.safe_globals(_plain_classes()):
        try:
            state: Mapping[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
            raise _no_state(path, error) from error
        except Exception as error:  # pickle.UnpicklingError: something else than data
            raise _no_state(path, error) from error
    if not isinstance(state, Mapping):
        raise _no_state(path, TypeError(f"it holds a {type(state).__name__}"))
    return state


def _no_state(path: str | Path, error: Exception) -> ValueError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ValueError(
        f"`state` must be a file of a state dictionary of aihwkit's, but {path} is none ({reason}). Save "
        "`model.state_dict()`; of a whole model that you trust, load it yourself and call from_aihwkit."
    )


def _plain_classes() -> list[Any]:
    """Return aihwkit's classes of configurations, and of tiles, which a configuration names: data, no functions."""
    names = [name for name in sys.modules if name.startswith(("aihwkit.simulator.", "aihwkit.inference."))]
    classes = {
        value
        for name in names
        for value in vars(sys.modules[name]).values()
        if isinstance(value, type) and value.__module__.startswith("aihwkit.")
    }
    tiles = (TileModuleBase, SimulatorTile)
    return [kind for kind in classes if is_dataclass(kind) or issubclass(kind, (*_DATA, *tiles))]


def _mapped_layers(state: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Return which layers of a saved network are cut into tiles: the name, and whether by their tile module.

    That of a linear layer is an array whenever it is mapped; mapped convolutions have the array themselves.
    """
    for key in state:
        found = _OF_MAPPED.match(key)
        if found is not None:
            yield found[1] or "", found[2] is not None


def _as_theirs(model: nn.Module, mapped: frozenset[tuple[str, bool]]) -> nn.Module:
    """Return a copy with layers of aihwkit's; those of `_mapped_layers` are of its mapped kinds, also on one tile."""
    names = {id(module): name for name, module in model.named_modules()}

    def make(ours: Any) -> nn.Module:
        is_mapped = (names[id(ours)], isinstance(ours, AnalogLinear)) in mapped
        theirs = _theirs_like(ours, is_mapped=is_mapped)
        hand_over(ours, theirs)
        return theirs.train(ours.training)

    return _with_others(model, lambda module: isinstance(module, AnalogLayer), make)


def _is_theirs(module: nn.Module) -> bool:
    is_layer = isinstance(module, AnalogLayerBase) and not isinstance(module, AnalogLayer)
    has_tiles = isinstance(getattr(module, "analog_module", None), TileModule | TileModuleArray)
    return is_layer and (has_tiles or isinstance(module, THEIR_CONVOLUTIONS))


def _with_others(
    model: nn.Module, concerns: Callable[[nn.Module], bool], make: Callable[[Any], nn.Module]
) -> nn.Module:
    """Return a copy of a model in which some layers are others; tied ones stay tied."""
    others: dict[int, Any] = {}
    for name, module in model.named_modules():
        if concerns(module) and id(module) not in others:
            with naming(name):
                others[id(module)] = make(module)
    if not others:
        raise ValueError(
            "`model` must have analog layers to exchange, but has none. Use `convert_to_analog` first."
        )
    copied: nn.Module = deepcopy(model, others)  # a copy of what is in `others` is what stands there
    return copied


def _ours_like(theirs: Any) -> AnalogLayer:
    tile = first_tile(theirs)
    config = deepcopy(tile.rpu_config)
    if tile is not getattr(theirs, "analog_module", None):
        config.mapping.digital_bias = True  # the tiles of an array have none
    bias = theirs.bias is not None and theirs.bias is not False
    ours: AnalogLayer
    if isinstance(theirs, THEIR_LINEARS):
        ours = AnalogLinear(theirs.in_features, theirs.out_features, bias, config)
    elif isinstance(theirs, THEIR_CONVOLUTIONS):
        sizes = theirs.in_channels, theirs.out_channels, theirs.kernel_size, theirs.stride, theirs.padding
        kind = _OURS[len(theirs.kernel_size)]
        ours = kind(*sizes, theirs.dilation, bias=bias, rpu_config=config)
    else:
        raise ValueError(
            f"`model` must have linear layers and convolutions of aihwkit's only, but has a {type(theirs).__name__}. "
            "Build it of layers of ours, and set its weights."
        )
    return ours.to(tile.device)


def _theirs_like(ours: AnalogLayer, *, is_mapped: bool) -> Any:
    array = ours.tile_array
    config = deepcopy(array.rpu_config)
    if isinstance(ours, AnalogLinear):
        return THEIR_LINEARS[is_mapped](ours.in_features, ours.out_features, ours.has_bias, config)
    if (
        not isinstance(ours, AnalogConvolution)
        or (ours.placement.tiles, ours.groups, ours.padding_mode) != (1, 1, "zeros")
        or isinstance(ours.padding, str)
    ):
        raise ValueError(
            f"`model` must have layers that aihwkit has, too, but has a {type(ours).__name__} ({ours.extra_repr()}): "
            "one kernel on one tile, one group, and numbers of zeros around."
        )
    kind = THEIR_CONVOLUTIONS[ours.dimensions - 1 + 3 * is_mapped]
    sizes = ours.in_channels, ours.out_channels, ours.kernel_size, ours.stride, ours.padding, ours.dilation
    return kind(*sizes, bias=ours.has_bias, rpu_config=config)
