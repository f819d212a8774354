"""An update of fast and slow devices with all its transfers, in a handful of compiled calls; in one for small tiles.

Some hundred calls of torch around a transfer took thirty times as long as real tiles of 20 x 20. Here pulses are sent
to the fast devices in one pass over the batch, on which the lines that are to be read are looked at; then lines are
read and written tile by tile (`transfer_loops`). All streams of random numbers belong to tiles, rows or vectors.
"""

from typing import Any, NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor

from devices.parts import first_tile, most, part_of
from devices.pulsed import DeviceArray, Engine, PulseTrains, apply_trains, count_lines, draw_trains
from devices.pulsed.arrays import as_arrays
from devices.pulsed.engines.at_once import ENGINES, is_small, send
from devices.pulsed.engines.lines import can_write_lines, writing_of
from devices.pulsed.looks import Looks
from devices.pulsed.pulse_trains import are_drawn_at_once, rates_of, rules_of
from devices.pulsed.train_loops import draw, empty_trains
from devices.pulsed.update import many_pulses, trains_of_tiles
from devices.pulsed.views import Views
from devices.units import Dimensionless

from ...reading.mvm.lines import can_read_lines, reading_of
from ..trains_of_tiles import for_every_tile
from .choppers import chop
from .running_maxima import follow_rates
from .transfer_loops import transfer

_draw, _chop, _transfer = draw.alone, chop.alone, transfer.alone
_NO_CHOICE, _NO_MEANS = np.empty((0, 0), np.bool_), np.empty(0, np.float32)
_NO_COUNT = np.zeros((), np.int64)


class Plan(NamedTuple):
    """What an update does, apart from numbers that change; a plain tuple inside compiled loops.

    Attributes:
        schedule: Vectors between two transfers, 0 for none; whether what is read is used; lines of a transfer; lines;
            whether these are word lines.
        rates: Of the gradient's pulses, where they do not follow from maxima: (1, 1).
        following: See `TransferCells.following_for_loops`.
        rules: Of the gradient's trains; see `devices.pulsed.pulse_trains.rules_of`.
        choppers: See `Choppers.settings`.
        reading: See `reading.mvm.lines.reading_of`.
        rule: `Rule.numbers`.
        writing: See `devices.pulsed.engines.lines.writing_of`.
    """

    schedule: tuple[Any, ...]
    rates: Any
    following: tuple[Any, ...]
    rules: tuple[Any, ...]
    choppers: tuple[Any, ...]
    reading: tuple[Any, ...]
    rule: tuple[Any, ...]
    writing: tuple[Any, ...]


@final
class AtOnce:
    """Updates of cells in few compiled calls; copies begin with nothing remembered."""

    def __init__(self) -> None:
        self.views = Views()
        self._known: tuple[Any, ...] = ()
        self._plan: tuple[Any, ...] = ()

    @staticmethod
    def can(cells: Any) -> bool:
        """Tell whether the loops have all settings of these cells: two devices, usual reads and pulses, no resets.

        Args:
            cells: `TransferCells`.
        """
        compound = cells.compound
        return (
            len(cells.arrays) == 2
            and not compound.random_selection
            and compound.with_reset_prob <= 0
            and can_read_lines(cells.transfer_io, cells.periphery)
            and can_write_lines(cells.update_parameters)
            and can_write_lines(compound.transfer_update)
        )

    def __reduce__(self) -> tuple[type["AtOnce"], tuple[()]]:
        return AtOnce, ()

    def learn(
        self,
        cells: Any,
        x: Float[Tensor, "trains batch in"],
        d: Float[Tensor, "trains batch out"],
        learning_rate: Dimensionless,
        *,
        rng: torch.Generator,
        engine: Engine,
        tile_of_train: Int[Tensor, " tiles"] | None,
    ) -> None:
        """Do what `TransferCells.update` does, on the CPU.

        Args:
            cells: `TransferCells`.
            x: Inputs.
            d: Gradients.
            learning_rate: Not zero.
            rng: Draws the seeds of trains, noise and choppers.
            engine: Of the gradient's pulses.
            tile_of_train: Whose vectors a tile receives; its own if None.
        """
        fast, slow = cells.chain
        plan, memory = self._plan_of(cells, fast, slow, learning_rate, x.shape[1]), self._memory_of(cells)
        is_alone = tile_of_train is None and part_of(rng) is None and engine in ENGINES
        is_alone = is_alone and fast.line_pulses is None and slow.line_pulses is None
        if is_alone and are_drawn_at_once(cells.update_parameters) and is_small(x, d):
            reads = _learn(
                x.detach().float().contiguous().numpy(),
                d.detach().float().contiguous().numpy(),
                torch.randint(2**62, (5,), generator=rng).numpy(),
                ENGINES[engine],
                many_pulses(x.shape[1]),
                trains_of_tiles(cells.tiles, None),
                plan,
                memory,
                as_arrays(fast),
                as_arrays(slow),
                0,
                0,
            )
            fast.hold_stuck()
        else:
            reads = self._learn(cells, x, d, learning_rate, rng, engine, tile_of_train)
        slow.hold_stuck()
        length = cells.out_size if cells.lines.are_columns else cells.in_size
        cells.periphery.count_reads(cells.tiles * reads, cells.tiles * reads * length)

    @torch.no_grad()
    def _learn(
        self,
        cells: Any,
        x: Tensor,
        d: Tensor,
        learning_rate: Dimensionless,
        rng: torch.Generator,
        engine: Engine,
        tile_of_train: Tensor | None,
    ) -> int:
        """Do step by step what the compiled `_learn` does, so that threads share each: how many lines are read."""
        fast, slow = cells.chain
        memory = self._memory_of(cells)
        schedule, _, _, _, choppers, reading, rule, writing = self._plan
        chop_seed, seed = torch.randint(2**62, (2,), generator=rng).numpy()
        rates = cells._gradient_rates(x, d, learning_rate, tile_of_train)
        trains = draw_trains(x, d, rates, cells.granularity, cells.update_parameters, rng=rng)
        trains = for_every_tile(trains, tile_of_train)
        count_lines(fast, trains, rng=rng)
        looks, chops, sent = _prepare(schedule, choppers, memory, *trains.shape)
        if choppers[0]:
            chop(choppers, memory[5:7], looks, *_signed(trains, looks[2]), chop_seed, first_tile(rng), chops)
        apply_trains(fast, trains, rng=rng, engine=engine, looks=Looks(*looks))
        transfer(
            looks,
            reading,
            rule,
            rates_of(rates, x),
            trains_of_tiles(cells.tiles, tile_of_train),
            chops,
            memory[1:5],
            writing,
            as_arrays(slow),
            seed,
            first_tile(rng),
            sent,
        )
        if slow.line_pulses is not None and slow.slots is not None:
            slow.line_pulses += int(sent[:, 0].sum())
            slow.slots += int(most(float(sent[:, 1].max()), rng))
        return len(looks[0])

    def _memory_of(self, cells: Any) -> tuple[Any, ...]:
        """Return counters and memory of the cells as the loops take them; what a rule does not have is empty."""
        own = cells._buffers
        tensors = own["updates"], own["next_line"], *cells.memory_for_loops()
        updates, next_line, buffer, mean, reference, *choices, sweeps, x_mean, d_mean = self.views.of(tensors)
        buffer = buffer[0] if buffer.ndim == 4 else buffer
        was_switched, is_turned, is_other_turned = (
            _NO_CHOICE if one is None else array for one, array in zip(tensors[5:8], choices, strict=True)
        )
        if tensors[8] is None:
            sweeps = _NO_COUNT
        if tensors[9] is None:
            x_mean = d_mean = _NO_MEANS
        counters = updates, next_line, sweeps
        return (
            counters,
            buffer,
            mean,
            reference,
            was_switched,
            is_turned,
            is_other_turned,
            x_mean,
            d_mean,
        )

    def _plan_of(
        self,
        cells: Any,
        fast: DeviceArray,
        slow: DeviceArray,
        learning_rate: Dimensionless,
        batch: int,
    ) -> tuple[Any, ...]:
        """Return the plan of a batch; remembered for the next one of the same kind."""
        known = learning_rate, batch, fast.step_size, slow.step_size
        if known != self._known:
            fast_lr = cells.compound.fast_lr
            is_used = cells.transfer_rate(0, learning_rate) != 0
            self._plan = tuple(
                Plan(
                    schedule=(
                        cells._interval(0, batch),
                        is_used,
                        cells.reads_per_transfer,
                        cells.number_of_lines,
                        cells.lines.are_columns,
                    ),
                    rates=np.full((1, 1), abs(fast_lr if fast_lr > 0 else learning_rate), np.float32),
                    following=cells.following_for_loops(batch),
                    rules=rules_of(cells.granularity, cells.update_parameters),
                    choppers=cells.choppers_for_loops(),
                    reading=reading_of(cells.transfer_io),
                    rule=cells.rule_for_loops(learning_rate).numbers(),
                    writing=writing_of(slow.step_size, cells.compound.transfer_update),
                )
            )
            self._known = known
        return self._plan


def _signed(trains: PulseTrains, are_columns: bool) -> tuple[Any, Any]:
    """Return what holds the signs of the pulses on the lines that are transferred, and across."""
    x, d = (trains.x_sign, trains.d_sign) if trains.is_stochastic else (trains.x_pulses, trains.d_pulses)
    return (x.numpy(), d.numpy()) if are_columns else (d.numpy(), x.numpy())


@njit(cache=True)
def _prepare(schedule, choppers, memory, tiles, batch, outs, ins):  # type: ignore[no-untyped-def]
    """Decide after which vectors which lines are read, count vectors, reads and sweeps, and make room for the rest.

    Returns:
        Looks at the fast devices; see `devices.pulsed.looks`. What choppers do; see `choppers.chop`. Pulses on lines
        and slots of the transfers of each tile, zero.
    """
    step, is_used, together, number, are_columns = schedule
    updates, next_line, sweeps = memory[0]
    first = step - 1 - updates[()] % step if step > 0 else batch
    reads = together * ((batch - 1 - first) // step + 1) if first < batch else 0
    begin = next_line[0]
    next_line[0] = (begin + reads) % number
    updates[()] += batch
    if not is_used:
        reads = 0
    vectors, lines, swept = np.empty(reads, np.int64), np.empty(reads, np.int64), np.empty(reads, np.int64)
    for k in range(reads):
        vectors[k] = first + k // together * step
        lines[k] = (begin + k) % number
        swept[k] = sweeps[()]
        if choppers[0] and lines[k] == number - 1:
            sweeps[()] += 1
    other = outs if are_columns else ins
    seen = np.empty((tiles, reads, other), np.float32)
    of_chops = reads if choppers[0] else 0
    signs, switches = np.empty((tiles, of_chops, other), np.float32), np.empty((tiles, of_chops), np.bool_)
    sent = np.zeros((tiles, 2), np.int64)
    return (vectors, lines, are_columns, seen), (signs, switches, swept), sent


@njit(cache=True, error_model="numpy")
def _learn(x, d, seeds, engine, many, whose, plan, memory, fast, slow, first, polarity):  # type: ignore[no-untyped-def]
    """Do all of it on the caller's thread: how many lines are read."""
    schedule, rates, following, rules, choppers, reading, rule, writing = plan
    is_followed, follows, part, full = following
    if is_followed:
        followed = follow_rates(x, d, memory[7], memory[8], part, full)
        if follows:
            rates = followed
    trains = empty_trains(x, d)
    _draw(x, d, rates, rules, np.uint64(seeds[2]), np.uint64(seeds[3]), first, trains)
    looks, chops, sent = _prepare(schedule, choppers, memory, x.shape[0], x.shape[1], d.shape[2], x.shape[2])
    if choppers[0]:
        if looks[2]:
            _chop(choppers, memory[5:7], looks, trains[1], trains[2], seeds[0], first, chops)
        else:
            _chop(choppers, memory[5:7], looks, trains[2], trains[1], seeds[0], first, chops)
    send(trains, engine, many, whose, fast, looks, np.uint64(seeds[4]), first, polarity)
    _transfer(looks, reading, rule, rates, whose, chops, memory[1:5], writing, slow, seeds[1], first, sent)
    return len(looks[0])
