"""Turn a digital model into an analog one."""

import warnings
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import nn

from devices import Faults

from ...aihwkit.adapter import DEFAULT_CONVERSION_MAP, AnalogLayerBase
from ...aihwkit.adapter import AnalogSequential as TheirSequential
from ...layers.analog_layer import AnalogLayer
from ...layers.analog_linear import AnalogLinear
from ...layers.arguments import refuse_tile_class
from ...layers.attention import AnalogMultiheadAttention
from ...layers.containers import AnalogSequential
from ...layers.layer_table import ANALOG_OF_DIGITAL
from ...layers.recurrent.from_torch import AnalogElmanRNN, AnalogGRU, AnalogLSTM
from ...tiles.tile_array import Backend
from ...wires.parameters import WireParameters
from ..faulty_devices import break_devices
from ..named_refusals import naming
from ..replacing import place_anew
from .analog_root import as_analog_root
from .batch_norms import fold_batch_norms_
from .conversion_report import ConversionNotes, conversion_report

CONVERSION_MAP: dict[type[nn.Module], type[nn.Module]] = {
    **DEFAULT_CONVERSION_MAP,
    **ANALOG_OF_DIGITAL,
    nn.Sequential: AnalogSequential,
    nn.Linear: AnalogLinear,
    nn.LSTM: AnalogLSTM,
    nn.GRU: AnalogGRU,
    nn.RNN: AnalogElmanRNN,
    nn.MultiheadAttention: AnalogMultiheadAttention,
}
"""Which digital layer becomes which analog one; also for aihwkit's own `convert_to_analog(conversion_map=...)`."""


def convert_to_analog(
    model: nn.Module,
    rpu_config: Any,
    input_size: tuple[int, ...] | None = None,
    *,
    placement: str | Mapping[str, str] | None = None,
    backend: Backend = "batched",
    faults: Faults | None = None,
    wires: WireParameters | None = None,
    wires_every: int = 20,
    exclude_modules: Collection[str] | None = None,
    conversion_map: Mapping[type[nn.Module], Any] | None = None,
    specific_rpu_config_fun: Callable[[str, nn.Module, Any], Any] | None = None,
    tile_module_class: None = None,
    module_name: str = "",
    ensure_analog_root: bool = True,
    inplace: bool = False,
    verbose: bool = False,
    fold_batch_norm: bool = False,
) -> nn.Module:
    """Put the weights of a digital model onto analog tiles; the model itself stays as it is.

    The keywords from `exclude_modules` to `verbose` are aihwkit's, with its meanings.

    Locally connected layers keep their placement, a convolution, transposed or not, becomes one time-multiplexed tile
    for each of its groups, `nn.Linear` one location, and `nn.LSTM`, `nn.GRU` and `nn.RNN` two such for each layer and
    direction, used at every step. Of `nn.MultiheadAttention` the four projections lie on tiles, while its scores stay
    digital. A layer that occurs several times in the model stays one layer. Layers of other classes stay digital,
    with a warning if they have weights; `conversion_report(model)` lists all.

    Args:
        model: The digital model.
        rpu_config: aihwkit configuration, of inference or training, for every layer.
        input_size: Shape of one input, without batch, for example (1, 28, 28). Only `placement` needs it.
        placement: Where to deploy the kernels of convolutions and locally connected layers instead, for example
            "replicated(tiles=16)", or by name pattern; see `replace_placement`.
        backend: "batched" or "aihwkit", the slow reference.
        faults: How many of the devices fail that are trained in place; see `break_devices`. Those of devices that are
            programmed are given to `program_chip`.
        wires: Word and bit lines with resistance, for every tile; ideal ones if None. See `TileArray.use_wires`.
        wires_every: Training passes between two computations of what the wires take.
        exclude_modules: Names of modules that stay digital on purpose, with everything in them, without a warning.
        conversion_map: Which digital class becomes which analog one, instead of `CONVERSION_MAP`.
        specific_rpu_config_fun: Called with the name of a layer, the digital layer and a copy of `rpu_config`;
            returns the layer's configuration.
        tile_module_class: aihwkit's argument; must be None.
        module_name: Name of the model where it is a part of another; all names begin with it, and it gets no root.
        ensure_analog_root: Whether the model gets the methods of aihwkit's containers, such as
            `program_analog_weights`.
        inplace: Whether the digital model itself is changed and used up (True), or a copy.
        verbose: Whether to print which layer becomes what.
        fold_batch_norm: Whether to fold batch normalisation into the layers before it first, as in evaluation; see
            `fold_batch_norms_`.

    Returns:
        The analog model.

    Raises:
        TypeError: If there is no configuration.
        ValueError: If a placement is given without `input_size`, or does not fit a layer, or faults are given where
            no devices are trained in place, or a layer cannot be put onto tiles, or no module has an excluded
            name. The layer is named.

    Example:
        >>> import torch
        >>> from crossbar import LocallyConnected2d
        >>> from crossbar.aihwkit.adapter import InferenceRPUConfig
        >>> digital = nn.Sequential(LocallyConnected2d(1, 2, 3, 8), nn.Flatten(), nn.Linear(72, 10))
        >>> analog = convert_to_analog(digital, InferenceRPUConfig())
        >>> type(analog[0]).__name__, analog(torch.zeros(1, 1, 8, 8)).shape
        ('AnalogLocallyConnected2d', torch.Size([1, 10]))
    """
    if rpu_config is None:
        raise TypeError(
            "`rpu_config` must be an aihwkit configuration, but is None. Take that of a device, "
            "devices.get('pcm').rpu_config(), or aihwkit's InferenceRPUConfig()."
        )
    refuse_tile_class(input_size if isinstance(input_size, type) else tile_module_class)
    notes = ConversionNotes(frozenset(_excluded_names(model, exclude_modules or (), module_name)))
    how = _How(
        rpu_config,
        CONVERSION_MAP if conversion_map is None else conversion_map,
        specific_rpu_config_fun,
        verbose,
    )
    with torch.inference_mode(False):  # tensors that are made inside it could never be trained
        model = model if inplace else deepcopy(model)
        if fold_batch_norm:
            fold_batch_norms_(model)
        analog = _Conversion(how, notes).of(model, module_name)
        if ensure_analog_root and not module_name:
            analog = as_analog_root(analog)
    if placement is not None:
        if input_size is None:
            raise ValueError("`input_size` must be given together with `placement`, but is None.")
        analog = place_anew(analog, placement, input_size)
    if faults is not None:
        break_devices(analog, faults)
    for module in analog.modules():
        if isinstance(module, AnalogLayer):
            module.tile_array.use_backend(backend)
            module.tile_array.use_wires(wires, every=wires_every)
    notes.without(module_name).keep_with(analog)
    unforeseen = conversion_report(analog).unforeseen
    if unforeseen:
        warnings.warn(
            f"conversion left layers without hardware or changed them: {'; '.join(map(str, unforeseen))}. "
            "`exclude_modules` keeps layers digital without a warning; `print(conversion_report(model))` lists every "
            "layer.",
            stacklevel=2,
        )
    elif not exclude_modules and not _has_analog_layers(analog):
        warnings.warn(
            "conversion put nothing onto tiles: `model` has no layer with a weight matrix. "
            "`print(conversion_report(model))` lists every layer.",
            stacklevel=2,
        )
    return analog


def _has_analog_layers(model: nn.Module) -> bool:
    return any(isinstance(part, AnalogLayerBase) and not part.IS_CONTAINER for part in model.modules())


class _How(NamedTuple):
    """What is asked of a conversion, as aihwkit's keywords say it."""

    rpu_config: Any
    conversion_map: Mapping[type[nn.Module], Any]
    specific_rpu_config_fun: Callable[[str, nn.Module, Any], Any] | None
    verbose: bool

    def convert(self, module: nn.Module, name: str) -> nn.Module:
        """Return the analog layer for a digital one."""
        target = self.conversion_map[type(module)]
        if not hasattr(target, "from_digital"):
            raise ValueError(
                f"`conversion_map` must name classes with a class method `from_digital`, but {target!r} for layer "
                f"{name!r} has none."
            )
        config = deepcopy(self.rpu_config)
        if self.specific_rpu_config_fun is not None:
            config = self.specific_rpu_config_fun(name, module, config)
        with naming(name):
            layer: nn.Module = target.from_digital(module, config)
        if self.verbose:
            print(f"Converted {name!r} to {type(layer).__name__!r}.")
        return layer


class _Conversion:
    """One pass over a model that replaces layers where they stand."""

    def __init__(self, how: _How, notes: ConversionNotes) -> None:
        self._how, self._notes = how, notes
        # By identity of the digital module, which is kept alive so that its number stays its own.
        self._done: dict[int, tuple[nn.Module, nn.Module]] = {}

    def of(self, model: nn.Module, name: str) -> nn.Module:
        """Return the analog model; the digital one is used up."""
        owners = _owners_of_parameters(model)
        analog = self._convert(model, name)
        for names in owners:
            if any(id(module) in self._done and self._is_replaced(module) for _, module in names):
                for name, _ in names:
                    others = ", ".join(repr(other) for other, _ in names if other != name)
                    self._notes.remarks[name] = f"shares its weight with {others} no longer"
        return analog

    def _is_replaced(self, module: nn.Module) -> bool:
        before, after = self._done[id(module)]
        return before is not after

    def _convert(self, module: nn.Module, name: str) -> nn.Module:
        if id(module) in self._done:
            return self._done[id(module)][1]
        is_analog = isinstance(module, AnalogLayerBase) and not module.IS_CONTAINER
        if is_analog or self._notes.excludes(name):
            self._done[id(module)] = module, module
            return module
        kind = type(module)
        target: Any = self._how.conversion_map.get(kind)
        if kind is nn.Sequential and target in (AnalogSequential, TheirSequential):
            # Not by aihwkit's `from_digital`, which drops modules that occur twice, hooks and the mode.
            module.__class__ = AnalogSequential
        elif target is not None:
            layer = self._how.convert(module, name)
            if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
                self._notes.remarks[name] = "hooks of the digital layer were left behind"
            self._done[id(module)] = module, layer
            return layer
        self._done[id(module)] = module, module
        for child, part in module._modules.items():
            if part is not None:
                module._modules[child] = self._convert(part, f"{name}.{child}" if name else child)
        return module


def _owners_of_parameters(model: nn.Module) -> list[list[tuple[str, nn.Module]]]:
    """Return the modules, with their names, that share a parameter with another one."""
    owners: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((name, module))
    return [modules for modules in owners.values() if len(modules) > 1]


def _excluded_names(model: nn.Module, names: Collection[str], prefix: str) -> Collection[str]:
    """Return the names that shall stay digital.

    Raises:
        TypeError: If it is one text, which would be taken as its letters.
        ValueError: If there is no such module, or another name of the same module is not excluded.
    """
    if isinstance(names, str):
        raise TypeError(f"`exclude_modules` must be a list of names, but is {names!r}. Write [{names!r}].")
    modules = dict(model.named_modules(prefix=prefix, remove_duplicate=False))
    excludes = ConversionNotes(frozenset(names)).excludes
    for name in names:
        if name not in modules:
            raise ValueError(
                f"`exclude_modules` must name modules of the model, but it has no {name!r}. "
                f"It has for example {', '.join(repr(one) for one in list(modules)[1:6])}."
            )
        for other, module in modules.items():
            if module is modules[name] and not excludes(other):
                raise ValueError(
                    f"`exclude_modules` must name both {name!r} and {other!r} or none, but has the first only: "
                    "they are one module."
                )
    return names
