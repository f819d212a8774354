"""All transfers of a batch in one compiled loop over tiles: lines are read, added up in buffers, and written.

Of each rule the numbers stand in a `Rule`, which is a plain tuple inside the loop:

    h <- h + s * scale * (read - reference);    n = truncate(h / unit), at most `most`;    n pulses are written

with the signs s of the choppers and the reference of AGAD; without a buffer what is read is written. The rules'
own methods say the same in torch, for GPUs and for settings that this loop does not have; a test holds them together.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from devices.pulsed.arrays import lent
from devices.pulsed.engines.lines import draw_line, pulse_device
from devices.pulsed.random_numbers import start
from devices.pulsed.threaded_loops import borrowed, threaded
from devices.units import Dimensionless

from ...reading.mvm.lines import read_device


class Rule(NamedTuple):
    """What a rule does with what is read of a line.

    Attributes:
        has_buffer: Whether it is added up; if not, it is the gradient of the write.
        sign: Of that gradient, -1 or 1.
        rate: Learning rate of the writes.
        scale: What reads are multiplied by.
        is_corrected: Whether it is divided by the learning rate of the gradient's pulses.
        worth: What it is divided by then.
        unit: What a step is worth in the buffer.
        most: Steps of a write.
        forgets: Whether a write leaves only the part `kept` of the buffer.
        kept: See `forgets`.
        taken: Part of the steps that a write takes out of the buffer, if it does not forget.
        cap: Largest size of what it leaves then.
        has_memory: Whether earlier reads are in the buffer at all.
        has_reference: Whether a mean of all reads is followed, which becomes the reference when a line is turned.
        tail: Part of the mean that a new read makes up.
        period: Sweeps between turns; before one and a sweep nothing is written where there is a reference.
        most_samples: Reads since the last turn that the scale is divided by, at most; 0 where it is not.
    """

    has_buffer: bool = True
    sign: Dimensionless = -1.0
    rate: Dimensionless = 0.0
    scale: Dimensionless = 1.0
    is_corrected: bool = False
    worth: Dimensionless = 1.0
    unit: Dimensionless = 1.0
    most: Dimensionless = 1.0
    forgets: bool = False
    kept: Dimensionless = 0.0
    taken: Dimensionless = 1.0
    cap: Dimensionless = float("inf")
    has_memory: bool = True
    has_reference: bool = False
    tail: Dimensionless = 0.0
    period: int = 1
    most_samples: Dimensionless = 0.0

    def numbers(self) -> tuple[Any, ...]:
        """Return them as the loop computes with them."""
        return tuple(np.float32(value) if isinstance(value, float) else value for value in self)


@threaded(lambda looks, *rest: 8 * looks[3].size, error_model="numpy")
def transfer(
    looks: Any,
    reading: Any,
    rule: Any,
    rates: Any,
    whose: Any,
    chops: Any,
    memory: Any,
    writing: Any,
    slow: Any,
    seed: Any,
    first_tile: Any,
    sent: Any,
) -> None:
    """Read lines that were looked at, and write the slow devices, one line after the other.

    Args:
        looks: See `devices.pulsed.looks`: which lines, and what the fast devices on them showed.
        reading: See `reading.mvm.lines.reading_of`.
        rule: `Rule.numbers`.
        rates: Learning rates of the gradient's pulses: one, (1, 1), or (trains, batch).
        whose: (tiles,) which of the trains a tile received.
        chops: See `choppers.chop`; signs are empty where nothing is turned.
        memory: (tiles, out, in) buffers, means, references and (tiles, lines) which lines were turned after their
            last read; empty where a rule has none.
        writing: See `devices.pulsed.engines.lines.writing_of`.
        slow: See `devices.pulsed.arrays.as_arrays`.
        seed: Names the noise of the reads and the pulses of the writes.
        first_tile: Number of the first tile.
        sent: (tiles, 2) to which pulses on lines and slots are added.
    """
    vectors, lines, are_columns, seen = looks
    has_buffer, sign, rate, scale, is_corrected, worth, unit, most, forgets, kept, taken, cap = rule[:12]
    has_memory, has_reference, tail, period, most_samples = rule[12:]
    seen, sent = borrowed(seen), borrowed(sent)
    slow = lent(slow)
    law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, other = slow[:10]
    constants, nodes_up, nodes_down, write_noise, pulse_count = slow[10:]
    signs, switches, sweeps = borrowed(chops[0]), borrowed(chops[1]), chops[2]
    buffer, mean, reference = borrowed(memory[0]), borrowed(memory[1]), borrowed(memory[2])
    was_switched = borrowed(memory[3])
    zero = np.float32(0.0)
    tiles, reads, number = seen.shape
    for t in prange(tiles):
        state = start(seed, first_tile + t)
        values, pulses = np.empty(number, np.float32), np.empty(number, np.int32)
        for r in range(reads):
            line = lines[r]
            for k in range(number):
                state, values[k] = read_device(state, seen[t, r, k], reading)
            factor, is_early, begins = scale, False, False
            if is_corrected:
                factor = factor / (rates[whose[t], vectors[r]] if rates.size > 1 else rates[0, 0])
            factor = factor / worth
            if has_reference:
                begins, is_early = was_switched[t, line], sweeps[r] <= period
                was_switched[t, line] = switches[t, r]
                if most_samples > zero:
                    factor = factor / min(np.float32(sweeps[r] % period + 1), most_samples)
            for k in range(number):
                i, j = (k, line) if are_columns else (line, k)
                value = values[k]
                if not has_buffer:
                    values[k] = sign * value
                    continue
                offset = zero
                if has_reference:
                    before = mean[t, i, j]
                    if begins:
                        reference[t, i, j] = before
                    offset = reference[t, i, j]
                    mean[t, i, j] = before * (np.float32(1.0) - tail) + value * tail
                way = signs[t, r, k] if signs.size > 0 else np.float32(1.0)
                held = (value - offset) * way * factor + (buffer[t, i, j] if has_memory else zero)
                steps = np.trunc(held / unit)
                left = held
                if steps != zero:
                    steps = min(max(steps, -most), most)
                    left = held * kept if forgets else min(max(held - taken * steps * unit, -cap), cap)
                buffer[t, i, j] = left
                values[k] = zero if is_early else sign * steps
            state, are_any = draw_line(state, are_columns, values, rate, writing, pulses, sent[t])
            for k in range(number if are_any else 0):
                if pulses[k] != 0:
                    i, j = (k, line) if are_columns else (line, k)
                    state = pulse_device(
                        state,
                        t,
                        i,
                        j,
                        pulses[k],
                        law,
                        weight,
                        visible,
                        max_bound,
                        min_bound,
                        scale_up,
                        scale_down,
                        shape_up,
                        shape_down,
                        other,
                        constants,
                        nodes_up,
                        nodes_down,
                        write_noise,
                        pulse_count,
                    )
