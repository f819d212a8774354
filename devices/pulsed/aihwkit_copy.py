"""Devices to and from aihwkit's tiles, exactly: the hidden parameters by the names that aihwkit gives them.

Only tensors and names are handled here. To copy from tiles:

    from_hidden(device, [tile.get_hidden_parameters() for tile in tiles], weights)

with the weights that `tile.get_weights()[0]` returns, and for a sub-device of a compound its suffix (`"_0"`)
and its own `hidden_weights_0`. To copy into tiles, in this order, because aihwkit moves the weights into the
new bounds:

    tile.set_hidden_parameters(hidden)
    tile.set_weights(array.hidden_weight[index])

aihwkit has no way to set what is read and what pulses act on separately: a tile with write noise draws its
noise anew.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..aihwkit_adapter import PulsedDevice
from ..units import Dimensionless
from .device_array import DeviceArray
from .fabrication import granularity_of, plain_device

# aihwkit's name, ours, and the value with which a device behaves as if it did not have the property.
_COMMON: tuple[tuple[str, str, Dimensionless], ...] = (
    ("max_bound", "max_bound", 0.0),
    ("min_bound", "min_bound", 0.0),
    ("dwmin_up", "scale_up", 0.0),
    ("dwmin_down", "scale_down", 0.0),
    ("decay_scales", "decay_scale", 1.0),
    ("diffusion_rates", "diffusion_rate", 0.0),
    ("reset_bias", "reset_bias", 0.0),
    ("drift_nu", "drift_nu", 0.0),
)
_SHAPES = (
    ("slope_up", "shape_up"),
    ("slope_down", "shape_down"),
    ("gamma_up", "shape_up"),
    ("gamma_down", "shape_down"),
    ("reference", "reference"),
)
_ALWAYS_KEPT = ("max_bound", "min_bound", "scale_up", "scale_down")


def from_hidden(
    device: PulsedDevice,
    hidden_parameters: Sequence[Mapping[str, Tensor]],
    weights: Sequence[Float[Tensor, "out_size in_size"]] | Float[Tensor, "tiles out_size in_size"],
    *,
    suffix: str = "",
    granularity: Dimensionless | None = None,
) -> DeviceArray:
    """Make an array whose devices are those of aihwkit's tiles, and stand where they stand.

    Args:
        device: The device description that the tiles were made with.
        hidden_parameters: For each tile what its `get_hidden_parameters()` returns.
        weights: For each tile the weights that are read.
        suffix: For a sub-device of a compound what aihwkit appends to its names, such as `"_0"`.
        granularity: aihwkit's weight granularity, where it is not what follows from `device`
            (`set_hidden_parameters` may have changed it).

    Raises:
        ValueError: If there are not as many weights as tiles, or a name is missing.
    """
    device = plain_device(device)
    if not 0 < len(hidden_parameters) == len(weights):
        raise ValueError(
            "`weights` must have one tensor for each tile, and there must be a tile, but there are "
            f"{len(weights)} and `hidden_parameters` of {len(hidden_parameters)} tiles."
        )

    def stacked(name: str) -> Tensor:
        full_name = name + suffix
        if full_name not in hidden_parameters[0]:
            raise ValueError(
                f"`hidden_parameters` must have {full_name!r}, but has {sorted(hidden_parameters[0])}. "
                "Pass what `get_hidden_parameters()` of a tile with this device returns, and the suffix of "
                "a sub-device."
            )
        return torch.stack([tile[full_name].detach().clone() for tile in hidden_parameters])

    hidden: dict[str, Tensor | None] = {}
    for their_name, name, neutral in _COMMON:
        values = stacked(their_name)
        is_used = name in _ALWAYS_KEPT or bool((values != neutral).any())
        hidden[name] = values if is_used else None
    if not device.drift.nu > 0:
        hidden["drift_nu"] = None  # aihwkit does not drift such a device, whatever its exponents
    for their_name, name in _SHAPES:
        if their_name + suffix in hidden_parameters[0]:
            hidden[name] = stacked(their_name)
    array = DeviceArray(device, hidden, granularity_of(device) if granularity is None else granularity)
    array.weight.copy_(torch.stack([weight.detach() for weight in weights]))
    if array.persistent_weight is not None:
        array.persistent_weight.copy_(stacked("persistent_weights"))
    return array


def to_hidden(array: DeviceArray, *, suffix: str = "") -> list[OrderedDict[str, Tensor]]:
    """Write the devices of each tile down as `set_hidden_parameters` of an aihwkit tile takes them.

    Args:
        array: The devices.
        suffix: For a sub-device of a compound what aihwkit appends to its names, such as `"_0"`.
    """
    named = OrderedDict[str, Tensor]()
    for their_name, name, neutral in _COMMON:
        values = getattr(array, name)
        named[their_name] = torch.full_like(array.weight, neutral) if values is None else values
    if array.persistent_weight is not None:
        named["persistent_weights"] = array.persistent_weight
    exponents = hasattr(array.device, "pow_gamma")
    for their_name, name in _SHAPES:
        is_other_law = their_name.startswith("slope" if exponents else "gamma")
        if getattr(array, name) is not None and not is_other_law:
            named[their_name] = getattr(array, name)
    return [
        OrderedDict((name + suffix, values[tile].detach().cpu().clone()) for name, values in named.items())
        for tile in range(len(array.weight))
    ]
