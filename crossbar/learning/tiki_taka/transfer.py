"""Tiki-Taka: gradients on fast devices, read line by line and written to slow ones."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from devices.parts import any_of, uniform_
from devices.pulsed import reset_
from devices.units import Dimensionless

from .choppers import Chops
from .reads import Reads
from .transfer_cells import TransferCells
from .transfer_loops import Rule


@final
class Transfer(TransferCells):
    """Tiki-Taka, version 1: what is read of the fast devices is the gradient by which the slow ones are pulsed.

    aihwkit's rpu_transfer_device.cpp; T. Gokmen and W. Haensch, Front. Neurosci. 14, 103 (2020).
    """

    @override
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        rate = self.transfer_rate(0, learning_rate)
        sign = -1.0 if rate > 0 else 1.0
        return Rule(has_buffer=False, sign=sign, rate=abs(rate))

    @override
    def _transfer(
        self,
        reads: Reads,
        values: Float[Tensor, "tiles reads other"],
        rate: Dimensionless,
        chops: Chops | None,
        rng: torch.Generator,
    ) -> None:
        if reads.reset is not None:
            self._reset(reads, rng)
        # What was accumulated is minus the gradient.
        gradients = -values if rate > 0 else values
        target = self.chain[reads.source + 1]
        self.lines.write(target, reads.lines, gradients, abs(rate), self.compound.transfer_update, rng=rng)

    def _reset(self, reads: Reads, rng: torch.Generator) -> None:
        """Reset lines of some tiles after the read."""
        assert reads.reset is not None
        probability = self.compound.with_reset_prob
        is_reset = uniform_(torch.empty(self.tiles, 1), rng).to(reads.reset.device) < probability
        if any_of(is_reset.any(), rng):
            reset_(self.chain[reads.source], (is_reset & reads.reset)[:, None, :], rng=rng)
