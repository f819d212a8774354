"""Cells with targets in a digital memory: the gradient moves the target, the write-verify loop the devices."""

from dataclasses import astuple
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from devices.host_numbers import zero_count
from devices.pulsed import Engine, WriteCounts, WriteVerify
from devices.units import Dimensionless

from ..reading.noise import NoiseStream
from .unit_cells import UnitCells
from .written_cells import WrittenCells

_EARLIER: Final = 7  # numbers in `totals` before refreshes were counted apart


@final
class WriteVerifyCells(WrittenCells):
    """Cells that learn in digital and are only written.

        target <- target - learning_rate * sum over the batch of d x^T

    in float32, and after every `write_every` batches the write-verify loop brings the cells to the target. No pulse
    trains are sent. The target stays within the nominal range of the device, where a write can reach it.

    Copies of a kernel share one target, to which the gradients of all of them are added. It is kept here once for
    each tile, always equal; the digital memory that a chip would need holds one for each kernel.

    Args:
        cells: What is written: single devices or one-sided pairs, which a target says enough about.
        settings: Tolerance, noise of the reads, most bursts.
        write_every: Mini-batches between two writes.

    Attributes:
        target: (tiles, out, in) what the cells are to show.
        batches: Mini-batches since the weights were set.
        totals: What all writes have cost since the cells were made, in the order of the fields of `WriteCounts`;
            states of earlier versions have fewer, and the others are zero then.
        last_write: What the last write cost; None before the first, and in cells that were loaded.
        pull: (tiles, out, in) gradient of a penalty on the targets, which the next update adds to its own; or None.
    """

    target: Tensor
    batches: Tensor
    totals: Tensor

    def __init__(self, cells: UnitCells, settings: WriteVerify, write_every: int) -> None:
        super().__init__(cells)
        self.settings, self.write_every = settings, write_every
        self.lowest, self.highest = cells.nominal_range
        self.last_write: WriteCounts | None = None
        self._own_writes = 0  # since the cells were made or loaded
        self.pull: Tensor | None = None
        self.register_buffer("target", torch.zeros(self.tiles, self.out_size, self.in_size))
        self.register_buffer("batches", zero_count())
        self.register_buffer("totals", torch.tensor(astuple(WriteCounts())))

    @property
    def writes_total(self) -> WriteCounts:
        """What all writes have cost since the cells were made."""
        return WriteCounts(*self.totals.tolist())

    @override
    def digital_target(self) -> Float[Tensor, "tiles out in"]:
        return self.target

    @override
    def pull_target(self, gradient: Float[Tensor, "tiles out in"]) -> None:
        self.pull = gradient

    @override
    def own_writes(self) -> tuple[int, WriteCounts]:
        return self._own_writes, self.writes_total

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        self.batches.zero_()
        self.target.copy_(weight.clamp(self.lowest, self.highest))
        self.cells.set_weights(weight, noise=noise)

    @override
    @torch.no_grad()
    def update(
        self,
        x: Float[Tensor, "trains batch in"],
        d: Float[Tensor, "trains batch out"],
        learning_rate: Dimensionless,
        *,
        noise: NoiseStream,
        engine: Engine = "auto",
        tile_of_train: Int[Tensor, " tiles"] | None = None,
    ) -> None:
        if learning_rate == 0 or x.shape[1] == 0:
            return
        gradient = torch.bmm(d.transpose(1, 2), x)
        change = gradient if tile_of_train is None else gradient[tile_of_train]
        if self.pull is not None:
            change, self.pull = change + self.pull, None
        self.target.sub_(change, alpha=learning_rate).clamp_(self.lowest, self.highest)
        self.batches.add_(1)
        if int(self.batches) % self.write_every == 0:
            self._own_writes += 1
            self.write(self.target, self.settings, noise=noise)

    @override
    @torch.no_grad()
    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the cells, and remember this target and what it cost."""
        self.target.copy_(target)
        self.last_write = self.cells.write(target, settings, noise=noise)
        self.totals.copy_(torch.tensor(astuple(self.writes_total + self.last_write)))
        return self.last_write

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        totals = state_dict.get(f"{prefix}totals")
        if totals is not None and totals.shape == (_EARLIER,):
            state_dict[f"{prefix}totals"] = F.pad(totals, (0, len(self.totals) - _EARLIER))
        super()._load_from_state_dict(state_dict, prefix, *args)
