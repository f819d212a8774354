"""Pulsed updates of device arrays: draw trains, choose an engine, move the devices."""

from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..aihwkit_adapter import PulseType, UpdateParameters
from ..looking import may_look
from ..parts import mean_over_tiles, most, part_of
from ..streams import draw_seeds
from ..units import Dimensionless
from .device_array import DeviceArray
from .engines.aggregated import apply_aggregated
from .engines.at_once import ENGINES, draw_and_send, is_small
from .engines.exact import apply_exactly
from .looks import NONE, Looks
from .pulse_trains import PulseTrains, are_drawn_at_once, draw_trains

Engine = Literal["auto", "exact", "aggregated"]
Polarity = Literal["both", "up", "down"]
_POLARITIES: dict[Any, int] = {"both": 0, "up": 1, "down": -1}

# From so many pulses per device on, for a device and for each vector, the aggregated engine is the faster one
# (measured; ten times for dense updates). Below, few lines pulse, and the exact engine visits only those.
_OF_DEVICE, _OF_VECTOR = 0.3, 0.02


@torch.no_grad()
def apply_trains(
    devices: DeviceArray,
    trains: PulseTrains,
    *,
    rng: torch.Generator,
    engine: Engine = "auto",
    polarity: Polarity = "both",
    tile_of_train: Int[Tensor, " tiles"] | None = None,
    looks: Looks = NONE,
) -> None:
    """Let the devices of every tile respond to pulse trains on its lines; `count_lines` counts the trains.

    Args:
        devices: The devices; changed in place.
        trains: Pulses on the lines, one set for each tile, or for each kernel (see `tile_of_train`).
        rng: Draws the cycle-to-cycle noise.
        engine: "exact" for pulse by pulse; "aggregated" for all pulses of a vector on a device at once, with the same
            statistics; "auto" chooses by the mean number of pulses per device.
        polarity: "both"; "up" for only those pulses that go up; "down" for only those that go down, but applied as
            pulses up, as the second device of a one-sided pair receives them.
        tile_of_train: For each tile, which trains it receives, where copies receive the same ones; its own if None.
        looks: Lines that are looked at between two vectors; on the CPU only. None as a default.

    Raises:
        ValueError: If an engine is asked for that cannot do it, or a name is unknown.
    """
    if engine not in ("auto", "exact", "aggregated"):
        raise ValueError(f"`engine` must be 'auto', 'exact' or 'aggregated', but is {engine!r}.")
    if polarity not in _POLARITIES:
        raise ValueError(f"`polarity` must be 'both', 'up' or 'down', but is {polarity!r}.")
    has_bits = trains.x_bits is not None or not trains.is_stochastic
    if engine == "exact" and (devices.weight.device.type != "cpu" or not has_bits):
        raise ValueError(
            "`engine` must be 'aggregated' or 'auto' on a GPU, but is 'exact': its loops run on the CPU."
        )
    if engine == "aggregated" and not trains.is_stochastic:
        raise ValueError(
            "`engine` must be 'exact' or 'auto' for deterministic pulses, but is 'aggregated': they are rounded in "
            "every device for every vector."
        )
    if tile_of_train is None:
        tile_of_train = torch.from_numpy(_each_its_own(len(devices.weight)))
    if engine == "auto":
        many = many_pulses(trains.x_pulses.shape[1])
        # On a GPU, which has no bits, nobody counts: the host would wait for the sum.
        is_many = not has_bits or (
            trains.is_stochastic and mean_over_tiles(trains.mean_pulses(), rng) >= many
        )
        engine = "aggregated" if is_many else "exact"
    apply = apply_exactly if engine == "exact" else apply_aggregated
    (seed,) = draw_seeds(1, rng)
    apply(devices, trains, seed, _POLARITIES[polarity], tile_of_train, rng, looks)
    devices.hold_stuck()


def trains_of_tiles(tiles: int, tile_of_train: Int[Tensor, " tiles"] | None) -> Any:
    """Return which trains each tile receives, as an array for compiled loops.

    Args:
        tiles: How many there are.
        tile_of_train: Likewise, as a tensor; its own if None.
    """
    return _each_its_own(tiles) if tile_of_train is None else tile_of_train.numpy()


@cache
def _each_its_own(tiles: int) -> Any:
    return np.arange(tiles)


def many_pulses(batch: int) -> Dimensionless:
    """Return from how many pulses per device on "auto" is the aggregated engine.

    Args:
        batch: Number of vectors.
    """
    return _OF_DEVICE + _OF_VECTOR * batch


def count_lines(
    devices: DeviceArray,
    trains: PulseTrains,
    tile_of_train: Int[Tensor, " tiles"] | None = None,
    *,
    rng: torch.Generator,
) -> None:
    """Add the pulses on word and bit lines, and the slots they take, if they are counted.

    Apart from `apply_trains`, since trains that are sent once may meet several devices of a cell, or be applied line
    by line.

    Args:
        devices: Whose counters they are added to.
        trains: Pulses on the lines, one set for each tile, or for each kernel.
        tile_of_train: For each tile, which trains it receives; its own if None.
        rng: That of the trains, which knows of tiles in other processes: all wait for the busiest one.
    """
    if devices.line_pulses is None or devices.slots is None:
        return
    if trains.is_stochastic:
        # Sums of whole numbers: those of one vector are exact in float32, and those of a batch in float64.
        pulses = (trains.x_pulses.sum(dim=2) + trains.d_pulses.sum(dim=2)).sum(dim=1, dtype=torch.float64)
        of_tiles = pulses if tile_of_train is None else pulses[tile_of_train]
        devices.line_pulses += of_tiles.sum().to(torch.int64)
    slots = trains.length.sum(dim=1, dtype=torch.float64).max()
    if part_of(rng) is None and not may_look(slots):
        devices.slots += slots.to(torch.int64)
    else:
        devices.slots += int(most(float(slots), rng))


def pulsed_update(
    devices: DeviceArray,
    x: Float[Tensor, "kernels batch in"],
    d: Float[Tensor, "kernels batch out"],
    learning_rate: Dimensionless | Float[Tensor, "#kernels #batch"],
    update: UpdateParameters,
    *,
    rng: torch.Generator,
    engine: Engine = "auto",
    tile_of_train: Int[Tensor, " tiles"] | None = None,
) -> None:
    """Move every device by about -learning_rate * d * x, summed over the batch, with pulses.

    Args:
        devices: The devices; changed in place.
        x: Inputs of every tile, or of every kernel (see `tile_of_train`).
        d: Gradients of the outputs.
        learning_rate: One for all, or one for each vector.
        update: aihwkit's settings. The pulse types NONE and NONE_WITH_DEVICE change the weights by that very product;
            the second keeps them within the bounds.
        rng: Draws trains and cycle-to-cycle noise.
        engine: See `apply_trains`.
        tile_of_train: For each tile, whose vectors it receives; its own if None.
    """
    is_alone = devices._buffers["line_pulses"] is None and part_of(rng) is None and engine in ENGINES
    if (
        is_alone
        and not isinstance(learning_rate, Tensor)
        and x.is_cpu
        and is_small(x, d)
        and are_drawn_at_once(update)
    ):
        whose = trains_of_tiles(x.shape[0], tile_of_train)
        draw_and_send(devices, x, d, learning_rate, update, whose, engine, many_pulses(x.shape[1]), rng=rng)
        devices.hold_stuck()
        return
    with torch.no_grad():
        _update_step_by_step(devices, x, d, learning_rate, update, rng, engine, tile_of_train)


def _update_step_by_step(
    devices: DeviceArray,
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless | Tensor,
    update: UpdateParameters,
    rng: torch.Generator,
    engine: Engine,
    tile_of_train: Tensor | None,
) -> None:
    """Do it with any settings, on any torch device, and with threads."""
    if update.pulse_type in (PulseType.NONE, PulseType.NONE_WITH_DEVICE):
        rate = torch.as_tensor(learning_rate, dtype=x.dtype, device=x.device).expand(x.shape[:2])
        change = torch.bmm((d * rate[..., None]).transpose(1, 2), x)
        devices.hidden_weight.sub_(change if tile_of_train is None else change[tile_of_train])
        if update.pulse_type == PulseType.NONE_WITH_DEVICE:
            devices.clip()
        devices.redraw_write_noise(rng=rng)
        return
    trains = draw_trains(x, d, learning_rate, devices.step_size, update, rng=rng)
    count_lines(devices, trains, tile_of_train, rng=rng)
    apply_trains(devices, trains, rng=rng, engine=engine, tile_of_train=tile_of_train)
