"""Drift compensation: digital factors that undo the mean decay of the conductances.

Right after programming, and again at every later time, each word line in turn carries the largest voltage and
the outputs are read through the whole analog chain. The ratio of the mean absolute outputs is the factor.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from ..aihwkit.adapter import (
    BaseDriftCompensation,
    GlobalDriftCompensation,
    GlobalDriftCompensationWithExactReference,
    PerColumnDriftCompensation,
)

Compensation = Literal["none", "global", "per_tile", "per_column"]

# aihwkit's lower limit of a readout.
SMALLEST_READOUT = 1e-4


def compensation_of(settings: BaseDriftCompensation | None) -> Compensation:
    """Translate aihwkit's drift compensation; its "global" means one factor for each tile.

    Raises:
        ValueError: If the class is unknown.
    """
    if settings is None:
        return "none"
    # Subclasses of one's own are refused: nothing would call what they change.
    if type(settings) is PerColumnDriftCompensation:
        return "per_column"
    if type(settings) in (GlobalDriftCompensation, GlobalDriftCompensationWithExactReference):
        return "per_tile"
    raise ValueError(
        f"`drift_compensation` must be one of aihwkit's own, but is {type(settings).__name__}. Use None, "
        "GlobalDriftCompensation or PerColumnDriftCompensation."
    )


def check_compensation(name: str) -> None:
    """Refuse an unknown kind of compensation.

    Raises:
        ValueError: If the name is none of `Compensation`.
    """
    if name not in get_args(Compensation):
        raise ValueError(f"`compensation` must be one of {list(get_args(Compensation))}, but is {name!r}.")


def readout(outputs: Tensor, kind: Compensation) -> Tensor:
    """Reduce the outputs of a read of all word lines to what the compensation compares.

    Args:
        outputs: (tiles, in, out) outputs, one word line after the other.
        kind: One factor for the whole array ("global"), for each tile, or for each bit line.

    Returns:
        (tiles, 1, 1) or (tiles, 1, out), at least `SMALLEST_READOUT`.
    """
    return compared(mean_outputs(outputs, kind), kind)


def mean_outputs(outputs: Tensor, kind: Compensation) -> Tensor:
    """Return the mean absolute outputs of every tile, (tiles, 1, 1), or of every bit line, (tiles, 1, out)."""
    return outputs.abs().mean(dim=1 if kind == "per_column" else (1, 2), keepdim=True)


def compared(means: Tensor, kind: Compensation) -> Tensor:
    """Return what the compensation compares, from the mean absolute outputs of all tiles."""
    if kind == "global":
        means = means.mean().expand(len(means), 1, 1)
    return means.clamp(min=SMALLEST_READOUT)


def identity_inputs(tiles: int, in_size: int, like: Tensor) -> Tensor:
    """Return the inputs of a read-out: every word line in turn, (tiles, in, in)."""
    return torch.eye(in_size, dtype=like.dtype, device=like.device).expand(tiles, -1, -1)
