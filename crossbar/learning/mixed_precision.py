"""Mixed precision: the gradient is added up in digital, and whole steps of it are written to the devices."""

from copy import deepcopy
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor
from typing_extensions import override

from devices.parts import uniform_
from devices.pulsed import Engine, WriteCounts, WriteVerify
from devices.units import Dimensionless

from ..reading.noise import NoiseStream
from .one_hot import choose_line, one_hot
from .unit_cells import DigitalMemory, UnitCells, zero_count
from .written_cells import WrittenCells


@final
class MixedPrecision(WrittenCells):
    """Cells whose gradient is computed and accumulated by a digital processor.

        chi <- chi + learning_rate * d x^T;    n = truncate(chi / granularity);    chi <- chi - n granularity

    and n pulses are sent to every device of a row, row by row. A transfer happens at the first vector after every
    `transfer_every` mini-batches, as aihwkit counts (rpu_mixedprec_device.cpp; S. R. Nandakumar et al., Front.
    Neurosci. 14, 406 (2020)). With only one of `n_x_bins` and `n_d_bins` set, aihwkit 1.1.0 loses most of the
    gradient to a wrong index; here the other one is taken as it is.

    Args:
        cells: What is written: cells whose pulses follow update and bit-length management.
        compound: aihwkit's description of the compound.

    Attributes:
        chi: (tiles, out, in) gradient not yet written, in units of the weight.
        updates: Vectors seen since the weights were set.
        next_row: Row that is to be written next.
    """

    chi: Tensor
    updates: Tensor
    next_row: Tensor

    def __init__(self, cells: UnitCells, compound: Any) -> None:
        super().__init__(cells)
        self.compound = deepcopy(compound)
        self.register_buffer("chi", torch.zeros(self.tiles, self.out_size, self.in_size))
        self.register_buffer("updates", zero_count())
        self.register_buffer("next_row", zero_count())

    @property
    @override
    def granularity(self) -> Dimensionless:
        given: Dimensionless = self.compound.granularity
        return given if given > 0 else self.cells.granularity

    @property
    @override
    def draws_by_tile(self) -> bool:
        return self.cells.draws_by_tile

    @override
    def memories(self) -> list[DigitalMemory]:
        return [DigitalMemory(self.chi)]

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        self.chi.zero_()
        self.updates.zero_()
        self.next_row.zero_()
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
        batch = x.shape[1]
        if learning_rate == 0 or batch == 0:
            return
        rng, settings = noise.generator("cpu"), self.compound
        x = _into_bins(x.float(), settings.n_x_bins, settings.stoc_round_x, rng)
        d = _into_bins(d.float(), settings.n_d_bins, settings.stoc_round_d, rng)
        seen, every, done = int(self.updates), settings.transfer_every * batch, 0
        for vector in range(-seen % every, batch, every) if every > 0 else ():
            if seen + vector == 0:
                continue
            self._accumulate(x[:, done : vector + 1], d[:, done : vector + 1], learning_rate, tile_of_train)
            self._transfer(noise, rng, engine)
            done = vector + 1
        if done < batch:
            self._accumulate(x[:, done:], d[:, done:], learning_rate, tile_of_train)
        self.updates.add_(batch)

    @override
    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the devices; the gradient that is not yet written stays where it is."""
        return self.cells.write(target, settings, noise=noise)

    def _accumulate(
        self, x: Tensor, d: Tensor, learning_rate: Dimensionless, tile_of_train: Tensor | None
    ) -> None:
        gradient = torch.bmm((learning_rate * d).transpose(1, 2), x)
        self.chi.add_(gradient if tile_of_train is None else gradient[tile_of_train])

    def _transfer(self, noise: NoiseStream, rng: torch.Generator, engine: Engine) -> None:
        """Write the whole steps of some rows, one row after the other."""
        settings, rows = self.compound, self.out_size
        number = min(settings.n_rows_per_transfer if settings.n_rows_per_transfer >= 0 else rows, rows)
        if number == 0 or settings.transfer_lr == 0:
            return
        device = self.chi.device
        if settings.random_row and number < rows:
            start = choose_line(rows, self.tiles, rng=rng).to(device)
        else:
            start = self.next_row.clone().reshape(1, 1)
            self.next_row.copy_((self.next_row + number) % rows)
        if device.type == "cpu" and not self.cells.needs_every_vector:
            self._write_on_cpu(start, number, noise, engine)
            return
        chosen = ((start + torch.arange(number, device=device)) % rows).expand(self.tiles, number)
        index = chosen[..., None].expand(-1, -1, self.in_size)
        chi = self.chi.gather(1, index)
        steps = (chi / self.granularity).trunc()
        self.chi.scatter_(1, index, chi - steps * self.granularity)
        if not self.cells.needs_every_vector:  # no schedule counts rows: those without a step are left out
            is_written = (steps != 0).any(dim=2)
            rows_of_any = noise.most(int(is_written.sum(dim=1).max()))
            if rows_of_any == 0:
                return
            if rows_of_any < number:
                written = is_written.to(torch.int8).argsort(dim=1, descending=True, stable=True)[
                    :, :rows_of_any
                ]
                chosen = chosen.gather(1, written)
                steps = steps.gather(1, written[..., None].expand(-1, -1, self.in_size))
        rate = self.granularity * settings.transfer_lr
        d = one_hot(chosen, rows)
        if self.cells.counts_batches:
            # A run of rows up to the last is a batch of its own, in which refreshes are counted.
            before_jump = min(number, rows - int(start[0]))
            for part in (slice(0, before_jump), slice(before_jump, number)):
                if part.start < part.stop:
                    self.cells.update(steps[:, part], d[:, part], rate, noise=noise, engine=engine)
        else:
            self.cells.update(steps, d, rate, noise=noise, engine=engine)

    def _write_on_cpu(self, start: Tensor, number: int, noise: NoiseStream, engine: Engine) -> None:
        """Write the rows that have a whole step, found in one compiled loop, and leave the others out."""
        size = np.float32(self.granularity)
        steps, d, most = whole_steps(self.chi.numpy(), start.numpy(), number, size)
        most = noise.most(most)
        if most > 0:
            rate = self.granularity * self.compound.transfer_lr
            x, d_of_rows = (torch.from_numpy(values)[:, :most] for values in (steps, d))
            self.cells.update(x, d_of_rows, rate, noise=noise, engine=engine)


@njit(cache=True, error_model="numpy")
def whole_steps(chi: Any, start: Any, number: int, size: Any) -> Any:
    """Take whole steps out of some rows.

    Args:
        chi: (tiles, out, in) gradient not yet written; changed in place.
        start: (1 or tiles, 1) the first of the rows, which follow one another.
        number: How many rows.
        size: Of a step.

    Returns:
        (tiles, number, in) the steps, and (tiles, number, out) one on the row that they belong to: rows without a
        step are left out, unless a tile has a step in all of them; and how many rows are left.
    """
    tiles, outs, ins = chi.shape
    steps, d = np.zeros((tiles, number, ins), np.float32), np.zeros((tiles, number, outs), np.float32)
    is_written = np.zeros((tiles, number), np.bool_)
    most = 0
    for t in range(tiles):
        for k in range(number):
            row, to = chi[t, (start[t % len(start), 0] + k) % outs], steps[t, k]
            total = np.float32(0.0)
            for j in range(ins):
                to[j] = np.trunc(row[j] / size)
                row[j] -= to[j] * size
                total += abs(to[j])
            is_written[t, k] = total != np.float32(0.0)
        most = max(most, is_written[t].sum())
    for t in range(tiles):
        to = 0
        for k in range(number):
            if is_written[t, k]:
                if most < number and to < k:
                    steps[t, to], steps[t, k] = steps[t, k], np.float32(0.0)
                d[t, to if most < number else k, (start[t % len(start), 0] + k) % outs] = np.float32(1.0)
                to += 1
    return steps, d, most


def _into_bins(
    values: Float[Tensor, "tiles batch n"], bins: int, is_stochastic: bool, rng: torch.Generator
) -> Float[Tensor, "tiles batch n"]:
    """Round each vector to a number of bins over its own range; 0 bins leave it as it is."""
    if bins <= 0:
        return values
    half = bins // 2
    width = values.abs().amax(dim=2, keepdim=True) / half
    width = torch.where(width == 0, torch.ones_like(width), width)
    position = values / width
    if is_stochastic:
        position = position + (uniform_(torch.empty(values.shape), rng).to(values.device) - 0.5)
    return position.round().clamp(-half, half) * width
