"""aihwkit's presets and configurations as device files, to be changed by hand.

aihwkit 1.1.0 has no file format for its configurations; they are dataclasses, and what users keep of them is
`json.dumps(dataclasses.asdict(rpu_config), default=str)`. That has no class names, but the laws have different
fields, by which a device is known.
"""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..aihwkit_adapter import PulsedDevice
from ..catalogue import get
from ..device_file import LAWS
from ..files import parse_json, read_regular
from .described import Described

_DIGITAL = "converters, pulse trains and learning rule: those of any device file are taken."


def from_aihwkit(name: str) -> Described:
    """Write out the device of a preset or of a configuration.

    Args:
        name: Of the preset, such as "ReRamESPreset", or the catalogue's name of it; or a .json file of a
            configuration or of its device, as `dataclasses.asdict` has them.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If there is no such preset, the file holds no device of aihwkit, or its device is none that a
            device file can state.
    """
    if name.endswith(".json"):
        return _from_json(Path(name))
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
    has_range = model.g_max is not None
    return Described(
        conductance={"g_min": model.g_min or 0.0, "g_max": model.g_max or 0.0} if has_range else {},
        pulses={"law": law, **_changed(LAWS[law](), {own.name: getattr(device, own.name) for own in fields(device)})},
        summary=f"The device of aihwkit's {model.aihwkit_name or name}: {model.summary}",
        not_modelled=f"The preset's {_DIGITAL} {model.not_modelled}",
        source=model.source,
    )  # fmt: skip


def _from_json(path: Path) -> Described:
    content = parse_json(read_regular(path, "configuration"))
    device = content.get("device", content) if isinstance(content, dict) else None
    names = set(device) if isinstance(device, dict) else set()
    law = next((own for own, kind in LAWS.items() if {f.name for f in fields(kind)} == names), None)
    if law is None or not isinstance(device, dict):
        raise ValueError(
            f"`configuration` must be aihwkit's, with a device of the laws {', '.join(LAWS)}, but {path} "
            f"{'has a compound of devices' if 'unit_cell_devices' in names else 'has other fields'}. Write it by "
            "json.dumps(dataclasses.asdict(rpu_config), default=str) with aihwkit 1.1.0, or give a preset by name."
        )
    usual = LAWS[law]()
    values = asdict(usual)
    wrong = [own for own, value in device.items() if isinstance(value, str) or value is None]
    if wrong:
        raise ValueError(
            f"`{wrong[0]}` must be a number, but is {device[wrong[0]]!r} in {path}. Correct it in the file."
        )
    nested = [own for own, value in device.items() if isinstance(value, dict) and value != values[own]]
    left_out = f"The device's {', '.join(nested)}, which a device file does not have. " if nested else ""
    return Described(
        conductance={},
        pulses={"law": law, **_changed(usual, device)},
        summary=f"The device of an aihwkit configuration, {type(usual).__name__}.",
        not_modelled=f"{left_out}The configuration's {_DIGITAL} Conductances, programming error, drift: it has none.",
        source=f"aihwkit configuration {path.name}",
    )


def _changed(usual: PulsedDevice, values: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that differ from the law's usual ones, and the size of a step."""
    return {
        own.name: values[own.name]
        for own in fields(usual)
        if isinstance(values[own.name], int | float | list)
        and (own.name == "dw_min" or values[own.name] != getattr(usual, own.name))
    }
