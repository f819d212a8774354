"""Variable connection patterns: what a layer lacks, inputs for all its locations, or single weights of its kernels.

Ott et al., Neural Networks 126 (2020), say that a share of the weights is absent, and that every neuron has a pattern
of its own; their program removes a share of the inputs of each locally connected layer, the same for all neurons. On
tiles, what is absent is no device: it draws no current, receives no pulse, and costs nothing. A line without devices
does not exist either.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from .geometry import Geometry
from .patches import extract_patches
from .placement import Placement

Connections = Bool[Tensor, "channels *sizes"]
Populated = Bool[Tensor, "holders out in *sizes"]
"""Which weights have a device, in the shape of a layer's weight: of each kernel, or of each tile."""


def check_connections(connections: Tensor | None, geometry: Geometry, placement: Placement) -> None:
    """Refuse connections that do not fit a layer.

    Raises:
        TypeError: If they are no bool tensor.
        ValueError: If their shape is not that of the input, or locations share kernels.
    """
    if connections is None:
        return
    shape = (geometry.in_channels, *geometry.input_size)
    if connections.dtype != torch.bool:
        raise TypeError(
            f"`connections` must be a bool mask, but is {connections.dtype}. Convert it with `.bool()`."
        )
    if tuple(connections.shape) != shape:
        raise ValueError(
            f"`connections` must have the shape of an input, {shape}, but has {tuple(connections.shape)}. "
            "Give one bool for each input."
        )
    if placement.name != "free":
        raise ValueError(
            f"`connections` must be left out with the placement {placement.spec!r}: kernels that are shared between "
            "locations have the same inputs everywhere. Use placement 'free'."
        )


def present_inputs(connections: Connections, geometry: Geometry) -> Bool[Tensor, "kernels in"]:
    """Return which inputs of each location's patch are there, group by group; padding of zeros is not."""
    present = extract_patches(connections[None].float(), geometry)[:, 0] > 0
    return present.reshape(geometry.locations * geometry.groups, -1)


def check_populated(populated: Tensor | None, geometry: Geometry, placement: Placement) -> None:
    """Refuse a mask of devices that does not fit a layer.

    Raises:
        TypeError: If it is no bool tensor.
        ValueError: If its shape is not that of the weights, kernel by kernel or tile by tile.
    """
    if populated is None:
        return
    inputs = geometry.in_channels // geometry.groups
    shape = (geometry.out_channels, inputs, *geometry.kernel_size)
    if populated.dtype != torch.bool:
        raise TypeError(
            f"`populated` must be a bool mask, but is {populated.dtype}. Convert it with `.bool()`."
        )
    holders = sorted({placement.kernels, placement.tiles})
    if len(populated) not in holders or tuple(populated.shape[1:]) != shape:
        words = " or ".join(str((number, *shape)) for number in holders)
        raise ValueError(
            f"`populated` must have the shape of the weights, {words}, but has {tuple(populated.shape)}. "
            "Give one bool for each weight of each kernel, or of each tile."
        )


def existing_devices(
    connections: Connections | None, populated: Populated | None, geometry: Geometry
) -> Bool[Tensor, "devices outs ins"] | None:
    """Return which devices each kernel has, or each tile, group by group; None if it lacks none."""
    groups, found = geometry.groups, None
    outputs = geometry.out_channels // groups
    if populated is not None:
        found = populated.reshape(len(populated) * groups, outputs, -1)
    if connections is not None:
        present = present_inputs(connections, geometry)[:, None].expand(-1, outputs, -1)
        found = present if found is None else found & present
    return found
