"""Variable connection patterns: inputs of a layer that are absent for every location that would see them.

Ott et al., Neural Networks 126 (2020): a fixed random mask over the input map of each locally connected layer removes
a share of its inputs. On tiles, the word lines and devices of absent inputs do not exist: they draw no current, and
receive no pulse, and cost nothing.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from .geometry import Geometry
from .patches import extract_patches
from .placement import Placement

Connections = Bool[Tensor, "channels *sizes"]


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
