"""AGAD: Tiki-Taka with choppers, and a reference that is learned from what the choppers turn around."""

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
from .chopped_cells import ChoppedCells
from .choppers import Chops
from .reads import Reads
from .transfer_loops import Rule


@final
class DynamicTransfer(ChoppedCells):
    """Tiki-Taka with choppers, where the offset of a fast device is estimated and subtracted.

    A running mean of all reads of a device is kept. When its line is turned, the mean becomes the reference from
    which the reads of the next period are counted. Nothing is written during the first period and one sweep.
    `out_chop_prob` and `no_buffer` have no effect, as in aihwkit (rpu_dynamic_transfer_device.cpp; M. J. Rasch et
    al., Nat. Commun. 15, 7133 (2024)).

    Attributes:
        running_mean: (tiles, out, in) mean of the reads.
        reference: (tiles, out, in) that mean when the line was last turned.
        is_switched: (tiles, lines) whether a line was turned after its last read.
    """

    running_mean: Tensor
    reference: Tensor
    is_switched: Tensor

    def __init__(
        self, arrays: Sequence[DeviceArray], compound: Any, update: UpdateParameters, *, seed: int
    ) -> None:
        super().__init__(arrays, compound, update, is_regular=True, other_probability=0.0, seed=seed)
        self.register_buffer("running_mean", torch.zeros(arrays[0].shape))
        self.register_buffer("reference", torch.zeros(arrays[0].shape))
        self.register_buffer("is_switched", torch.zeros(self.tiles, self.number_of_lines, dtype=torch.bool))

    @override
    def memories(self) -> list[DigitalMemory]:
        """Return the buffer, and the offsets that were estimated of the fast devices, turned as these are."""
        signs = self.signs_of("fast")
        estimates = [DigitalMemory(values, signs) for values in (self.running_mean, self.reference)]
        return [*super().memories(), *estimates]

    @override
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        settings = self.compound
        cap = float("inf")
        if settings.buffer_cap > 0:
            cap = float(settings.transfer_update.desired_bl * settings.buffer_cap)
        return (
            super()
            .rule_for_loops(learning_rate)
            ._replace(
                taken=float(1 - np.float32(settings.momentum)),
                cap=cap,
                has_reference=True,
                tail=self._tail(),
                period=self.choppers.period,
                most_samples=self._most_samples() if settings.experimental_correct_accumulation else 0.0,
            )
        )

    def _tail(self) -> Dimensionless:
        """Return the part of the running mean that a new read makes up."""
        part = np.float32(self.compound.tail_weightening) / np.float32(self.choppers.period)
        return float(min(part, np.float32(1)))

    def _most_samples(self) -> Dimensionless:
        """Return how many reads since the last turn correct what they have accumulated, at most."""
        return float(np.float32(1) / np.float32(self.chain[0].step_size))

    @override
    def _transfer(
        self,
        reads: Reads,
        values: Float[Tensor, "tiles reads other"],
        rate: Dimensionless,
        chops: Chops | None,
        rng: torch.Generator,
    ) -> None:
        assert chops is not None
        settings, now, lines = self.compound, chops.of(reads), reads.lines
        period = self.choppers.period
        mean, reference = self.lines.take(self.running_mean, lines), self.lines.take(self.reference, lines)
        begins = self.is_switched[:, lines[0]][..., None]
        reference = torch.where(begins, mean, reference)
        self.lines.put(self.reference, lines, reference)
        self.is_switched[:, lines[0]] = now.is_switched

        scale = self._scale(rate, now)
        if settings.experimental_correct_accumulation:
            samples = (now.sweeps % period + 1).clamp(max=self._most_samples())
            scale = scale / samples.float()[:, None]
        signs = now.line_of_read[..., None] * now.others_of_read
        held = self.lines.take(self.buffer, lines) + (values - reference) * signs * scale
        is_full = held.abs() >= 1
        most = settings.transfer_update.desired_bl
        steps = torch.where(is_full, held.trunc().clamp(-most, most), 0.0)
        if settings.forget_buffer:
            kept = held * settings.momentum
        else:
            kept = held - float(1 - np.float32(settings.momentum)) * steps
            if settings.buffer_cap > 0:
                cap = most * settings.buffer_cap
                kept = kept.clamp(-cap, cap)
        self.lines.put(self.buffer, lines, torch.where(is_full, kept, held))
        tail = self._tail()
        self.lines.put(self.running_mean, lines, mean * (1.0 - tail) + values * tail)
        steps = steps * (now.sweeps > period)[:, None]
        self.lines.write(self.slow(), lines, -steps, self._write_rate(), settings.transfer_update, rng=rng)
