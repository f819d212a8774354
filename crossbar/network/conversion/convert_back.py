"""Turn an analog model back into a digital one."""

from collections.abc import Collection
from copy import deepcopy
from typing import Any

from torch import nn

from ...aihwkit.adapter import AnalogLayerBase, AnalogWrapper
from ...aihwkit.adapter import AnalogSequential as TheirSequential
from ...layers.analog_linear import AnalogLinear, AnalogLinearMapped
from ...layers.attention import AnalogMultiheadAttention
from ...layers.containers import AnalogSequential
from ...layers.layer_table import ANALOG_OF_DIGITAL
from ...layers.mapped import AnalogConv1dMapped, AnalogConv2dMapped, AnalogConv3dMapped
from ...layers.recurrent.from_torch import AnalogElmanRNN, AnalogGRU, AnalogLSTM
from ..named_refusals import naming
from .conversion_report import forget_notes

DIGITAL_CONVERSION_SET: set[type[nn.Module]] = {
    AnalogLinear,
    AnalogLinearMapped,
    AnalogConv1dMapped,
    AnalogConv2dMapped,
    AnalogConv3dMapped,
    *ANALOG_OF_DIGITAL.values(),
    AnalogLSTM,
    AnalogGRU,
    AnalogElmanRNN,
    AnalogMultiheadAttention,
    AnalogSequential,
    TheirSequential,
}
"""Which analog layers become digital; for aihwkit's own `convert_to_digital(conversion_set=...)`."""


def convert_to_digital(
    model: nn.Module,
    conversion_set: Collection[type[nn.Module]] | None = None,
    module_name: str = "",
    inplace: bool = False,
    *,
    realistic: bool = False,
) -> nn.Module:
    """Return a model of torch's own layers with the trained weights, for example to be exported.

    Layers of aihwkit's own are converted, too. A layer that occurs several times stays one layer.

    Args:
        model: The analog model.
        conversion_set: Classes to convert; every analog layer if None.
        module_name: Name of the model, where it is a part of another; it is only named in refusals.
        inplace: Whether the model itself is changed and used up (True), or a copy.
        realistic: Whether to take weights that are estimated from noisy products, of the chip if one is programmed,
            instead of those that training has learned.

    Raises:
        ValueError: If a layer of the set cannot become digital. The layer is named.

    Example:
        >>> import torch
        >>> convert_to_digital(nn.Sequential(AnalogLinear(3, 2), nn.ReLU()))
        Sequential(
          (0): Linear(in_features=3, out_features=2, bias=True)
          (1): ReLU()
        )
    """
    model = model if inplace else deepcopy(model)
    forget_notes(model)
    return _Back(conversion_set, realistic).of(model, module_name)


class _Back:
    """One pass over a model that replaces layers where they stand."""

    def __init__(self, chosen: Collection[type[nn.Module]] | None, realistic: bool) -> None:
        self._chosen, self._realistic = chosen, realistic
        self._done: dict[int, tuple[nn.Module, nn.Module]] = {}

    def of(self, module: nn.Module, name: str) -> nn.Module:
        """Return the digital module."""
        if id(module) not in self._done:
            self._done[id(module)] = module, self._convert(module, name)
        return self._done[id(module)][1]

    def _convert(self, module: nn.Module, name: str) -> nn.Module:
        kind: Any = type(module)
        if isinstance(module, AnalogWrapper):
            module.__class__ = kind.__bases__[1]
        elif kind in (AnalogSequential, TheirSequential) and self._is_chosen(kind):
            module.__class__ = nn.Sequential
        elif isinstance(module, AnalogLayerBase) and self._is_chosen(kind):
            if hasattr(kind, "to_digital"):
                with naming(name):
                    layer: nn.Module = kind.to_digital(module, realistic=self._realistic)
                return layer
            if not module.IS_CONTAINER:
                raise ValueError(
                    f"`conversion_set` must name layers with a method `to_digital`, but {kind.__name__} (layer "
                    f"{name!r}) has none. Leave it out."
                )
        for child, part in module._modules.items():
            if part is not None:
                module._modules[child] = self.of(part, f"{name}.{child}" if name else child)
        return module

    def _is_chosen(self, kind: type[nn.Module]) -> bool:
        return self._chosen is None or kind in self._chosen
