"""Cells that mixed precision trains."""

from copy import deepcopy
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from devices.host_numbers import value_of, zero_count
from devices.looking import may_look
from devices.parts import first_tile, mean_over_tiles, most, uniform_
from devices.pulsed import DeviceArray, Engine, WriteCounts, WriteVerify
from devices.pulsed.arrays import as_arrays
from devices.pulsed.engines.lines import writing_of
from devices.pulsed.update import many_pulses, trains_of_tiles
from devices.units import Dimensionless

from ...aihwkit.adapter import UpdateParameters
from ...reading.noise import NoiseStream
from ..one_hot import choose_line, one_hot
from ..unit_cells import DigitalMemory, UnitCells
from ..written_cells import WrittenCells
from .row_loops import add_product, take_steps, write_rows


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

    host_numbers: ClassVar = ("updates", "next_row")
    chi: Tensor
    updates: Tensor
    next_row: Tensor

    def __init__(self, cells: UnitCells, compound: Any) -> None:
        super().__init__(cells)
        self.compound = deepcopy(compound)
        self._writing: tuple[Dimensionless, Any] | None = None
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
        x = _into_bins(x.detach().float(), settings.n_x_bins, settings.stoc_round_x, rng)
        d = _into_bins(d.detach().float(), settings.n_d_bins, settings.stoc_round_d, rng)
        updates = self.updates
        seen, every, done = value_of(updates), settings.transfer_every * batch, 0
        for vector in range(-seen % every, batch, every) if every > 0 else ():
            if seen + vector == 0:
                continue
            part = (x, d) if batch == 1 else (x[:, done : vector + 1], d[:, done : vector + 1])
            self._accumulate(*part, learning_rate, tile_of_train)
            self._transfer(noise, rng, engine)
            done = vector + 1
        if done < batch:
            part = (x, d) if done == 0 else (x[:, done:], d[:, done:])
            self._accumulate(*part, learning_rate, tile_of_train)
        updates.add_(batch)

    @override
    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the devices; the gradient that is not yet written stays where it is."""
        return self.cells.write(target, settings, noise=noise)

    def _accumulate(
        self, x: Tensor, d: Tensor, learning_rate: Dimensionless, tile_of_train: Tensor | None
    ) -> None:
        if x.shape[1] == 1 and x.is_cpu:
            whose = trains_of_tiles(self.tiles, tile_of_train)
            add_product(
                self._chi_on_cpu(),
                x.contiguous().numpy(),
                d.contiguous().numpy(),
                float(learning_rate),
                whose,
            )
            return
        gradient = torch.bmm((learning_rate * d).transpose(1, 2), x)
        self.chi.add_(gradient if tile_of_train is None else gradient[tile_of_train])

    def _transfer(self, noise: NoiseStream, rng: torch.Generator, engine: Engine) -> None:
        """Write the whole steps of some rows, one row after the other."""
        settings, rows = self.compound, self.out_size
        number = min(settings.n_rows_per_transfer if settings.n_rows_per_transfer >= 0 else rows, rows)
        if number == 0 or settings.transfer_lr == 0:
            return
        if settings.random_row and number < rows:
            start = choose_line(rows, self.tiles, rng=rng).numpy()
        else:
            begin = value_of(self.next_row)
            start = np.array([[begin]])
            self.next_row.fill_((begin + number) % rows)
        cells, size, is_on_cpu = self.cells, float(self.granularity), self.chi.is_cpu
        taken: tuple[Any, Any, int | None]
        if is_on_cpu:
            taken = take_steps(self._chi_on_cpu(), start, number, size)
        else:
            taken = self._take_steps(torch.from_numpy(start), number, size)
        steps, of_rows, total = taken
        if total == 0 and not noise.is_shared and not cells.needs_every_vector:
            return
        by_line = cells.written_by_line() if is_on_cpu else None
        are_few = engine != "aggregated" and by_line is not None
        if are_few and engine == "auto" and total is not None:
            of_devices = total / (self.tiles * self.out_size * self.in_size)
            are_few = mean_over_tiles(of_devices, rng) < many_pulses(number)
        if are_few and by_line is not None:
            self._write_rows(*by_line, steps, of_rows, start, size, rng)
            return
        if is_on_cpu:
            steps, of_rows = torch.from_numpy(steps), torch.from_numpy(of_rows)
        self._send_rows(steps, of_rows, torch.from_numpy(start), noise, engine)

    def _chi_on_cpu(self) -> Any:
        chi = self._buffers["chi"]
        assert chi is not None
        return chi.numpy()

    def _take_steps(
        self, start: Int[Tensor, "#tiles 1"], number: int, size: Dimensionless
    ) -> tuple[Tensor, Tensor, int | None]:
        """Take whole steps out of the memory: (tiles, number, in) steps, how many a row has, and all together.

        How many all together have is None on a GPU, which is not asked.
        """
        chi = self.chi
        rows = (start.to(chi.device) + torch.arange(number, device=chi.device)) % self.out_size
        index = rows.expand(self.tiles, number)[..., None].expand(-1, -1, self.in_size)
        held = chi.gather(1, index)
        steps = (held / size).trunc()
        chi.scatter_(1, index, held - steps * size)
        return steps, steps.abs().sum(dim=2), None

    @torch.no_grad()
    def _send_rows(
        self,
        steps: Float[Tensor, "tiles rows in"],
        of_rows: Tensor,
        start: Int[Tensor, "#tiles 1"],
        noise: NoiseStream,
        engine: Engine,
    ) -> None:
        """Send every row as a vector with trains of its own."""
        rows, number, device = self.out_size, steps.shape[1], steps.device
        chosen = ((start.to(device) + torch.arange(number, device=device)) % rows).expand(self.tiles, number)
        # No schedule counts rows: those without a step are left out.
        if not self.cells.needs_every_vector and may_look(steps):
            is_written = of_rows > 0
            rows_of_any = noise.most(int(is_written.sum(dim=1).max()))
            if rows_of_any == 0:
                return
            if rows_of_any < number:
                written = is_written.to(torch.int8).argsort(dim=1, descending=True, stable=True)[
                    :, :rows_of_any
                ]
                chosen = chosen.gather(1, written)
                steps = steps.gather(1, written[..., None].expand(-1, -1, self.in_size))
        rate = self.granularity * self.compound.transfer_lr
        d = one_hot(chosen, rows)
        if self.cells.counts_batches:
            # A run of rows up to the last is a batch of its own, in which refreshes are counted.
            before_jump = min(number, rows - int(start[0]))
            for part in (slice(0, before_jump), slice(before_jump, number)):
                if part.start < part.stop:
                    self.cells.update(steps[:, part], d[:, part], rate, noise=noise, engine=engine)
        else:
            self.cells.update(steps, d, rate, noise=noise, engine=engine)

    def _write_rows(
        self,
        devices: DeviceArray,
        update: UpdateParameters,
        steps: Any,
        of_rows: Any,
        start: Any,
        size: Dimensionless,
        rng: torch.Generator,
    ) -> None:
        """Send few pulses to rows, in one compiled loop, which takes arrays; see `write_rows`."""
        if self._writing is None or self._writing[0] != devices.step_size:
            self._writing = devices.step_size, writing_of(devices.step_size, update)
        sent = write_rows(
            steps,
            of_rows,
            start,
            size * self.compound.transfer_lr,
            self._writing[1],
            as_arrays(devices),
            np.uint64(torch.randint(2**62, (), generator=rng).item()),
            first_tile(rng),
        )
        devices.hold_stuck()
        if devices.line_pulses is not None and devices.slots is not None:
            devices.line_pulses += int(sent[..., 0].sum())
            devices.slots += int(most(float(sent[..., 1].sum(axis=1).max()), rng))


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
