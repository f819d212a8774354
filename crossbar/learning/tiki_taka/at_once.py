"""An update of fast and slow devices with all its transfers, in a handful of compiled calls; in one for small tiles.

Some hundred calls of torch around a transfer took thirty times as long as real tiles of 20 x 20. Here pulses are sent
to the fast devices in one pass over the batch, on which the lines that are to be read are looked at; then lines are
read and written tile by tile (`transfer_loops`). All streams of random numbers belong to tiles, rows or vectors.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from devices.parts import first_tile, most, part_of
from devices.pulsed import Engine, PulseTrains, apply_trains, count_lines, draw_trains
from devices.pulsed.arrays import as_arrays
from devices.pulsed.engines.at_once import ENGINES, is_small, send
from devices.pulsed.engines.lines import can_write_lines
from devices.pulsed.looks import Looks
from devices.pulsed.pulse_trains import are_drawn_at_once, rates_of, rules_of
from devices.pulsed.train_loops import draw, empty_trains
from devices.pulsed.update import each_its_own, many_pulses
from devices.units import Dimensionless

from ..trains_of_tiles import for_every_tile
from .choppers import NO_CHOPPERS, chop
from .transfer_loops import can_read_lines, transfer

if TYPE_CHECKING:
    from .transfer_cells import TransferCells

_draw, _chop, _transfer = draw.alone, chop.alone, transfer.alone


def can_learn_at_once(cells: "TransferCells") -> bool:
    """Tell whether the loops have all settings of these cells: two devices, usual reads and pulses, no resets.

    Args:
        cells: The cells.
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


def learn_at_once(
    cells: "TransferCells",
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless,
    *,
    rng: torch.Generator,
    engine: Engine,
    tile_of_train: Tensor | None,
) -> None:
    """Do what `TransferCells.update` does, on the CPU.

    Args:
        cells: The cells.
        x: (trains, batch, in) inputs.
        d: (trains, batch, out) gradients.
        learning_rate: Not zero.
        rng: Draws the seeds of trains, noise and choppers.
        engine: Of the gradient's pulses.
        tile_of_train: (tiles,) whose vectors a tile receives; its own if None.
    """
    fast, slow = cells.chain
    vectors, lines, sweeps = cells.scheduled(x.shape[1], learning_rate)
    rates = cells._gradient_rates(x, d, learning_rate, tile_of_train)
    tiles, reads, are_columns = cells.tiles, len(vectors), cells.lines.are_columns
    other = cells.out_size if are_columns else cells.in_size
    looks = Looks(vectors, lines, are_columns, np.empty((tiles, reads, other), np.float32))
    choppers = cells.choppers_for_loops()
    is_chopped = choppers is not NO_CHOPPERS
    signs = np.empty((tiles, reads if is_chopped else 0, other), np.float32)
    chops = signs, np.empty((tiles, reads), np.bool_), sweeps
    sent = np.zeros((tiles, 2), np.int64)
    writing, reading = cells.writing_for_loops(slow), cells.reading
    rule, scales = cells.rule_for_loops(learning_rate, rates, vectors, tile_of_train)
    update, memory = cells.update_parameters, cells.memory_for_loops()
    what = reading, rule, scales, chops, memory, writing, as_arrays(slow)
    is_counted = fast.line_pulses is not None or slow.line_pulses is not None
    is_alone = tile_of_train is None and part_of(rng) is None and not is_counted and engine in ENGINES
    if is_alone and are_drawn_at_once(update) and is_small(x, d):
        seeds = torch.randint(2**62, (5,), generator=rng).numpy().view(np.uint64)
        _learn(
            x.float().contiguous().numpy(),
            d.float().contiguous().numpy(),
            rates_of(rates, x),
            rules_of(cells.granularity, update),
            seeds,
            ENGINES[engine],
            many_pulses(x.shape[1]),
            each_its_own(tiles).numpy(),
            choppers,
            tuple(looks),
            as_arrays(fast),
            what,
            sent,
        )
        fast.hold_stuck()
    else:
        chop_seed, seed = torch.randint(2**62, (2,), generator=rng).numpy().view(np.uint64)
        trains = draw_trains(x, d, rates, cells.granularity, update, rng=rng)
        trains = for_every_tile(trains, tile_of_train)
        count_lines(fast, trains, rng=rng)
        if is_chopped:
            of_lines = _signed(trains, are_columns)
            chop(choppers, tuple(looks), *of_lines, chop_seed, first_tile(rng), chops)
        apply_trains(fast, trains, rng=rng, engine=engine, looks=looks)
        transfer(lines, are_columns, looks.seen, *what, seed, first_tile(rng), sent)
        if slow.line_pulses is not None and slow.slots is not None:
            slow.line_pulses += int(sent[:, 0].sum())
            slow.slots += int(most(float(sent[:, 1].max()), rng))
    slow.hold_stuck()
    cells.periphery.rows_read += tiles * reads
    cells.periphery.values_read += tiles * reads * other


def _signed(trains: PulseTrains, are_columns: bool) -> tuple[Any, Any]:
    """Return what holds the signs of the pulses on the lines that are transferred, and across."""
    x, d = (trains.x_sign, trains.d_sign) if trains.is_stochastic else (trains.x_pulses, trains.d_pulses)
    return (x.numpy(), d.numpy()) if are_columns else (d.numpy(), x.numpy())


@njit(cache=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    x, d, rates, rules, seeds, engine, many, own, choppers, looks, fast, what, sent
):
    """Do all of it on the caller's thread."""
    chop_seed, seed, x_seed, d_seed, engine_seed = seeds
    _, lines, are_columns, seen = looks
    reading, rule, scales, chops, memory, writing, slow = what
    trains = empty_trains(x, d)
    _draw(x, d, rates, rules, x_seed, d_seed, 0, trains)
    if choppers[0].size > 0:
        if are_columns:
            _chop(choppers, looks, trains[1], trains[2], chop_seed, 0, chops)
        else:
            _chop(choppers, looks, trains[2], trains[1], chop_seed, 0, chops)
    send(trains, engine, many, own, fast, looks, engine_seed, 0)
    _transfer(lines, are_columns, seen, reading, rule, scales, chops, memory, writing, slow, seed, 0, sent)
