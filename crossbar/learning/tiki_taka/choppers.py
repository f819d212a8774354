"""Choppers: signs of lines that change from time to time, which turns offsets of the fast devices into noise.

While a line is turned, the gradient's pulses on it go the other way, and what is read of it has the other sign: the
gradient stays, but what the devices add of their own, such as a drift towards their symmetry point, changes its sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import njit, prange
from torch import Tensor

from devices.host_numbers import HostNumbers, value_of, zero_count
from devices.looking import may_look
from devices.parts import uniform_
from devices.pulsed import PulseTrains
from devices.pulsed.random_numbers import start, uniform
from devices.pulsed.threaded_loops import threaded
from devices.units import Dimensionless

from ..trains_of_tiles import with_signs
from .reads import Reads


@dataclass(frozen=True)
class Chops:
    """What the choppers do during one batch. Signs are 1, or -1 for a turned line.

    Attributes:
        lines: (tiles, 1 or batch, lines) sign of the lines that are transferred, for the pulses of each vector.
        others: (tiles, 1 or batch, other) sign of the lines across.
        line_of_read: (tiles, reads) sign of the line that is read.
        others_of_read: (tiles, 1 or reads, other) signs of the lines across at that moment.
        is_switched: (tiles, reads) whether the line that is read is turned right afterwards.
        sweeps: (reads,) how often all lines had been read before.
        rates: Learning rate of the gradient's pulses: one, or one for each tile and read.
    """

    lines: Float[Tensor, "tiles states lines"]
    others: Float[Tensor, "tiles other_states other"]
    line_of_read: Float[Tensor, "tiles reads"]
    others_of_read: Float[Tensor, "tiles states_at_reads other"]
    is_switched: Bool[Tensor, "tiles reads"]
    sweeps: Int[Tensor, " reads"]
    rates: Dimensionless | Float[Tensor, "#tiles reads"]

    def turn(self, trains: PulseTrains, are_columns: bool) -> PulseTrains:
        """Turn the gradient's pulses.

        Args:
            trains: Pulses of the batch.
            are_columns: Whether word lines are transferred.
        """
        if may_look(self.lines) and bool((self.lines > 0).all()) and bool((self.others > 0).all()):
            return trains
        return with_signs(trains, *((self.lines, self.others) if are_columns else (self.others, self.lines)))

    def of(self, reads: Reads) -> "Chops":
        """Return what concerns some reads only."""
        part = slice(reads.first, reads.first + len(reads.vectors))
        others, rates = self.others_of_read, self.rates
        return Chops(
            self.lines,
            self.others,
            self.line_of_read[:, part],
            others if others.shape[1] == 1 else others[:, part],
            self.is_switched[:, part],
            self.sweeps[part],
            rates[:, part] if isinstance(rates, Tensor) else rates,
        )


class Choppers(HostNumbers):
    """The choppers of T tiles.

    Args:
        tiles: Number of tiles.
        lines: Lines that are transferred.
        other: Lines across.
        probability: With which a line is turned after it was read; or if that is not left to chance, one over the
            number of sweeps after which all are turned.
        is_random: Whether lines are turned at random.
        is_regular: Whether all lines are turned after a number of sweeps.
        other_probability: With which each line across is turned after a sweep.

    Attributes:
        is_turned: (tiles, lines) the state of the choppers.
        is_other_turned: (tiles, other) likewise across.
        sweeps: How often all lines have been read.
    """

    host_numbers: ClassVar = ("sweeps",)
    is_turned: Tensor
    is_other_turned: Tensor
    sweeps: Tensor

    def __init__(
        self,
        tiles: int,
        lines: int,
        other: int,
        *,
        probability: Dimensionless,
        is_random: bool,
        is_regular: bool,
        other_probability: Dimensionless,
    ) -> None:
        super().__init__()
        self.probability, self.other_probability = float(probability), float(other_probability)
        self.is_random, self.is_regular = is_random, is_regular
        inverse = np.float32(1) / np.float32(probability) if probability > 0 else 2
        self.period = max(ceil(inverse), 2)
        self.register_buffer("is_turned", torch.zeros(tiles, lines, dtype=torch.bool))
        self.register_buffer("is_other_turned", torch.zeros(tiles, other, dtype=torch.bool))
        self.register_buffer("sweeps", zero_count())

    def settings(self) -> tuple[Any, ...]:
        """Return what `chop` wants to know: that there are choppers; period, probability of a turn, whether lines are
        turned at random, whether regularly, probability of a turn across.
        """
        return True, self.period, self.probability, self.is_random, self.is_regular, self.other_probability

    def plan(
        self,
        schedule: Sequence[Reads],
        rates: Dimensionless | Float[Tensor, "#tiles batch"],
        batch: int,
        rng: torch.Generator,
    ) -> Chops:
        """Decide what the choppers do during a batch, and leave them as they are at its end.

        Args:
            schedule: The reads of the batch, with the same lines in all tiles.
            rates: Learning rate of the gradient's pulses: one, or one for each tile and vector.
            batch: Number of vectors.
            rng: Draws which lines are turned.
        """
        device, (tiles, number) = self.is_turned.device, self.is_turned.shape
        read = np.array([line for reads in schedule for line in reads.numbers or ()], dtype=np.int64)
        after = np.array([vector for reads in schedule for vector in reads.vectors], dtype=np.int64)
        is_last = read == number - 1
        swept = value_of(self.sweeps) + is_last.cumsum() - is_last
        lines, vectors, ends, sweeps, is_regular_turn = (
            torch.from_numpy(values).to(device)
            for values in (read, after, after[is_last], swept, swept % self.period + 1 == self.period)
        )

        is_switched = torch.zeros(tiles, len(read), dtype=torch.bool, device=device)
        if self.is_regular:
            is_switched |= is_regular_turn
        if self.is_random:
            is_switched |= (uniform_(torch.empty(is_switched.shape), rng) < self.probability).to(device)
        is_turned = _states(self.is_turned, batch, vectors, lines, is_switched)

        shape = tiles, len(ends), self.is_other_turned.shape[1]
        switches = torch.zeros(shape, dtype=torch.bool, device=device)
        if self.other_probability > 0:
            switches |= (uniform_(torch.empty(shape), rng) < self.other_probability).to(device)
        is_other_turned = _states(self.is_other_turned, batch, ends, slice(None), switches)

        self.sweeps.add_(int(is_last.sum()))
        self.is_turned.copy_(is_turned[:, -1])
        self.is_other_turned.copy_(is_other_turned[:, -1])
        changes, others_change = is_turned.shape[1] > 1, is_other_turned.shape[1] > 1
        return Chops(
            _sign(is_turned[:, :-1] if changes else is_turned),
            _sign(is_other_turned[:, :-1] if others_change else is_other_turned),
            _sign(is_turned[:, vectors, lines] if changes else is_turned[:, 0, lines]),
            _sign(is_other_turned[:, vectors] if others_change else is_other_turned),
            is_switched,
            sweeps,
            rates[:, vectors] if isinstance(rates, Tensor) else rates,
        )


def _states(
    before: Bool[Tensor, "tiles lines"],
    batch: int,
    vectors: Int[Tensor, " switches"],
    lines: Int[Tensor, " switches"] | slice,
    switches: Bool[Tensor, "tiles switches ..."],
) -> Bool[Tensor, "tiles states lines"]:
    """Return which lines are turned while each vector is sent, and at the end; one state if nothing changes."""
    if may_look(switches) and not switches.any():
        return before[:, None]
    tiles, number = before.shape
    states = torch.zeros(tiles, batch + 1, number, dtype=torch.bool, device=before.device)
    states[:, vectors + 1, lines] = switches
    states[:, 0] = before
    return states.cumsum(dim=1, dtype=torch.int32) % 2 == 1


def _sign(is_turned: Tensor) -> Tensor:
    return 1.0 - 2.0 * is_turned


NO_CHOPPERS = (False, 1, 0.0, False, False, 0.0)
"""What `Choppers.settings` would return if nothing were ever turned."""


@njit(cache=True)
def _turn(values, is_turned):  # type: ignore[no-untyped-def]
    for j in range(len(values)):
        if is_turned[j]:
            values[j] = -values[j]


@threaded(lambda settings, states, looks, of_lines, of_others, *rest: of_lines.size + of_others.size)
def chop(
    settings: Any,
    states: Any,
    looks: Any,
    of_lines: Any,
    of_others: Any,
    seed: Any,
    first_tile: Any,
    chops: Any,
) -> None:
    """Do what `Choppers.plan` and `Chops.turn` do, in one compiled loop over tiles.

    Args:
        settings: See `Choppers.settings`.
        states: (tiles, lines) and (tiles, other) which lines are turned; changed in place.
        looks: After which vectors lines are read, and which lines.
        of_lines: (tiles, batch, lines) signs of the gradient's pulses on lines, or signed values; changed in place.
        of_others: (tiles, batch, other) likewise across.
        seed: Names which lines are turned at random.
        first_tile: Number of the first tile.
        chops: Two results, by which sign each device on a line that is read was turned, (tiles, reads, other), and
            whether that line is turned right afterwards, (tiles, reads); and (reads,) the sweeps before each read.
    """
    signs, switches, sweeps = chops
    _, period, probability, is_random, is_regular, other_probability = settings
    is_turned, is_other_turned = states
    vectors, lines = looks[0], looks[1]
    tiles, batch, number = of_lines.shape
    for t in prange(tiles):
        state, at = start(seed, first_tile + t), 0
        turned, others = is_turned[t], is_other_turned[t]
        for b in range(batch):
            _turn(of_lines[t, b], turned)
            _turn(of_others[t, b], others)
            while at < len(vectors) and vectors[at] == b:
                line = lines[at]
                signs[t, at] = np.float32(-1.0) if turned[line] else np.float32(1.0)
                _turn(signs[t, at], others)
                is_switched = is_regular and sweeps[at] % period + 1 == period
                if is_random:
                    state, drawn = uniform(state)
                    is_switched = is_switched or drawn < probability
                switches[t, at] = is_switched
                if is_switched:
                    turned[line] = not turned[line]
                if line == number - 1 and other_probability > 0.0:
                    for k in range(len(others)):
                        state, drawn = uniform(state)
                        others[k] = others[k] != (drawn < other_probability)
                at += 1
