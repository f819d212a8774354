"""Where pulses up and down move a device equally far: its symmetry point.

Alternating pulses drive a device there, and so does noise around a gradient of zero: in situ, weights are pulled
towards it. Tiki-Taka lives on it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .device_array import DeviceArray
from .laws import Law

# Halvings of the range between the bounds: float32 holds no finer ones.
_HALVINGS = 32


@torch.no_grad()
def symmetry_points(devices: DeviceArray) -> Float[Tensor, "tiles out in"]:
    """Return the weight of each device at which the mean steps up and down are equal.

    In closed form for linear steps and soft bounds; by bisection between the bounds for the other laws.

    Args:
        devices: The devices; unchanged.

    Returns:
        Weights as an MVM reads them (the reference is subtracted); NaN where a device has no such point, or more
        than one, as all whose steps do not depend on the weight.
    """
    up, down = devices.scale_up, devices.scale_down
    reference = 0.0 if devices.reference is None else devices.reference
    if devices.law in (Law.LINEAR_STEP, Law.LINEAR_STEP_ADDITIVE):
        assert devices.shape_up is not None
        assert devices.shape_down is not None
        point = (up - down) / (devices.shape_down - devices.shape_up)
    elif devices.law in (Law.SOFT_BOUNDS_REFERENCE, Law.SOFT_BOUNDS_REFERENCE_ADDITIVE):
        slope_up = torch.where(devices.max_bound > 0, -up / devices.max_bound, 0.0)
        slope_down = torch.where(devices.min_bound < 0, -down / devices.min_bound, 0.0)
        point = (up - down) / (slope_down - slope_up)
    else:
        point = _bisect(devices)
    is_inside = (point >= devices.min_bound) & (point <= devices.max_bound)
    return torch.where(is_inside, point - reference, torch.nan)


def _bisect(devices: DeviceArray) -> Tensor:
    low, high = devices.min_bound.clone(), devices.max_bound.clone()
    # A symmetry point attracts: steps up win below it, steps down win above it.
    attracts = (_excess(devices, low) > 0) & (_excess(devices, high) < 0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_below = _excess(devices, middle) > 0
        low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
    return torch.where(attracts, (low + high) / 2, torch.nan)


def _excess(devices: DeviceArray, w: Tensor) -> Tensor:
    """Return how much farther a pulse up moves each device than a pulse down."""
    return devices.steps(w, True)[0] - devices.steps(w, False)[0]
