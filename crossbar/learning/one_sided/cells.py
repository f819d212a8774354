"""Cells of two devices that only go up: one for what a weight gains, one for what it loses."""

from copy import deepcopy
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from devices.host_numbers import value_of, zero_count
from devices.looking import may_look
from devices.parts import part_of
from devices.pulsed import (
    DeviceArray,
    Engine,
    PulseTrains,
    WriteCounts,
    WriteVerify,
    apply_trains,
    count_lines,
    draw_trains,
)
from devices.pulsed.arrays import as_arrays
from devices.pulsed.engines.at_once import ENGINES, as_trains, draw_and_send_to_pairs, is_small
from devices.pulsed.engines.lines import can_write_lines, writing_of
from devices.pulsed.pulse_trains import are_drawn_at_once
from devices.pulsed.update import many_pulses, trains_of_tiles
from devices.pulsed.views import NOTHING
from devices.streams import generator
from devices.units import Dimensionless

from ...aihwkit.adapter import UpdateParameters
from ...reading.mvm.lines import can_read_lines, is_scaled_otherwise, most_without_clipping, reading_of
from ...reading.noise import NoiseStream
from ...reading.periphery import Periphery
from ..pair_writing import PairWriting
from ..refresh import REFRESH_RULES, LineCounts, RefreshCounts, RefreshRule, pulses_to_reach
from ..unit_cells import UnitCells
from .refresh_in_torch import reset_full
from .refresh_loops import refresh


@final
class OneSidedCells(UnitCells):
    """A plus and a minus device at every crosspoint, as pairs of phase-change cells are used.

        w = g_plus - g_minus

    A pulse that would raise the weight raises g_plus, one that would lower it raises g_minus. Both fill up. So from
    time to time (`use_refresh`) all are read, and where the larger one (relative to the nominal maximum) exceeds the
    upper threshold and the smaller one the lower threshold, both are reset, and the difference is written anew to the
    larger, without a check (aihwkit's rpu_onesided_device.cpp). With deterministic pulses aihwkit 1.1.0 sends these
    writes downwards, because a sign cancels in dense_bit_line_maker.cpp; here they go up, as its stochastic ones do.

    Args:
        minus: Devices for what weights lose; aihwkit's number 0.
        plus: Devices for what they gain; aihwkit's number 1.
        cell: aihwkit's description of the cell.
        update: aihwkit's settings of the pulses.
        seed: Of the fabrication of the periphery by which devices are read for the refresh.

    Attributes:
        updates: Vectors seen so far.
        refreshes: (tiles,) how many cells have been refreshed.
        lines: Pulses on the lines, by which it is told when to refresh; None where the configuration says when.
        refreshed: What refreshes have taken since the cells were made or loaded, except for those of `write`.
    """

    host_numbers: ClassVar = ("updates",)
    updates: Tensor
    refreshes: Tensor
    lines: LineCounts | None

    def __init__(
        self, minus: DeviceArray, plus: DeviceArray, cell: Any, update: UpdateParameters, *, seed: int
    ) -> None:
        super().__init__(*minus.shape)
        self.minus, self.plus = minus, plus
        self.cell = deepcopy(cell)
        self.update_parameters = update
        self.decays, self.diffuses = cell.requires_decay(), cell.requires_diffusion()
        rng = generator(seed, "fabrication", "refresh")
        self.periphery = Periphery(cell.refresh_forward, self.tiles, self.out_size, self.in_size, rng=rng)
        self.register_buffer("updates", zero_count())
        self.register_buffer("refreshes", torch.zeros(self.tiles, dtype=torch.int64))
        self.lines = None
        self.refreshed = RefreshCounts()
        self._known: tuple[Dimensionless, ...] = ()
        self._settings: tuple[Any, ...] | None = None

    @override
    def use_refresh(self, rule: RefreshRule) -> bool:
        """Look for full pairs as the configuration says, as by default, or only when there can be some.

        Args:
            rule: See `RefreshRule`.

        Raises:
            ValueError: If there is no such rule, or refreshes are switched off (`refresh_every` 0).
        """
        if rule not in REFRESH_RULES:
            raise ValueError(
                f"`rule` must be one of {', '.join(REFRESH_RULES)}, but is {rule!r}. Choose one."
            )
        if rule == "every-batch":
            self.lines = None
            return True
        if self.cell.refresh_every <= 0:
            raise ValueError(
                f"`refresh_every` must be above 0 for pairs to be refreshed, but is "
                f"{self.cell.refresh_every}. Set it."
            )
        upper, lower = self.cell.refresh_upper_thres, self.cell.refresh_lower_thres
        to_fill = sum(pulses_to_reach(self.plus, level) for level in (upper, lower))
        self.lines = LineCounts(self.tiles, self.out_size, self.in_size, to_fill).to(self.refreshes.device)
        return True

    @property
    @override
    def granularity(self) -> Dimensionless:
        first, second = np.float32(self.minus.step_size), np.float32(self.plus.step_size)
        return float((first + second) / np.float32(2))

    @property
    @override
    def nominal_range(self) -> tuple[Dimensionless, Dimensionless]:
        return -self.minus.device.w_max, self.plus.device.w_max

    @property
    @override
    def counts_batches(self) -> bool:
        """Refreshes may be counted in mini-batches."""
        return True

    @property
    @override
    def is_written_as_one(self) -> bool:
        """The difference alone matters: refreshes restore what the two devices of a pair have in common."""
        return True

    @override
    def weights(self) -> Float[Tensor, "tiles out in"]:
        return self.plus.weight - self.minus.weight

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        rng = noise.generator("cpu")
        self.updates.zero_()
        self.refreshes.zero_()
        if self.lines is not None:
            self.lines.forget()
        self.plus.set_weights(weight.clamp(min=0), rng=rng)
        self.minus.set_weights((-weight).clamp(min=0), rng=rng)

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
        with torch.no_grad():
            rng, seen = noise.generator("cpu"), value_of(self.updates)
            self.updates.add_(batch)
            every = self.cell.refresh_every * (batch if self.cell.units_in_mbatch else 1)
            is_told = self.lines is None and every > 0
            ends = range(every - seen % every, batch + 1, every) if is_told else range(0)
            if len(ends) == 0 or ends[0] == batch:
                self._pulse_all(x, d, learning_rate, noise, engine, tile_of_train)
                if len(ends) > 0:
                    self._refresh(noise)
                return
            trains = self._draw(x, d, learning_rate, tile_of_train, rng)
            done = 0
            for last in ends:
                self._pulse(trains.between(done, last), rng, engine, tile_of_train)
                self._refresh(noise)
                done = last
            if done < batch:
                self._pulse(trains.between(done, batch), rng, engine, tile_of_train)

    @override
    @torch.no_grad()
    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the pairs; see `PairWriting`. Where refreshes are switched off (`refresh_every` 0), none is made."""
        thresholds = None
        if self.cell.refresh_every > 0:
            thresholds = self.cell.refresh_upper_thres, self.cell.refresh_lower_thres
        writing = PairWriting(self.plus, self.minus, settings, thresholds, rng=noise.generator("cpu"))
        counts = writing.run(target)
        self.refreshes.add_(writing.refreshes)
        return counts

    @override
    def own_refreshes(self) -> RefreshCounts:
        return RefreshCounts(*map(int, self.refreshed))

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        return {"plus": self.plus, "minus": self.minus}

    @override
    def slow(self) -> DeviceArray:
        return self.plus

    def _pulse_all(
        self,
        x: Tensor,
        d: Tensor,
        learning_rate: Dimensionless,
        noise: NoiseStream,
        engine: Engine,
        tile_of_train: Tensor | None,
    ) -> None:
        """Send the pulses of a whole batch, in one compiled call where that is small; refresh tiles that are due."""
        rng, update = noise.generator("cpu"), self.update_parameters
        is_at_once = engine in ENGINES and self.plus.line_pulses is None and part_of(rng) is None
        if is_at_once and x.device.type == "cpu" and is_small(x, d) and are_drawn_at_once(update):
            drawn = draw_and_send_to_pairs(
                self.plus,
                self.minus,
                x,
                d,
                learning_rate,
                self.granularity,
                update,
                trains_of_tiles(self.tiles, tile_of_train),
                engine,
                many_pulses(x.shape[1]),
                rng=rng,
            )
            self.plus.hold_stuck()
            self.minus.hold_stuck()
            if self.lines is not None:
                self._refresh_due(as_trains(drawn), tile_of_train, noise)
            return
        trains = self._draw(x, d, learning_rate, tile_of_train, rng)
        self._pulse(trains, rng, engine, tile_of_train)
        if self.lines is not None:
            self._refresh_due(trains, tile_of_train, noise)

    def _draw(
        self,
        x: Tensor,
        d: Tensor,
        learning_rate: Dimensionless,
        tile_of_train: Tensor | None,
        rng: torch.Generator,
    ) -> PulseTrains:
        trains = draw_trains(x, d, learning_rate, self.granularity, self.update_parameters, rng=rng)
        count_lines(self.plus, trains, tile_of_train, rng=rng)  # sent once, to both devices of a pair
        return trains

    def _pulse(
        self, trains: PulseTrains, rng: torch.Generator, engine: Engine, tile_of_train: Tensor | None
    ) -> None:
        apply_trains(self.plus, trains, rng=rng, engine=engine, polarity="up", tile_of_train=tile_of_train)
        apply_trains(self.minus, trains, rng=rng, engine=engine, polarity="down", tile_of_train=tile_of_train)

    def _refresh_due(self, trains: PulseTrains, tile_of_train: Tensor | None, noise: NoiseStream) -> None:
        """Refresh the tiles whose lines say that pairs can be full."""
        assert self.lines is not None
        due = self.lines.note(trains, tile_of_train)
        if not may_look(due) or due.any():
            pairs = self._refresh(noise, due)
            self.lines.looked(due, pairs.double() / (self.out_size * self.in_size))

    def _refresh(
        self, noise: NoiseStream, due: Bool[Tensor, " tiles"] | None = None
    ) -> Int[Tensor, " tiles"]:
        """Read all devices, and write the pairs anew that have filled up; count what that takes.

        aihwkit goes column by column; only a noisy DAC could tell the difference.

        Args:
            noise: Draws the noise of reads, resets and pulses.
            due: Which tiles are looked at; all if None.

        Returns:
            How many pairs of each tile those were.
        """
        before = self._sent()
        of_lines = self._reset_full_in_loops(noise, due)
        if of_lines is None:
            of_lines = reset_full((self.plus, self.minus), self.cell, self.periphery, due, noise)
        tiles = self.tiles if due is None else _number(due.sum())
        counts = RefreshCounts(
            rows_read=2 * tiles * self.in_size,
            values_read=2 * tiles * self.in_size * self.out_size,
            serial_rows=2 * self.in_size,
        )
        of_tiles = of_lines.sum(dim=1)
        pairs = _number(of_tiles.sum())
        if isinstance(pairs, Tensor) or pairs > 0:
            self.refreshes.add_(of_tiles)
            pulses, line_pulses, slots = self._sent()
            resets = 2 * pairs
            counts = counts._replace(
                pairs=pairs,
                serial_resets=_number((of_lines > 0).sum(dim=1).max()),
                resets=resets,
                pulses=_at_least_zero(pulses - before[0] - resets),
                line_pulses=line_pulses - before[1],
                slots=slots - before[2],
            )
        self.refreshed += counts
        return of_tiles

    def _sent(self) -> tuple[Any, Any, Any]:
        """Return the pulses, pulses on lines and slots that both devices have counted; zeros if they do not count."""
        arrays = [array for array in (self.plus, self.minus) if array.pulse_count is not None]
        return (
            sum(_number(array.pulses().sum(dtype=torch.int64)) for array in arrays),
            sum(_number(array.line_pulses) for array in arrays if array.line_pulses is not None),
            sum(_number(array.slots) for array in arrays if array.slots is not None),
        )

    def _reset_full_in_loops(self, noise: NoiseStream, due: Tensor | None) -> Tensor | None:
        """Do what `reset_full` does in one compiled loop; None, and nothing done, where that cannot do it."""
        if self.refreshes.device.type != "cpu" or noise.part is not None:
            return None
        plus, minus = self.plus, self.minus
        known = plus.step_size, minus.step_size
        if known != self._known:
            self._known, self._settings = known, self._settings_of_refresh()
        if self._settings is None:
            return None
        is_done, pairs, of_lines, sent = refresh(
            as_arrays(plus),
            as_arrays(minus),
            (torch.ones(self.tiles, dtype=torch.bool) if due is None else due).numpy(),
            (_reset_of(plus), _reset_of(minus)),
            self._settings,
            torch.randint(2**62, (1,), generator=noise.generator("cpu")).numpy(),
        )
        if not is_done:
            return None
        for array, of_tiles in zip((plus, minus), sent.sum(axis=2), strict=True) if pairs > 0 else ():
            if array.line_pulses is not None and array.slots is not None:
                array.line_pulses += int(of_tiles[:, 0].sum())
                array.slots += int(of_tiles[:, 1].max())
        return torch.from_numpy(of_lines)

    def _settings_of_refresh(self) -> tuple[Any, ...] | None:
        """Return what a refresh in compiled loops wants to know; None where it would read or write otherwise."""
        cell, arrays = self.cell, (self.plus, self.minus)
        io, update = cell.refresh_forward, cell.refresh_update
        if is_scaled_otherwise(io) or not can_read_lines(io, self.periphery) or not can_write_lines(update):
            return None
        maxima = (abs(array.device.w_max) for array in arrays)
        thresholds = cell.refresh_upper_thres, cell.refresh_lower_thres, *maxima, most_without_clipping(io)
        writings = tuple(writing_of(array.step_size, update) for array in arrays)
        return tuple(np.float32(one) for one in thresholds), reading_of(io), writings


def _number(counted: Tensor) -> Any:
    """Return a count as a number of the host; on a GPU as it is, for nobody waits for it there."""
    return int(counted) if may_look(counted) else counted


def _at_least_zero(count: Any) -> Any:
    return count.clamp(min=0) if isinstance(count, Tensor) else max(count, 0)


def _reset_of(array: DeviceArray) -> tuple[Any, Any]:
    """Return where a reset leads, and by how much it misses, for compiled loops."""
    bias = array.reset_bias
    return NOTHING if bias is None else bias.numpy(), np.float32(array.device.reset_std)
