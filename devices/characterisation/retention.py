"""How far the weights of a network are from what was written, as time goes by, with each compensation of drift."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import final

from ..device_model import DeviceModel
from ..programming import program
from ..streams import generator
from ..units import Dimensionless, Seconds
from .moments import MOMENTS, valid_moments
from .table import Quantity

Compensation = Literal["none", "global", "per_tile", "per_column"]

# assumed: weights of a trained layer are about normal; of 64 word lines, few enough that columns differ.
_BIT_LINES, _WORD_LINES = 16, 64
_LEAST_TILES = 4
# As aihwkit's lower limit of a readout, so that a dead column is not divided by zero.
_SMALLEST_READOUT = 1e-4


@final
@dataclass(frozen=True, kw_only=True)
class Retention:
    """Error of weights at one time after programming.

    Attributes:
        time: Since programming.
        compensation: How drift was compensated: not at all, by one factor for all tiles ("global"), for each tile, or
            for each bit line ("per_column").
        error: rms of the weights' errors over the rms of the weights.
        spread: Its standard deviation from tile to tile.
        is_extrapolated: Whether the time lies outside what was measured.
    """

    time: Seconds
    compensation: Compensation
    error: Dimensionless
    spread: Dimensionless
    is_extrapolated: bool

    def row(self) -> Quantity:
        """Return the row of the table."""
        how = {
            "none": "without compensation",
            "global": "one factor for all tiles",
            "per_tile": "a factor for each tile",
            "per_column": "a factor for each bit line",
        }[self.compensation]
        note = f"rms error of weights over rms of weights, {how}; spread from tile to tile"
        return Quantity(
            f"retention error after {MOMENTS[self.time]}, {self.compensation}",
            self.error,
            self.spread,
            "1",
            f"{note}; extrapolated" if self.is_extrapolated else note,
        )


@torch.no_grad()
def measure_retention(device: DeviceModel, *, devices: int = 1000, seed: int = 0) -> tuple[Retention, ...]:
    """Write normal weights into tiles, read them at some times, and compensate the mean drift.

    The factor of a compensation is the ratio of the mean absolute weights read right after programming and at the
    time, of all tiles, of each tile, or of each bit line, as when each word line is read in turn.

    Args:
        device: A device that knows how it ages.
        devices: How many weights, at least; there are never less than four tiles of 16 x 64.
        seed: Names devices and reads.
    """
    tiles = max(_LEAST_TILES, round(devices / (_BIT_LINES * _WORD_LINES)))
    shape = (tiles, _BIT_LINES, _WORD_LINES)
    weights = torch.randn(shape, generator=generator(seed, "characterisation", "weights"))
    written = program(device.noise_model(), weights, seed=seed)
    times = valid_moments(device)
    # Right after programming: time 0, or the first time that was measured.
    before = written.read_weights(0.0 if device.valid_at(0.0) else times[0], rng=_reads(seed, "baseline"))
    found = []
    for time in times:
        after = written.read_weights(time, rng=_reads(seed, round(time)))
        for compensation in get_args(Compensation):
            factor = _readout(before, compensation) / _readout(after, compensation)
            errors = (factor * after - weights).square().mean(dim=(1, 2))
            sizes = weights.square().mean(dim=(1, 2))
            found.append(
                Retention(
                    time=time,
                    compensation=compensation,
                    error=float((errors.mean() / sizes.mean()).sqrt()),
                    spread=float((errors / sizes).sqrt().std()),
                    is_extrapolated=device.is_extrapolated(time),
                )
            )
    return tuple(found)


def _readout(weights: Float[Tensor, "tiles out in"], compensation: Compensation) -> Tensor:
    if compensation == "none":
        return torch.ones(())
    axes = {"global": (0, 1, 2), "per_tile": (1, 2), "per_column": (2,)}[compensation]
    return weights.abs().mean(dim=axes, keepdim=True).clamp(min=_SMALLEST_READOUT)


def _reads(seed: int, name: str | int) -> torch.Generator:
    return generator(seed, "characterisation", "retention", name)
