"""The root of a converted network: the user's own class, with the methods of aihwkit's containers."""

from types import new_class
from typing import Any

from torch import nn

from ...aihwkit.adapter import AnalogLayerBase, AnalogWrapper
from ...layers.containers import AnalogContainer


class AnalogRoot(AnalogContainer, AnalogWrapper):
    """What a model of the user's own class becomes besides."""


def as_analog_root(model: nn.Module) -> nn.Module:
    """Give a model `program_analog_weights`, `analog_layers`, ...; the model itself changes its class.

    As aihwkit's `AnalogWrapper` does, which finds its classes by their bare names, so that a second `Net` would
    compute as the first one did, and whose models cannot be pickled.
    """
    if not isinstance(model, AnalogLayerBase):
        model.__class__ = _root_class(type(model))
    return model


_ROOT_CLASSES: dict[type[nn.Module], type[nn.Module]] = {}


def _root_class(digital: type[nn.Module]) -> type[nn.Module]:
    if digital in _ROOT_CLASSES:
        return _ROOT_CLASSES[digital]
    members = {"__module__": digital.__module__, "__doc__": digital.__doc__, "__reduce_ex__": _reduce}
    name = f"AnalogWrapper{digital.__name__}"
    kind: type[nn.Module] = new_class(name, (AnalogRoot, digital), {}, lambda names: names.update(members))
    return _ROOT_CLASSES.setdefault(digital, kind)


def _reduce(model: Any, protocol: Any) -> tuple[Any, ...]:
    """Pickle the class as the class that the user wrote, which has a place where it can be found."""
    digital = type(model).__bases__[1]
    _, arguments, *state = super(type(model), model).__reduce_ex__(protocol)
    return _empty, (digital, *arguments[1:]), *state


def _empty(digital: type[nn.Module], *arguments: Any) -> nn.Module:
    """Make an empty model of the root's class."""
    kind = _root_class(digital)
    return kind.__new__(kind, *arguments)
