"""Faults of pulsed devices: those that no pulse can move."""

import torch
from jaxtyping import Bool
from torch import Tensor

from ..faults import FaultMap
from .device_array import DeviceArray


@torch.no_grad()
def break_(array: DeviceArray, faults: FaultMap, exists: Bool[Tensor, "tiles out in"] | None = None) -> None:
    """Let devices be stuck, or dead, from now on.

    Stuck low is a device's own lower bound, stuck high its upper one. On a broken line it reads zero: the line of its
    reference is taken to be the same (assumed). A faulty device has no room between its bounds and no step, as
    aihwkit's corrupt devices have none: pulses, resets, decay, diffusion and drift all leave it where it is. As
    nothing is ever written to it, it has no write noise either.

    Args:
        array: The devices; changed in place.
        faults: What fails.
        exists: Which devices exist; all if None. One that is absent cannot fail.
    """
    # Bounds hold for the device itself, before its reference is subtracted.
    reference = torch.zeros_like(array.weight) if array.reference is None else array.reference
    stays = faults.values((array.min_bound - reference).cpu(), (array.max_bound - reference).cpu())
    stays = stays.to(array.weight)
    stuck = ~stays.isnan()
    if exists is not None:
        stuck &= exists.to(stuck.device)
    for values in (array.max_bound, array.min_bound, array.hidden_weight, array.weight):
        values.copy_(torch.where(stuck, stays, values))
    for no_step in (array.scale_up, array.scale_down, array.shape_up, array.shape_down, array.reference):
        if no_step is not None:
            no_step.masked_fill_(stuck, 0.0)
    array.stuck = stuck if array.stuck is None else array.stuck | stuck


def is_faulty(array: DeviceArray) -> Bool[Tensor, "tiles out in"]:
    """Return which devices stay where they are, also those that aihwkit calls corrupt: their bounds leave no room.

    Args:
        array: The devices; absent ones have room, but no response.
    """
    return array.max_bound <= array.min_bound
