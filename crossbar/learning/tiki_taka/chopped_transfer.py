"""Tiki-Taka with choppers: c-TTv2, and TTv2 as aihwkit's presets have it."""

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
from .chopped_cells import ChoppedCells
from .choppers import Chops
from .reads import Reads
from .transfer_loops import Rule


@final
class ChoppedTransfer(ChoppedCells):
    """Tiki-Taka with a buffer and choppers.

        h <- h + s * scale * read;    n = truncate(h), at most `desired_bl`;    n pulses are written if |h| >= 1

    with the sign s of the choppers. After a write the buffer keeps the part `momentum`, or what was not written.
    aihwkit's rpu_chopped_transfer_device.cpp; M. J. Rasch et al., Nat. Commun. 15, 7133 (2024).
    """

    def __init__(
        self, arrays: Sequence[DeviceArray], compound: Any, update: UpdateParameters, *, seed: int
    ) -> None:
        super().__init__(
            arrays,
            compound,
            update,
            is_regular=compound.in_chop_prob > 0 and not compound.in_chop_random,
            other_probability=compound.out_chop_prob,
            seed=seed,
        )

    @override
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        momentum = min(max(self.compound.momentum, 0.0), 1.0)
        taken = float(1 - np.float32(momentum))
        rule = super().rule_for_loops(learning_rate)
        return rule._replace(taken=taken, has_memory=not self.compound.no_buffer)

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
        settings, now = self.compound, chops.of(reads)
        most = settings.transfer_update.desired_bl
        held = values * self._scale(rate, now) * (now.line_of_read[..., None] * now.others_of_read)
        if not settings.no_buffer:
            held = held + self.lines.take(self.buffer, reads.lines)
        is_full = held.abs() >= 1
        steps = torch.where(is_full, held.trunc().clamp(-most, most), 0.0)
        if settings.forget_buffer:
            kept = held * settings.momentum
        else:
            kept = held - float(1 - np.float32(min(max(settings.momentum, 0.0), 1.0))) * steps
        self.lines.put(self.buffer, reads.lines, torch.where(is_full, kept, held))
        self.lines.write(
            self.slow(), reads.lines, -steps, self._write_rate(), settings.transfer_update, rng=rng
        )
