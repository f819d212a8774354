"""Tiki-Taka with a digital buffer between fast and slow devices."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from devices.pulsed import DeviceArray
from devices.units import Dimensionless

from ...aihwkit.adapter import UpdateParameters
from ..unit_cells import DigitalMemory
from .choppers import Chops
from .reads import Reads
from .transfer_cells import TransferCells
from .transfer_loops import Rule


@final
class BufferedTransfer(TransferCells):
    """Tiki-Taka, version 2: what is read is added up in digital, and whole steps of it are written.

        h <- h + rate * read;    n = truncate(h / threshold), at most `desired_bl`;    n pulses are written

    with a threshold in units of the slow devices' step. After a write the buffer keeps the part `momentum`, or what
    was not written. aihwkit's rpu_buffered_transfer_device.cpp; T. Gokmen, Front. Artif. Intell. 4, 699148 (2021).

    Attributes:
        buffer: (arrays - 1, tiles, out, in) what was read of each array and not yet written to the next.
    """

    buffer: Tensor

    def __init__(
        self, arrays: Sequence[DeviceArray], compound: Any, update: UpdateParameters, *, seed: int
    ) -> None:
        super().__init__(arrays, compound, update, seed=seed)
        self.register_buffer("buffer", torch.zeros(len(arrays) - 1, *arrays[0].shape))

    @override
    def memories(self) -> list[DigitalMemory]:
        return [DigitalMemory(buffer) for buffer in self.buffer]

    @override
    def transfer_rate(self, source: int, learning_rate: Dimensionless) -> Dimensionless:
        rate = super().transfer_rate(source, learning_rate)
        part, next_part = self.parts[source], self.parts[source + 1]
        if next_part > 0 and part > 0:
            rate *= float(np.float32(part) / np.float32(next_part))
        return rate

    @override
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        settings, step = self.compound, np.float32(self.chain[1].step_size)
        return Rule(
            rate=float(np.float32(settings.step) * step),
            scale=abs(self.transfer_rate(0, learning_rate)),
            unit=float(np.float32(settings.thres_scale) * step),
            most=float(settings.transfer_update.desired_bl),
            forgets=settings.forget_buffer,
            kept=float(settings.momentum),
            taken=float(1 - np.float32(min(max(settings.momentum, 0.0), 1.0))),
        )

    @override
    def memory_for_loops(self) -> tuple[Tensor | None, ...]:
        return self._buffers["buffer"], *super().memory_for_loops()[1:]

    @override
    def _transfer(
        self,
        reads: Reads,
        values: Float[Tensor, "tiles reads other"],
        rate: Dimensionless,
        chops: Chops | None,
        rng: torch.Generator,
    ) -> None:
        settings, target = self.compound, self.chain[reads.source + 1]
        step = np.float32(target.step_size)
        threshold = float(np.float32(settings.thres_scale) * step)
        most = settings.transfer_update.desired_bl
        buffer = self.buffer[reads.source]
        held = self.lines.take(buffer, reads.lines) + values * abs(rate)
        steps = (held / threshold).trunc().clamp(-most, most)
        if settings.forget_buffer:
            kept = held * settings.momentum
        else:
            kept = held - float(1 - np.float32(min(max(settings.momentum, 0.0), 1.0))) * steps * threshold
        self.lines.put(buffer, reads.lines, torch.where(steps != 0, kept, held))
        write_rate = float(np.float32(settings.step) * step)
        self.lines.write(target, reads.lines, -steps, write_rate, settings.transfer_update, rng=rng)
