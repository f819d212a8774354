"""How many states pulses can tell apart on a device, by its specification."""

from typing import Any

from .units import Dimensionless


def number_of_states(rpu_config: Any) -> int | None:
    """Return how many mean steps fit between the mean bounds of the device that holds a weight.

    Args:
        rpu_config: aihwkit's configuration to train with.

    Returns:
        The number, or None if the description of the device does not say.
    """
    device = rpu_config.device
    device = getattr(device, "device", device)  # mixed precision keeps a device within its compound
    # Of several, the last one holds the weight (Tiki-Taka), or all are alike.
    device = (getattr(device, "unit_cell_devices", None) or [device])[-1]
    step: Dimensionless = getattr(device, "dw_min", 0.0)
    if step <= 0 or not hasattr(device, "w_max"):
        return None
    states: Dimensionless = (device.w_max - device.w_min) / step
    return round(states)
