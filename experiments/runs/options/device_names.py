"""What a device is called: a name in the catalogue, or the path of one's own device file."""

from functools import cache
from typing import Any

from devices import DeviceModel, catalogue, get

from .config import NO_DEVICE

_ENDING = ".toml"


def kept_name(asked: str, device: DeviceModel) -> str:
    """Return how a configuration names a device: a file by its path, all others as the catalogue does."""
    return asked if asked.endswith(_ENDING) else device.name


def label(device: str) -> str:
    """Return what folders, tables and figures call the device of a configuration."""
    return get(device).name if device != NO_DEVICE and device.endswith(_ENDING) else device


def has_transfers(device: str) -> bool:
    """Say whether a device learns by a rule that gathers updates, and transfers them every so often."""
    model = get(device)
    return model.build_training is not None and hasattr(model.training_config().device, "transfer_every")


@cache
def refreshes(device: str) -> bool:
    """Say whether a device of the catalogue is a pair of which pulses only raise one or the other."""
    if device not in catalogue():
        return False
    model = get(device)
    if model.build_training is None:
        return False
    cell: Any = model.training_config().device
    return getattr(getattr(cell, "device", cell), "refresh_every", 0) > 0
