"""How far data travel between arrays, if a network spreads over many of them, and over several chips.

Where arrays lie is a choice of the compiler, which no count knows. So there are two ends: what an array needs comes
from beside it, as far as the profile says (`hops`); or arrays lie anywhere on a square mesh.
"""

from math import ceil, sqrt
from typing import Final, Literal, get_args

from devices.units import Dimensionless

from .hardware_profile import HardwareProfile

Network = Literal["local", "mesh"]
"""local: data travel as many hops as the profile says, however many arrays there are. mesh: arrays lie anywhere on a
square mesh, and data travel as far as it is between two of its nodes, on average."""

NETWORKS: Final[tuple[Network, ...]] = get_args(Network)


def mesh_hops(arrays: int) -> Dimensionless:
    """Return the mean number of hops between two nodes of a square mesh, of k x k nodes: 2 (k - 1/k) / 3.

    That is twice the mean distance of two independent, equally likely numbers from 1 to k.

    Example:
        >>> [round(mesh_hops(arrays), 2) for arrays in (1, 4, 100)]
        [0.0, 1.0, 6.6]
    """
    side = sqrt(arrays)
    return 2 * (side - 1 / side) / 3


def with_distances(profile: HardwareProfile, arrays: int, network: Network) -> HardwareProfile:
    """Return a profile in which data travel as far as a network of so many arrays makes them.

    Raises:
        ValueError: If there is no such network.
    """
    if network not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {', '.join(NETWORKS)}, but is {network!r}. Choose one of those."
        )
    if network == "local" or profile["hops"] == 0:
        return profile
    return profile.scaled("hops", max(mesh_hops(arrays), 1.0) / profile["hops"])


def leaves_chip(profile: HardwareProfile, arrays: int) -> Dimensionless:
    """Return which part of what arrays exchange leaves a chip: 1 - 1/C if partners lie on any of C chips alike."""
    return 1 - 1 / max(1, ceil(arrays / profile.count("arrays_per_chip")))
