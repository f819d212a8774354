"""What follows from the description of a chain of devices: reads, intervals, weights in what an MVM reads."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from devices.units import Dimensionless

from ...aihwkit.adapter import BoundManagementType, IOParameters, NoiseManagementType


def transfer_settings(transfer_forward: IOParameters) -> IOParameters:
    """Return the settings by which a transfer reads: aihwkit scales neither inputs nor outputs there."""
    io: IOParameters = deepcopy(transfer_forward)
    io.noise_management = NoiseManagementType.NONE
    io.bound_management = BoundManagementType.NONE
    return io


def transfer_intervals(compound: Any, devices: int, reads: int, length: int) -> list[Dimensionless]:
    """Return the vectors or mini-batches between two transfers from each array.

    Unless given one by one, each array waits until every line of the one before was transferred into it.

    Args:
        compound: aihwkit's description of the compound.
        devices: Arrays in the chain.
        reads: Lines per transfer.
        length: Devices on a line.

    Raises:
        ValueError: If they are given, but not one for each array.
    """
    given: list[Dimensionless] = list(compound.transfer_every_vec)
    if given and len(given) != devices:
        raise ValueError(
            f"`transfer_every_vec` must have one interval for each of the {devices} devices, but has {len(given)}. "
            "Add or remove some, or leave it empty."
        )
    if len(compound.transfer_lr_vec) not in (0, devices):
        raise ValueError(
            f"`transfer_lr_vec` must have one rate for each of the {devices} devices, but has "
            f"{len(compound.transfer_lr_vec)}. Add or remove some, or leave it empty."
        )
    interval = np.float32(compound.transfer_every)
    for _ in range(0 if given else devices):
        given.append(float(interval))
        interval = interval * (np.float32(length) / np.float32(reads))
    return given


def cell_gamma(compound: Any, devices: int) -> Float[Tensor, " devices"]:
    """Return the weight of each array in what an MVM reads.

    Args:
        compound: aihwkit's description of the compound.
        devices: Arrays in the chain.

    Raises:
        ValueError: If they are given, but not one for each array, or the last has none.
    """
    if not compound.gamma_vec:
        powers = range(devices - 1, -1, -1)
        return torch.tensor([float(compound.gamma) ** power for power in powers], dtype=torch.float32)
    if len(compound.gamma_vec) != devices or compound.gamma_vec[-1] == 0:
        raise ValueError(
            f"`gamma_vec` must have a weight for each of the {devices} devices, the last not zero, but is "
            f"{list(compound.gamma_vec)}. Give the last devices a part in the weight, or leave it empty."
        )
    return torch.tensor(list(compound.gamma_vec), dtype=torch.float32)
