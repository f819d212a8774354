"""Cells that learn on fast devices and transfer to slow ones: when lines are read, and in which order all happens.

Fast devices receive the pulses of the gradients. Every so many vectors one line of them is read, and the next devices
of the cell are written with what was read. Devices of different lines do not meet: neither pulses nor reads of a line
change another. So many vectors and reads are computed together, as long as no line is read twice:

    pulses up to the moment when each line is read -> all reads -> all writes -> ... -> the remaining pulses

which is exactly what happens vector by vector.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from copy import deepcopy
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from devices.host_numbers import value_of, zero_count
from devices.looking import may_look
from devices.pulsed import (
    DeviceArray,
    Engine,
    PulseTrains,
    WriteCounts,
    WriteVerify,
    apply_trains,
    count_lines,
    draw_trains,
    write_verify,
)
from devices.streams import generator
from devices.units import Dimensionless

from ...aihwkit.adapter import (
    UpdateParameters,
)
from ...reading.noise import NoiseStream
from ...reading.periphery import Periphery
from ..one_hot import Lines, choose_line
from ..trains_of_tiles import for_every_tile
from ..unit_cells import UnitCells
from ..vector_cell import mean_of, weighted_sum
from .at_once import AtOnce
from .chain_settings import cell_gamma, transfer_intervals, transfer_settings
from .choppers import NO_CHOPPERS, Chops
from .reads import Reads, Sent
from .transfer_loops import Rule


class TransferCells(UnitCells):
    """Devices of a cell in a chain: gradients go to the first, and are transferred from each to the next.

    Args:
        arrays: The devices, fast ones first.
        compound: aihwkit's description of the compound.
        update: aihwkit's settings of the gradient's pulses.
        seed: Of the fabrication of the periphery by which lines are read for a transfer.

    Attributes:
        updates: Vectors seen since the weights were set.
        next_line: (devices,) line of each array that is to be read next.
        every: Vectors, or mini-batches, between two transfers from each array.
        parts: `gamma`, as the host knows it.
        is_hidden: Whether the last devices alone are what an MVM reads.
    """

    host_numbers: ClassVar = ("updates", "next_line")
    updates: Tensor
    next_line: Tensor
    gamma: Tensor

    def __init__(
        self, arrays: Sequence[DeviceArray], compound: Any, update: UpdateParameters, *, seed: int
    ) -> None:
        super().__init__(*arrays[0].shape)
        self.arrays = nn.ModuleList(arrays)
        self.compound = deepcopy(compound)
        self.update_parameters = update
        self.decays, self.diffuses = compound.requires_decay(), compound.requires_diffusion()
        self.lines = Lines(compound.transfer_columns)
        self.number_of_lines, length = self.in_size, self.out_size
        if not compound.transfer_columns:
            self.number_of_lines, length = length, self.number_of_lines
        self.reads_per_transfer = min(compound.n_reads_per_transfer, self.number_of_lines)
        devices = len(arrays)
        self.every = transfer_intervals(compound, devices, self.reads_per_transfer, length)
        gamma = cell_gamma(compound, devices)
        self.register_buffer("gamma", gamma, persistent=False)
        # aihwkit looks at the sum of the others, even where they cancel.
        self.is_hidden = float(gamma[-1]) == 1 and float(gamma[:-1].sum()) == 0
        self.parts: list[Dimensionless] = gamma.tolist()
        self.transfer_io = transfer_settings(compound.transfer_forward)
        self.periphery = Periphery(
            self.transfer_io,
            self.tiles,
            length,
            self.number_of_lines,
            rng=generator(seed, "fabrication", "transfer"),
        )
        self.register_buffer("updates", zero_count())
        self.register_buffer("next_line", torch.zeros(devices, dtype=torch.int64))
        self.at_once = AtOnce() if AtOnce.can(self) else None

    @property
    @override
    def granularity(self) -> Dimensionless:
        return mean_of(tuple(array.step_size for array in self.chain))

    @property
    @override
    def draws_by_tile(self) -> bool:
        return True

    @property
    def chain(self) -> list[DeviceArray]:
        """The devices, fast ones first."""
        return list(self.arrays._modules.values())  # type: ignore[arg-type]

    @override
    def weights(self) -> Float[Tensor, "tiles out in"]:
        return self.chain[-1].weight if self.is_hidden else weighted_sum(self.chain, self.gamma)

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        """Put the last devices at this weight, the others at zero; buffers and choppers stay as they are."""
        rng = noise.generator("cpu")
        self.updates.zero_()
        self.next_line.zero_()
        for array in self.chain[:-1]:
            array.hidden_weight.zero_()
            array.weight.zero_()
            if not self.is_hidden:
                array.set_weights(array.weight, rng=rng)
        self.chain[-1].set_weights(weight if self.parts[-1] == 1 else weight / self.gamma[-1], rng=rng)

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
        if self.at_once is not None and x.device.type == "cpu" and not self._shows_stuck():
            rng = noise.generator("cpu")
            self.at_once.learn(self, x, d, learning_rate, rng=rng, engine=engine, tile_of_train=tile_of_train)
            return
        self._update_in_torch(x, d, learning_rate, noise, engine, tile_of_train)

    @torch.no_grad()
    def _update_in_torch(
        self,
        x: Tensor,
        d: Tensor,
        learning_rate: Dimensionless,
        noise: NoiseStream,
        engine: Engine,
        tile_of_train: Tensor | None,
    ) -> None:
        """Do it group by group of reads, on any torch device and with any settings."""
        batch, rng = x.shape[1], noise.generator("cpu")
        schedule = [
            reads
            for reads in self._schedule(batch, rng)
            if self.transfer_rate(reads.source, learning_rate) != 0
        ]
        rates = self._gradient_rates(x, d, learning_rate, tile_of_train)
        trains = draw_trains(x, d, rates, self.granularity, self.update_parameters, rng=rng)
        trains = for_every_tile(trains, tile_of_train)
        count_lines(self.chain[0], trains, rng=rng)
        chops = self._chop(schedule, rates, batch, tile_of_train, rng)
        if chops is not None:
            trains = chops.turn(trains, self.lines.are_columns)
        sent = Sent(-1, -1)
        for reads in schedule:
            if reads.source == 0:
                until = self._until(reads)
                self._pulse(trains, sent, until, rng, engine)
                sent = until
            source = self.chain[reads.source]
            values = self.lines.read(source.weight, reads.lines, self.transfer_io, self.periphery, noise)
            rate = self.transfer_rate(reads.source, learning_rate)
            self._transfer(reads, values, rate, chops, rng)
        self._pulse(trains, sent, Sent(batch - 1, batch - 1), rng, engine)
        self.updates.add_(batch)

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        roles = ["fast", "slow"] if len(self.chain) == 2 else map(str, range(len(self.chain)))
        return dict(zip(roles, self.chain, strict=True))

    @override
    def slow(self) -> DeviceArray:
        return self.chain[-1]

    @override
    def showing(self) -> list[DeviceArray]:
        return [self.slow()] if self.is_hidden else self.chain

    @override
    def rewrite(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the last devices, if they alone are what an MVM reads; what is on its way to them stays."""
        if not self.is_hidden:
            return super().rewrite(target, settings, noise=noise)
        return write_verify(self.slow(), target, settings, rng=noise.generator("cpu"))

    def transfer_rate(self, source: int, learning_rate: Dimensionless) -> Dimensionless:
        """Return the learning rate of the transfer from an array.

        Args:
            source: Number of the array that is read.
            learning_rate: The optimizer's.
        """
        rates = self.compound.transfer_lr_vec or [self.compound.transfer_lr] * len(self.chain)
        scale = learning_rate if self.compound.scale_transfer_lr else 1.0
        return float(np.float32(rates[source]) * np.float32(scale))

    @abstractmethod
    def rule_for_loops(self, learning_rate: Dimensionless) -> Rule:
        """Return what the rule does with what is read of the fast devices.

        Args:
            learning_rate: The optimizer's.
        """

    def following_for_loops(self, batch: int) -> tuple[Any, ...]:
        """Return whether running maxima are followed, whether rates follow from them, and by which numbers.

        Args:
            batch: Vectors of the batch.
        """
        return False, False, np.float32(0), np.float32(0)

    def choppers_for_loops(self) -> tuple[Any, ...]:
        """Return the settings of the choppers as `choppers.chop` takes them."""
        return NO_CHOPPERS

    def memory_for_loops(self) -> tuple[Tensor | None, ...]:
        """Return the memory of the rule: buffer, running mean, reference and which lines were turned after their last
        read; which lines are turned, which across, and how often all were read; maxima of inputs and gradients.
        """
        return (None,) * 9

    def _shows_stuck(self) -> bool:
        """Tell whether a fast device that is stuck would be looked at with write noise, which it does not have."""
        fast = self.chain[0]._buffers
        return fast["stuck"] is not None and fast["persistent_weight"] is not None

    @abstractmethod
    def _transfer(
        self,
        reads: Reads,
        values: Float[Tensor, "tiles reads other"],
        rate: Dimensionless,
        chops: Chops | None,
        rng: torch.Generator,
    ) -> None:
        """Write what was read to the next devices."""

    def _gradient_rates(
        self, x: Tensor, d: Tensor, learning_rate: Dimensionless, tile_of_train: Tensor | None
    ) -> Dimensionless | Float[Tensor, "trains batch"]:
        """Return the learning rate of the gradient's pulses, which go to the fast devices."""
        fast: Dimensionless = self.compound.fast_lr
        return fast if fast > 0 else learning_rate

    def _chop(
        self,
        schedule: Sequence[Reads],
        rates: Dimensionless | Float[Tensor, "trains batch"],
        batch: int,
        tile_of_train: Tensor | None,
        rng: torch.Generator,
    ) -> Chops | None:
        """Decide which lines are turned, and when; None where a rule has no choppers."""
        return None

    def _schedule(self, batch: int, rng: torch.Generator) -> Iterator[Reads]:
        """Go through the transfers of a batch in order, as many at a time as can be computed together."""
        steps = [self._interval(source, batch) for source in range(len(self.chain) - 1)]
        seen, device = value_of(self.updates), self.gamma.device
        events = sorted(
            (vector, source)
            for source, step in enumerate(steps)
            if step > 0
            for vector in range(step - 1 - seen % step, batch, step)
        )
        offsets = torch.arange(self.reads_per_transfer, device=device)
        most = self._most_transfers_together()
        done, first = 0, 0
        while done < len(events):
            source, last = events[done][1], done + 1
            while last < min(len(events), done + most) and events[last][1] == source:
                last += 1
            each, transfers, number = self.reads_per_transfer, last - done, self.number_of_lines
            vectors = [vector for vector, _ in events[done:last] for _ in range(each)]
            numbers = None
            if self.compound.random_selection:
                lines = choose_line(number, self.tiles, rng=rng).to(device) + offsets
            else:
                begin = value_of(self.next_line, source)
                lines = begin + torch.arange(transfers * each, device=device)[None]
                numbers = [line % number for line in range(begin, begin + transfers * each)]
                self.next_line[source] = (begin + transfers * each) % number
            if self.compound.with_reset_prob > 0:
                yield from self._with_resets(source, vectors, lines, first)
            else:
                yield Reads(source, vectors, lines % number, first, numbers=numbers)
            done, first = last, first + len(vectors)

    def _with_resets(
        self, source: int, vectors: Sequence[int], lines: Int[Tensor, "#tiles reads"], first: int
    ) -> Iterator[Reads]:
        """Read one line after the other: each read may reset all lines of its transfer, up to the last line."""
        is_beyond = lines >= self.number_of_lines
        lines = lines % self.number_of_lines
        for number in range(len(vectors)):
            together = is_beyond == is_beyond[:, number : number + 1]
            reset = torch.zeros(len(lines), self.number_of_lines, dtype=torch.bool, device=lines.device)
            reset.scatter_(1, lines, together)
            one = slice(number, number + 1)
            yield Reads(source, vectors[one], lines[:, one], first + number, reset)

    def _interval(self, source: int, batch: int) -> int:
        """Return the number of vectors between two transfers from an array; 0 for none."""
        every = np.float32(self.every[source])
        if self.compound.units_in_mbatch:
            return max(ceil(every * np.float32(batch)), 0)
        # C rounds halves away from zero.
        return max(int(np.floor(every + np.float32(0.5))), 0)

    def _most_transfers_together(self) -> int:
        """Return how many transfers can be computed together."""
        is_alone = self.compound.random_selection or self.compound.with_reset_prob > 0
        # A noisy DAC lets the currents of all other lines into a read, as they are at that moment.
        is_mixed = self.transfer_io.inp_noise > 0 and not self.transfer_io.is_perfect
        return 1 if is_alone or is_mixed else max(self.number_of_lines // self.reads_per_transfer, 1)

    def _until(self, reads: Reads) -> Sent:
        """Return the vectors up to which lines are pulsed before these reads.

        A line that is not read here is read after a later vector, if at all.
        """
        first, last = reads.vectors[0], reads.vectors[-1]
        if first == last:
            return Sent(last, last)
        shape = len(reads.lines), self.number_of_lines
        until = torch.full(shape, last, device=reads.lines.device)
        after = torch.tensor(reads.vectors, device=reads.lines.device)
        return Sent(first, last, until.scatter_(1, reads.lines, after.expand(reads.lines.shape)))

    def _pulse(
        self,
        trains: PulseTrains,
        sent: Sent,
        until: Sent,
        rng: torch.Generator,
        engine: Engine,
    ) -> None:
        """Send the gradient's pulses to each line, or to all: from after one vector, to another."""
        begin, end = sent.first + 1, until.last + 1
        if begin >= end:
            return
        part = trains.between(begin, end)
        if sent.of_lines is not None or until.of_lines is not None:
            device, shape = trains.x_sign.device, (1, self.number_of_lines)
            before, last = (
                torch.full(shape, ends.last, device=device) if ends.of_lines is None else ends.of_lines
                for ends in (sent, until)
            )
            vectors = torch.arange(begin, end, device=device)[:, None]
            is_now = (vectors > before[:, None]) & (vectors <= last[:, None])  # (1 or tiles, vectors, lines)
            if not may_look(is_now) or not is_now.all():
                part = part.where(is_now) if self.lines.are_columns else part.where_d(is_now)
        apply_trains(self.chain[0], part, rng=rng, engine=engine)
