"""What transfers with choppers have in common: scaled gradients, choppers, a buffer in units of pulses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from devices.pulsed import DeviceArray
from devices.units import Dimensionless

from ...aihwkit.adapter import UpdateParameters
from ..unit_cells import DigitalMemory
from .choppers import Choppers, Chops
from .reads import Reads
from .running_maxima import RunningMaxima
from .transfer_cells import TransferCells
from .transfer_loops import Rule


class ChoppedCells(TransferCells):
    """A fast and a slow device at every crosspoint, with choppers and a digital buffer in between.

    With `auto_scale` the pulses of the gradient are scaled so that the largest of a usual vector fill the trains.

    Args:
        arrays: The fast and the slow devices.
        compound: aihwkit's description of the compound.
        update: aihwkit's settings of the gradient's pulses.
        is_regular: Whether all choppers turn after a number of sweeps.
        other_probability: With which lines across are turned after a sweep.
        seed: Of the fabrication of the periphery by which lines are read for a transfer.

    Attributes:
        choppers: State of the choppers.
        maxima: Running means of the largest inputs and gradients.
        buffer: (tiles, out, in) what was read and not yet written, in pulses.
    """

    buffer: Tensor

    def __init__(
        self,
        arrays: Sequence[DeviceArray],
        compound: Any,
        update: UpdateParameters,
        *,
        is_regular: bool,
        other_probability: Dimensionless,
        seed: int,
    ) -> None:
        super().__init__(arrays, compound, update, seed=seed)
        sizes = self.in_size, self.out_size
        self.choppers = Choppers(
            self.tiles,
            *(sizes if compound.transfer_columns else reversed(sizes)),
            probability=compound.in_chop_prob,
            is_random=compound.in_chop_random and compound.in_chop_prob > 0,
            is_regular=is_regular,
            other_probability=other_probability,
        )
        self.maxima = RunningMaxima(self.tiles, compound.auto_momentum)
        self.register_buffer("buffer", torch.zeros(arrays[0].shape))

    @override
    def memories(self) -> list[DigitalMemory]:
        return [DigitalMemory(self.buffer)]

    @override
    def signs_of(self, role: str) -> Float[Tensor, "tiles out in"] | None:
        """Return the choppers' signs, by which the fast devices are pulsed and read."""
        if role != "fast":
            return None
        lines = 1.0 - 2.0 * self.choppers.is_turned
        others = 1.0 - 2.0 * self.choppers.is_other_turned
        if self.lines.are_columns:
            return lines[:, None, :] * others[:, :, None]
        return lines[:, :, None] * others[:, None, :]

    @override
    def _gradient_rates(
        self, x: Tensor, d: Tensor, learning_rate: Dimensionless, tile_of_train: Tensor | None
    ) -> Dimensionless | Float[Tensor, "trains batch"]:
        if not self.compound.auto_scale:
            return super()._gradient_rates(x, d, learning_rate, tile_of_train)
        whose = slice(None) if tile_of_train is None else tile_of_train
        rate = self.maxima.follow_rates(x[whose], d[whose], float(self._full_rate()))
        if self.compound.fast_lr <= 0:
            return learning_rate
        if tile_of_train is None:
            return rate
        # Copies of a kernel have seen the same vectors: their means are equal.
        rate_of_train = torch.zeros(len(x), rate.shape[1], device=rate.device)
        rate_of_train[tile_of_train] = rate
        return rate_of_train

    @override
    def _chop(
        self,
        schedule: Sequence[Reads],
        rates: Dimensionless | Float[Tensor, "trains batch"],
        batch: int,
        tile_of_train: Tensor | None,
        rng: torch.Generator,
    ) -> Chops | None:
        if isinstance(rates, Tensor) and tile_of_train is not None:
            rates = rates[tile_of_train]
        return self.choppers.plan(schedule, rates, batch, rng)

    def _scale(self, rate: Dimensionless, chops: Chops) -> Float[Tensor, "#tiles reads 1"]:
        """Return how many pulses on the slow devices a unit of what was read is worth, for each read."""
        scale = torch.full((1, len(chops.sweeps), 1), abs(rate), device=chops.sweeps.device)
        if self.compound.correct_gradient_magnitudes:
            scale = scale / (chops.rates[..., None] if isinstance(chops.rates, Tensor) else chops.rates)
        return scale / self._unit()

    def _unit(self) -> Dimensionless:
        """Return what a pulse on the slow devices is worth in what is read, before magnitudes are corrected."""
        settings = self.compound
        fast, slow = (np.float32(array.step_size) for array in self.chain)
        unit = np.float32(settings.buffer_granularity if settings.buffer_granularity > 0 else 1)
        if settings.auto_granularity > 0:
            period = np.float32(self.number_of_lines) * np.float32(abs(settings.transfer_every))
            unit = unit * (fast * np.float32(settings.auto_granularity) / period)
        else:
            unit = unit * fast
        if settings.correct_gradient_magnitudes:
            unit = unit * (slow / fast)
        return float(unit)

    @override
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        settings = self.compound
        return Rule(
            rate=self._write_rate(),
            scale=abs(self.transfer_rate(0, learning_rate)),
            is_corrected=settings.correct_gradient_magnitudes,
            worth=self._unit(),
            most=float(settings.transfer_update.desired_bl),
            forgets=settings.forget_buffer,
            kept=float(settings.momentum),
        )

    @override
    def following_for_loops(self, batch: int) -> tuple[Any, ...]:
        fast = float(self.compound.fast_lr)
        return self.compound.auto_scale, fast > 0, self.maxima.part(batch), self._full_rate()

    @override
    def choppers_for_loops(self) -> tuple[Any, ...]:
        return self.choppers.settings()

    @override
    def memory_for_loops(self) -> tuple[Tensor | None, ...]:
        own, choppers, maxima = self._buffers, self.choppers._buffers, self.maxima._buffers
        return (
            *[own.get(name) for name in ("buffer", "running_mean", "reference", "is_switched")],
            *[choppers[name] for name in ("is_turned", "is_other_turned", "sweeps")],
            *[maxima[name] for name in ("x", "d")],
        )

    def _full_rate(self) -> Any:
        """Return the rate at which an input and a gradient of one fill a train, times that of the fast devices."""
        full = np.float32(self.update_parameters.desired_bl) * np.float32(self.chain[0].step_size)
        return np.float32(self.compound.fast_lr) * full

    def _write_rate(self) -> Dimensionless:
        """Return the learning rate at which the slow devices are written."""
        return float(np.float32(self.compound.step) * np.float32(self.slow().step_size))
