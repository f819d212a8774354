"""Devices that are turned around, as the second ones of pairs may be."""

from devices.pulsed import DeviceArray, Law


def invert_(array: DeviceArray, other: DeviceArray) -> None:
    """Turn devices around, so that their pulses up become what pulses down were.

    aihwkit calls this `copy_inverted`, but turns around the steps, bounds and references of the device itself, and
    copies only slopes and exponents from the other one. Steps of exponential and piecewise devices keep their shape.

    Args:
        array: The devices; changed in place.
        other: The other device of each pair.
    """
    up, down = array.scale_up.clone(), array.scale_down.clone()
    array.scale_up.copy_(down)
    array.scale_down.copy_(up)
    highest, lowest = array.max_bound.clone(), array.min_bound.clone()
    array.max_bound.copy_(-lowest)
    array.min_bound.copy_(-highest)
    if array.reference is not None:
        array.reference.neg_()
    if array.shape_up is None or array.shape_down is None:
        return
    assert other.shape_up is not None
    assert other.shape_down is not None
    sign = 1.0 if array.law == Law.POW_STEP else -1.0
    array.shape_up.copy_(sign * other.shape_down)
    array.shape_down.copy_(sign * other.shape_up)
