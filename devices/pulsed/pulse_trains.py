"""Pulse trains on word and bit lines: how long, how likely, and which slots hold a pulse.

Every vector of a batch gets a train of `length` slots. In each slot a word line pulses with a probability that is
proportional to its input |x|, a bit line with one proportional to |d|, independently; a device receives a pulse where
both of its lines do. Lines are shared: devices of one row or column see the same train, which correlates them.

aihwkit's 1.1.0 rules for length and probability (`rpu_pulsed_meta_parameter.cpp`) are followed in float32 and in its
order of operations. Its `STOCHASTIC` and `STOCHASTIC_COMPRESSED` differ in the order of pulses only, which does not
change the law of what devices receive.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..aihwkit_adapter import PulseType, UpdateParameters
from ..parts import first_tile, uniform_
from ..streams import draw_seeds
from ..units import Dimensionless
from .slots import SLOTS, draw_slots
from .train_loops import draw, mean_pulses, prepare

STOCHASTIC = (PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED)


@dataclass(frozen=True)
class PulseTrains:
    """The pulses of one batch on the lines of every tile.

    Attributes:
        x_sign: (tiles, batch, in) sign of the inputs, +1 for zero.
        d_sign: (tiles, batch, out) sign of the gradients.
        length: (tiles, batch) number of slots; 0 for a vector of zeros.
        x_bits: (tiles, batch, words, in) slots with a pulse, 64 to a word; None unless drawn on the CPU.
        d_bits: (tiles, batch, words, out).
        x_pulses: (tiles, batch, in) number of pulses; for deterministic trains, the signed value that a device
            multiplies with that of its bit line and rounds.
        d_pulses: (tiles, batch, out).
        is_stochastic: Whether pulses are drawn; if not, `x_pulses * d_pulses`, rounded, is what a device receives.
    """

    x_sign: Float[Tensor, "tiles batch in"]
    d_sign: Float[Tensor, "tiles batch out"]
    length: Float[Tensor, "tiles batch"]
    x_bits: Int[Tensor, "tiles batch words in"] | None
    d_bits: Int[Tensor, "tiles batch words out"] | None
    x_pulses: Float[Tensor, "tiles batch in"]
    d_pulses: Float[Tensor, "tiles batch out"]
    is_stochastic: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Tiles, vectors, outputs and inputs."""
        tiles, batch, inputs = self.x_pulses.shape
        return tiles, batch, self.d_pulses.shape[2], inputs

    def where(self, mask: Bool[Tensor, "..."]) -> "PulseTrains":
        """Keep the pulses of some word lines only; the bit lines pulse as before.

        Args:
            mask: Which inputs of which vectors keep their pulses.
        """
        bits = None if self.x_bits is None else self.x_bits * mask[..., None, :]
        return replace(self, x_bits=bits, x_pulses=self.x_pulses * mask)

    def where_d(self, mask: Bool[Tensor, "..."]) -> "PulseTrains":
        """Keep the pulses of some bit lines only; the word lines pulse as before.

        Args:
            mask: Which outputs of which vectors keep their pulses.
        """
        bits = None if self.d_bits is None else self.d_bits * mask[..., None, :]
        return replace(self, d_bits=bits, d_pulses=self.d_pulses * mask)

    def between(self, first: int, last: int) -> "PulseTrains":
        """Return the trains of some vectors only: from one number to before another."""
        part = slice(first, last)
        return PulseTrains(
            self.x_sign[:, part],
            self.d_sign[:, part],
            self.length[:, part],
            None if self.x_bits is None else self.x_bits[:, part],
            None if self.d_bits is None else self.d_bits[:, part],
            self.x_pulses[:, part],
            self.d_pulses[:, part],
            self.is_stochastic,
        )

    def mean_pulses(self) -> Dimensionless:
        """Return how many pulses a device of this layer receives from this batch, on average."""
        if self.x_pulses.device.type == "cpu":
            arrays = (values.contiguous().numpy() for values in (self.x_pulses, self.d_pulses, self.length))
            return float(mean_pulses(*arrays, self.is_stochastic))
        x, d = self.x_pulses.abs().mean(dim=2), self.d_pulses.abs().mean(dim=2)  # (tiles, batch)
        if self.is_stochastic:
            d = d / self.length.clamp(min=1)
        return float((x * d).sum(dim=1).mean())


@torch.no_grad()
def draw_trains(
    x: Float[Tensor, "tiles batch in"],
    d: Float[Tensor, "tiles batch out"],
    learning_rate: Dimensionless | Float[Tensor, "#tiles #batch"],
    granularity: Dimensionless,
    update: UpdateParameters,
    *,
    rng: torch.Generator,
) -> PulseTrains:
    """Turn inputs and gradients into pulse trains, so that a device moves by about -learning_rate * d * x.

    Args:
        x: Inputs of every tile.
        d: Gradients of the outputs; where d and x have the same sign, the weight goes down.
        learning_rate: One for all, or one for each vector.
        granularity: Size of a device's step, which turns a change of weight into a number of pulses.
        update: aihwkit's settings: pulse type, lengths, resolution, update and bit-length management.
        rng: Draws the trains.

    Raises:
        ValueError: If the pulse type has no pulses.
    """
    if update.pulse_type not in (*STOCHASTIC, PulseType.MEAN_COUNT, PulseType.DETERMINISTIC_IMPLICIT):
        raise ValueError(f"`update.pulse_type` must be one with pulses, but is {update.pulse_type}.")
    x, d = x.float(), d.float()
    if x.device.type == "cpu" and are_drawn_at_once(update):
        return _draw_at_once(x, d, learning_rate, float(granularity), update, rng)
    rate = torch.as_tensor(learning_rate, dtype=torch.float32, device=x.device).abs().expand(x.shape[:2])
    prepare = _prepare_on_cpu if x.device.type == "cpu" else prepare_in_torch
    length, p_x, p_d, x_sign, d_sign = prepare(x, d, rate, float(granularity), update)
    signs = x_sign, d_sign
    slots = length[..., None]
    if update.pulse_type == PulseType.MEAN_COUNT:
        p_x, p_d = (_resolve(p, update.res, update.sto_round, rng) for p in (p_x, p_d))
        x_values = torch.minimum((slots * p_x).round(), slots) * signs[0]
        d_values = torch.minimum((slots * p_d).round(), slots) * signs[1] / slots.clamp(min=1)
        return PulseTrains(*signs, length, None, None, x_values, d_values, False)
    if update.pulse_type == PulseType.DETERMINISTIC_IMPLICIT:
        p_x = _resolve(p_x, update.x_res_implicit, update.sto_round, rng).clamp(max=1) * signs[0]
        p_d = _resolve(p_d, update.d_res_implicit, update.sto_round, rng).clamp(max=1) * signs[1]
        return PulseTrains(*signs, length, None, None, p_x, p_d * slots, False)
    p_x, p_d = (_resolve(p, update.res, update.sto_round, rng) for p in (p_x, p_d))
    seeds = draw_seeds(2, rng)
    if x.device.type != "cpu":
        there = torch.Generator(device=x.device).manual_seed(seeds[0])
        trials = slots.expand_as(p_x).contiguous(), slots.expand_as(p_d).contiguous()
        x_counts, d_counts = (
            torch.binomial(n, p.clamp(max=1), generator=there)
            for n, p in zip(trials, (p_x, p_d), strict=True)
        )
        return PulseTrains(*signs, length, None, None, x_counts, d_counts, True)
    words = max(1, ceil(int(length.max()) / SLOTS)) if length.numel() else 1
    x_bits, x_counts = draw_slots(p_x, length, words, seeds[0], first_tile(rng))
    d_bits, d_counts = draw_slots(p_d, length, words, seeds[1], first_tile(rng))
    return PulseTrains(*signs, length, x_bits, d_bits, x_counts, d_counts, True)


def are_drawn_at_once(update: UpdateParameters) -> bool:
    """Tell whether trains are drawn in one compiled loop, on the CPU: none is longer than a machine word."""
    return (
        update.pulse_type in STOCHASTIC
        and update.res <= 0
        and update.desired_bl <= SLOTS
        and (update.fixed_bl or update.update_bl_management)
    )


def rules_of(granularity: Dimensionless, update: UpdateParameters) -> tuple[Any, ...]:
    """Return what compiled loops need to know to manage lengths and probabilities, in one tuple.

    Args:
        granularity: Size of a device's step.
        update: aihwkit's settings.
    """
    return (
        float(granularity),
        float(update.desired_bl),
        float(update.um_grad_scale),
        bool(update.fixed_bl),
        bool(update.update_management),
        bool(update.update_bl_management),
    )


def rates_of(learning_rate: Dimensionless | Tensor, x: Tensor) -> Any:
    """Return sizes of learning rates as an array for compiled loops: one for all, or one for each vector of `x`."""
    if isinstance(learning_rate, Tensor):
        return learning_rate.float().abs().expand(x.shape[:2]).contiguous().numpy()
    return np.full((1, 1), abs(learning_rate), np.float32)


def prepare_in_torch(
    x: Tensor, d: Tensor, rate: Tensor, granularity: Dimensionless, update: UpdateParameters
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the lengths of all trains, the probabilities of pulses on both kinds of lines, and their signs."""
    length, for_x, for_d = _management(x, d, rate, granularity, update)
    p_x, p_d = x.abs() * for_x[..., None], d.abs() * for_d[..., None]
    return length, p_x, p_d, torch.where(x >= 0, 1.0, -1.0), torch.where(d >= 0, 1.0, -1.0)


def _prepare_on_cpu(
    x: Tensor, d: Tensor, rate: Tensor, granularity: Dimensionless, update: UpdateParameters
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do what `prepare_in_torch` does in one compiled loop instead of forty passes."""
    prepared = tuple(
        torch.empty(shape) for shape in (rate.shape, x.shape, d.shape, x.shape, d.shape)
    )  # length, probabilities, signs
    prepare(
        x.contiguous().numpy(),
        d.contiguous().numpy(),
        rate.contiguous().numpy(),
        rules_of(granularity, update),
        *(values.numpy() for values in prepared),
    )
    return prepared  # type: ignore[return-value]


def _draw_at_once(
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless | Tensor,
    granularity: Dimensionless,
    update: UpdateParameters,
    rng: torch.Generator,
) -> PulseTrains:
    """Do all that `draw_trains` does in one compiled loop, where no train is longer than a machine word."""
    tiles, batch = x.shape[:2]
    x_seed, d_seed = draw_seeds(2, rng)
    length = torch.empty(tiles, batch)
    x_sign, d_sign, x_counts, d_counts = (torch.empty(like.shape) for like in (x, d, x, d))
    x_bits, d_bits = (torch.empty((tiles, batch, 1, like.shape[2]), dtype=torch.int64) for like in (x, d))
    draw(
        x.contiguous().numpy(),
        d.contiguous().numpy(),
        rates_of(learning_rate, x),
        rules_of(granularity, update),
        np.uint64(x_seed),
        np.uint64(d_seed),
        first_tile(rng),
        (
            *(values.numpy() for values in (length, x_sign, d_sign)),
            *(values.numpy().view(np.uint64) for values in (x_bits, d_bits)),
            *(values.numpy() for values in (x_counts, d_counts)),
        ),
    )
    return PulseTrains(x_sign, d_sign, length, x_bits, d_bits, x_counts, d_counts, True)


def _management(
    x: Tensor, d: Tensor, rate: Tensor, granularity: Dimensionless, update: UpdateParameters
) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for every vector, the length of its trains, and what |x| and |d| are multiplied with."""
    longest = float(update.desired_bl)
    lengths_managed = update.update_bl_management
    granularities = torch.full_like(rate, granularity)
    length = torch.full_like(rate, longest)
    gain = (rate / (granularities * longest)).sqrt()
    if not update.fixed_bl and not lengths_managed:
        is_long = granularities * longest < rate
        length = torch.where(is_long, (rate / granularities).ceil().clamp(min=1), length)
        gain = torch.where(is_long, torch.ones_like(gain), gain)
    x_max, d_max = x.abs().amax(dim=2), d.abs().amax(dim=2)
    is_empty = (x_max == 0) | (d_max == 0)
    if not update.update_management and not lengths_managed:
        return torch.where(is_empty, torch.zeros_like(length), length), gain, gain
    scaled = update.um_grad_scale * d_max
    expected = rate * x_max * scaled / granularities
    if lengths_managed:
        length = expected.ceil().clamp(max=longest)
        gain = (rate / (granularities * length.clamp(min=1))).sqrt()
    scaled = torch.where(expected > longest, scaled * longest / expected, scaled)
    one = torch.ones_like(gain)
    for_d = gain * (x_max / torch.where(is_empty, one, scaled)).sqrt()
    for_x = gain * (scaled / torch.where(is_empty, one, x_max)).sqrt()
    return (
        torch.where(is_empty, 0 * one, length),
        torch.where(is_empty, one, for_x),
        torch.where(is_empty, one, for_d),
    )


def _resolve(p: Tensor, res: Dimensionless, is_stochastic: bool, rng: torch.Generator) -> Tensor:
    """Round to multiples of a resolution, at random if asked for."""
    if res <= 0:
        return p
    position = p / res
    if is_stochastic:
        draws = uniform_(torch.empty(p.shape, device=rng.device), rng).to(p.device)
        position = position + (draws - 0.5)
    return position.round() * res
