"""aihwkit's presets as device files, to be changed by hand."""

from dataclasses import fields

from ..catalogue import get
from ..device_file import LAWS
from .described import Described


def from_aihwkit(name: str) -> Described:
    """Write out the device of a preset.

    Args:
        name: Of the preset, such as "ReRamESPreset", or the catalogue's name of it.

    Raises:
        ValueError: If there is no such preset, or its device is none that a file can state.
    """
    model = get(name)
    device = model.training_config().device
    law = next(
        (own for own, kind in LAWS.items() if getattr(device, "bindings_class", None) == kind.bindings_class),
        None,
    )
    if law is None:
        raise ValueError(
            f"`preset` must have a device of the laws {', '.join(LAWS)}, but {name} has a {type(device).__name__}. "
            f"Take it as it is: --device {model.name}."
        )
    usual = LAWS[law]()
    changed = {
        field.name: getattr(device, field.name)
        for field in fields(usual)
        if isinstance(getattr(device, field.name), int | float | list)
        and (field.name == "dw_min" or getattr(device, field.name) != getattr(usual, field.name))
    }
    has_range = model.g_max is not None
    return Described(
        conductance={"g_min": model.g_min or 0.0, "g_max": model.g_max or 0.0} if has_range else {},
        pulses={"law": law, **changed},
        summary=f"The device of aihwkit's {model.aihwkit_name or name}: {model.summary}",
        not_modelled="The preset's converters, pulse trains and learning rule: those of any device file are taken. "
        + model.not_modelled,
        source=model.source,
    )
