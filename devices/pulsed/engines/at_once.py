"""An update in one compiled call: trains are drawn and sent without coming back to Python in between.

What is computed is what `draw_trains` and `apply_trains` compute, number by number. For one tile of 20 x 20 and one
vector, fifty calls of Python and torch in between took four times as long as the loops.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ...aihwkit_adapter import UpdateParameters
from ...units import Dimensionless
from ..arrays import as_arrays
from ..device_array import DeviceArray
from ..looks import NONE
from ..pulse_trains import PulseTrains, rules_of
from ..threaded_loops import threads_for
from ..train_loops import draw, empty_trains, mean_pulses
from .aggregated import apply, halves
from .exact import compress, sparse

ENGINES = {"auto": 0, "exact": 1, "aggregated": 2}
_NOBODY_LOOKS = tuple(NONE)

# Of each loop the one that works on the caller's thread.
_draw, _compress, _sparse, _halves, _apply = (loop.alone for loop in (draw, compress, sparse, halves, apply))


def is_small(x: Tensor, d: Tensor) -> bool:
    """Tell whether no loop of an update would be shared among threads."""
    return threads_for(max(2 * d.numel() * x.shape[2], 4 * (x.numel() + d.numel()))) == 1


def draw_and_send(
    devices: DeviceArray,
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless,
    update: UpdateParameters,
    tile_of_train: Any,
    engine: str,
    many: Dimensionless,
    *,
    rng: torch.Generator,
) -> None:
    """Draw stochastic trains of at most one machine word, and give the devices their pulses.

    Args:
        devices: The devices, on the CPU.
        x: (trains, batch, in) inputs.
        d: (trains, batch, out) gradients.
        learning_rate: One for all.
        update: aihwkit's settings.
        tile_of_train: (tiles,) which trains a tile receives, an array.
        engine: Key of `ENGINES`.
        many: From so many pulses per device on, "auto" is the aggregated engine.
        rng: Draws the seeds of the trains and of the noise.
    """
    _draw_and_send(
        x.detach().float().contiguous().numpy(),
        d.detach().float().contiguous().numpy(),
        float(abs(learning_rate)),
        rules_of(devices.step_size, update),
        torch.randint(2**62, (3,), generator=rng).numpy(),
        ENGINES[engine],
        many,
        tile_of_train,
        as_arrays(devices),
        _NOBODY_LOOKS,
        0,
        0,
    )


def draw_and_send_to_pairs(
    plus: DeviceArray,
    minus: DeviceArray,
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless,
    granularity: Dimensionless,
    update: UpdateParameters,
    tile_of_train: Any,
    engine: str,
    many: Dimensionless,
    *,
    rng: torch.Generator,
) -> tuple[Any, ...]:
    """Draw trains as `draw_and_send` does; give plus devices the pulses up, minus devices those down, turned up.

    Args:
        plus: Devices for what weights gain, on the CPU.
        minus: Devices for what they lose.
        x: (trains, batch, in) inputs.
        d: (trains, batch, out) gradients.
        learning_rate: One for all.
        granularity: Size of a step.
        update: aihwkit's settings.
        tile_of_train: (tiles,) which trains a tile receives, an array.
        engine: Key of `ENGINES`.
        many: From so many pulses per device on, "auto" is the aggregated engine.
        rng: Draws the seeds of the trains and of the noise.

    Returns:
        The trains that were sent; see `as_trains`.
    """
    trains: tuple[Any, ...] = _draw_and_send_to_pairs(
        x.detach().float().contiguous().numpy(),
        d.detach().float().contiguous().numpy(),
        float(abs(learning_rate)),
        rules_of(granularity, update),
        torch.randint(2**62, (4,), generator=rng).numpy(),
        ENGINES[engine],
        many,
        tile_of_train,
        as_arrays(plus),
        as_arrays(minus),
        _NOBODY_LOOKS,
        0,
        (1, -1),
    )
    return trains


def as_trains(drawn: tuple[Any, ...]) -> PulseTrains:
    """Return trains that compiled loops have drawn; see `train_loops.empty_trains`."""
    length, x_sign, d_sign, x_bits, d_bits, x_counts, d_counts = (
        torch.from_numpy(values.view(np.int64) if values.dtype == np.uint64 else values) for values in drawn
    )
    return PulseTrains(x_sign, d_sign, length, x_bits, d_bits, x_counts, d_counts, True)


@njit(cache=True, error_model="numpy")
def _draw_and_send_to_pairs(
    x: Any,
    d: Any,
    rate: Any,
    rules: Any,
    seeds: Any,
    engine: Any,
    many: Any,
    tile_of_train: Any,
    plus: Any,
    minus: Any,
    looks: Any,
    first_tile: Any,
    polarities: Any,
) -> Any:
    trains, rates = empty_trains(x, d), np.full((1, 1), rate, np.float32)
    _draw(x, d, rates, rules, np.uint64(seeds[0]), np.uint64(seeds[1]), first_tile, trains)
    up, down = polarities
    send(trains, engine, many, tile_of_train, plus, looks, np.uint64(seeds[2]), first_tile, up)
    send(trains, engine, many, tile_of_train, minus, looks, np.uint64(seeds[3]), first_tile, down)
    return trains


@njit(cache=True, error_model="numpy")
def _draw_and_send(
    x: Any,
    d: Any,
    rate: Any,
    rules: Any,
    seeds: Any,
    engine: Any,
    many: Any,
    tile_of_train: Any,
    devices: Any,
    looks: Any,
    first_tile: Any,
    polarity: Any,
) -> None:
    trains, rates = empty_trains(x, d), np.full((1, 1), rate, np.float32)
    _draw(x, d, rates, rules, np.uint64(seeds[0]), np.uint64(seeds[1]), first_tile, trains)
    send(trains, engine, many, tile_of_train, devices, looks, np.uint64(seeds[2]), first_tile, polarity)


@njit(cache=True, error_model="numpy")
def send(trains, engine, many, tile_of_train, devices, looks, seed, first_tile, polarity):  # type: ignore[no-untyped-def]
    """Give the devices the pulses of trains that are drawn, by the engine that is asked for or the faster one.

    Compiled callers pass on numbers that they were given, no literal ones: numba would compile loops once more for
    these, and ten times slower.
    """
    length, x_sign, d_sign, x_bits, d_bits, x_counts, d_counts = trains
    is_exact = engine == 1
    if engine == 0:
        is_exact = not mean_pulses(x_counts, d_counts, length, True) >= many
    if is_exact:
        listed, columns, numbers = _compress(x_bits, x_sign)
        _sparse(
            listed,
            columns,
            numbers,
            d_bits,
            d_sign,
            tile_of_train,
            devices,
            looks,
            seed,
            first_tile,
            polarity,
        )
        return
    most = float(length.max()) if length.size > 0 else 0.0
    _apply(
        _halves(x_bits, most),
        _halves(d_bits, most),
        x_sign,
        d_sign,
        most,
        tile_of_train,
        devices,
        looks,
        seed,
        first_tile,
        polarity,
    )
