"""Cells of two devices that only go up: one for what a weight gains, one for what it loses."""

from copy import deepcopy
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from devices.pulsed import (
    DeviceArray,
    Engine,
    Law,
    PulseTrains,
    WriteCounts,
    WriteVerify,
    apply_trains,
    count_lines,
    draw_trains,
    reset_,
)
from devices.streams import generator
from devices.units import Dimensionless

from ..aihwkit.adapter import UpdateParameters
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from .one_hot import Lines
from .pair_writing import PairWriting
from .refresh import REFRESH_RULES, LineCounts, RefreshCounts, RefreshRule, pulses_to_reach
from .unit_cells import UnitCells, zero_count


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
        self.lines = LineCounts(self.tiles, self.out_size, self.in_size, to_fill).to(self.updates.device)
        return True

    @property
    @override
    def granularity(self) -> Dimensionless:
        return float((self.minus.granularity + self.plus.granularity) / 2)

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
        rng = noise.generator("cpu")
        trains = draw_trains(x, d, learning_rate, self.granularity, self.update_parameters, rng=rng)
        done, seen = 0, int(self.updates)
        count_lines(self.plus, trains, tile_of_train, rng=rng)  # sent once, to both devices of a pair
        if self.lines is not None:
            self._pulse(trains, rng, engine, tile_of_train)
            due = self.lines.note(trains, tile_of_train)
            if due.any():
                is_full = self._refresh(noise, due)
                self.lines.looked(due, is_full.double().mean(dim=(1, 2)))
            self.updates.add_(batch)
            return
        every = self.cell.refresh_every * (batch if self.cell.units_in_mbatch else 1)
        for last in range(every - seen % every, batch + 1, every) if every > 0 else ():
            self._pulse(trains.between(done, last), rng, engine, tile_of_train)
            self._refresh(noise)
            done = last
        if done < batch:
            self._pulse(trains.between(done, batch), rng, engine, tile_of_train)
        self.updates.add_(batch)

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
        return self.refreshed

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        return {"plus": self.plus, "minus": self.minus}

    @override
    def slow(self) -> DeviceArray:
        return self.plus

    def _pulse(
        self, trains: PulseTrains, rng: torch.Generator, engine: Engine, tile_of_train: Tensor | None
    ) -> None:
        apply_trains(self.plus, trains, rng=rng, engine=engine, polarity="up", tile_of_train=tile_of_train)
        apply_trains(self.minus, trains, rng=rng, engine=engine, polarity="down", tile_of_train=tile_of_train)

    def _refresh(self, noise: NoiseStream, due: Bool[Tensor, " tiles"] | None = None) -> Tensor:
        """Read all devices, and write the pairs anew that have filled up; count what that takes.

        aihwkit goes column by column; only a noisy DAC could tell the difference.

        Args:
            noise: Draws the noise of reads, resets and pulses.
            due: Which tiles are looked at; all if None.

        Returns:
            (tiles, in, out) which pairs those were.
        """
        before = self._sent()
        is_full = self._reset_full(noise, due)
        tiles = self.tiles if due is None else int(due.sum())
        # Of the emulator all tiles are read; those that are not due would not be.
        self.periphery.rows_read = self.periphery.values_read = 0
        pairs, (pulses, line_pulses, slots) = int(is_full.sum()), self._sent()
        resets = 2 * pairs
        self.refreshed += RefreshCounts(
            pairs=pairs,
            rows_read=2 * tiles * self.in_size,
            values_read=2 * tiles * self.in_size * self.out_size,
            serial_rows=2 * self.in_size,
            serial_resets=int(is_full.any(dim=2).sum(dim=1).max()),
            resets=resets,
            pulses=max(pulses - before[0] - resets, 0),
            line_pulses=line_pulses - before[1],
            slots=slots - before[2],
        )
        return is_full

    def _sent(self) -> tuple[int, int, int]:
        """Return the pulses, pulses on lines and slots that both devices have counted; zeros if they do not count."""
        arrays = [array for array in (self.plus, self.minus) if array.pulse_count is not None]
        return (
            sum(int(array.pulses().sum(dtype=torch.int64)) for array in arrays),
            sum(int(array.line_pulses) for array in arrays if array.line_pulses is not None),
            sum(int(array.slots) for array in arrays if array.slots is not None),
        )

    def _reset_full(
        self, noise: NoiseStream, due: Bool[Tensor, " tiles"] | None
    ) -> Bool[Tensor, "tiles word_lines bit_lines"]:
        """Reset the full pairs of the tiles that are due, write them anew, and return which those were."""
        columns = Lines(are_columns=True)
        every_column = torch.arange(self.in_size, device=self.plus.weight.device)[None]
        plus, minus = (
            columns.read(array.weight, every_column, self.cell.refresh_forward, self.periphery, noise)
            for array in (self.plus, self.minus)
        )  # (tiles, in, out) each
        filled_plus, filled_minus = (
            values / abs(array.device.w_max) for values, array in ((plus, self.plus), (minus, self.minus))
        )
        upper, lower = self.cell.refresh_upper_thres, self.cell.refresh_lower_thres
        is_positive = plus > minus
        larger = torch.where(is_positive, filled_plus, filled_minus)
        smaller = torch.where(is_positive, filled_minus, filled_plus)
        is_full = (larger > upper) & (smaller > lower)
        if due is not None:
            is_full &= due[:, None, None]
        self.refreshes.add_(is_full.sum(dim=(1, 2)))
        if not is_full.any():
            return is_full
        rng = noise.generator("cpu")
        for array in (self.plus, self.minus):
            reset_(array, is_full.transpose(1, 2), rng=rng)
            if array.pulse_count is not None:  # a reset counts as one pulse
                array.pulse_count.add_(is_full.transpose(1, 2))
        difference = torch.where(is_full, plus - minus, torch.zeros_like(plus))
        for array, gain in ((self.plus, difference), (self.minus, -difference)):
            gain = gain.clamp(min=0)
            # Few columns have a full pair: drawing pulses for the others would take most of the time.
            is_written = (gain > 0).any(dim=2)
            most = int(is_written.sum(dim=1).max())
            written = is_written.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
            gain = gain.gather(1, written[..., None].expand(-1, -1, self.out_size))
            columns.write(array, written, -gain, 1.0, self.cell.refresh_update, rng=rng)
        return is_full


def invert_(array: DeviceArray, other: DeviceArray) -> None:
    """Turn devices around, so that their pulses up become what pulses down were.

    aihwkit calls this `copy_inverted`, but turns around the steps, bounds and references of the device itself, and
    copies only slopes and exponents from the other one. Steps of exponential and piecewise devices keep their shape.

    Args:
        array: The devices; changed in place.
        other: The other device of each pair.
    """
    up, down = array.scale_up.clone(), array.scale_down.clone()
    array.scale_up.copy_(down)
    array.scale_down.copy_(up)
    highest, lowest = array.max_bound.clone(), array.min_bound.clone()
    array.max_bound.copy_(-lowest)
    array.min_bound.copy_(-highest)
    if array.reference is not None:
        array.reference.neg_()
    if array.shape_up is None or array.shape_down is None:
        return
    assert other.shape_up is not None
    assert other.shape_down is not None
    sign = 1.0 if array.law == Law.POW_STEP else -1.0
    array.shape_up.copy_(sign * other.shape_down)
    array.shape_down.copy_(sign * other.shape_up)
