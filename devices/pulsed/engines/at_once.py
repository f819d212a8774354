"""An update in one compiled call: trains are drawn and sent without coming back to Python in between.

What is computed is what `draw_trains` and `apply_trains` compute, number by number. For one tile of 20 x 20 and one
vector, fifty calls of Python and torch in between took four times as long as the loops.
"""

from typing import Any

import numpy as np
import torch
from numba import njit, uint32, uint64
from torch import Tensor

from ...aihwkit_adapter import UpdateParameters
from ...units import Dimensionless
from ..device_array import DeviceArray
from ..threaded_loops import threads_for
from ..train_loops import draw, mean_pulses
from .aggregated import _apply
from .exact import _compress, _sparse, as_arrays

ENGINES = {"auto": 0, "exact": 1, "aggregated": 2}
_FIRST, _BOTH = 0, 0  # all tiles are here; pulses of both directions
_HALF = 32  # slots that the aggregated engine counts together

# Of each loop the one that works on the caller's thread.
_draw, _list, _send_exactly, _send_aggregated = draw.alone, _compress.alone, _sparse.alone, _apply.alone


def is_small(x: Tensor, d: Tensor) -> bool:
    """Tell whether no loop of an update would be shared among threads."""
    return threads_for(max(2 * d.numel() * x.shape[2], 4 * (x.numel() + d.numel()))) == 1


def draw_and_send(
    devices: DeviceArray,
    x: Tensor,
    d: Tensor,
    learning_rate: Dimensionless | Tensor,
    update: UpdateParameters,
    tile_of_train: Tensor,
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
        learning_rate: One for all, or one for each vector.
        update: aihwkit's settings.
        tile_of_train: (tiles,) which trains a tile receives.
        engine: Key of `ENGINES`.
        many: From so many pulses per device on, "auto" is the aggregated engine.
        rng: Draws the seeds of the trains and of the noise.
    """
    if isinstance(learning_rate, Tensor):
        rates = learning_rate.float().abs().expand(x.shape[:2]).contiguous().numpy()
    else:
        rates = np.full((1, 1), abs(learning_rate), np.float32)
    x_seed, d_seed = torch.randint(2**62, (2,), generator=rng).tolist()
    seed = int(torch.randint(2**62, (), generator=rng))
    _draw_and_send(
        x.float().contiguous().numpy(),
        d.float().contiguous().numpy(),
        rates,
        np.float32(devices.step_size),
        np.float32(update.desired_bl),
        np.float32(update.um_grad_scale),
        bool(update.fixed_bl),
        bool(update.update_management),
        bool(update.update_bl_management),
        np.uint64(x_seed),
        np.uint64(d_seed),
        ENGINES[engine],
        many,
        tile_of_train.numpy(),
        *as_arrays(devices),
        np.uint64(seed),
    )


@njit(cache=True, error_model="numpy")
def _draw_and_send(
    x: Any,
    d: Any,
    rates: Any,
    granularity: Any,
    longest: Any,
    grad_scale: Any,
    is_fixed: Any,
    is_managed: Any,
    are_lengths_managed: Any,
    x_seed: Any,
    d_seed: Any,
    engine: Any,
    many: Any,
    tile_of_train: Any,
    law: Any,
    weight: Any,
    visible: Any,
    max_bound: Any,
    min_bound: Any,
    scale_up: Any,
    scale_down: Any,
    shape_up: Any,
    shape_down: Any,
    reference: Any,
    constants: Any,
    nodes_up: Any,
    nodes_down: Any,
    write_noise: Any,
    pulse_count: Any,
    seed: Any,
) -> None:
    tiles, batch, ins = x.shape
    outs = d.shape[2]
    length = np.empty((tiles, batch), np.float32)
    x_sign, x_counts = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    d_sign, d_counts = np.empty(d.shape, np.float32), np.empty(d.shape, np.float32)
    x_bits = np.empty((tiles, batch, 1, ins), np.uint64)
    d_bits = np.empty((tiles, batch, 1, outs), np.uint64)
    _draw(
        x,
        d,
        rates,
        granularity,
        longest,
        grad_scale,
        is_fixed,
        is_managed,
        are_lengths_managed,
        x_seed,
        d_seed,
        _FIRST,
        length,
        x_sign,
        d_sign,
        x_bits,
        d_bits,
        x_counts,
        d_counts,
    )
    is_exact = engine == 1
    if engine == 0:
        is_exact = not mean_pulses(x_counts, d_counts, length, True) >= many
    if is_exact:
        listed, columns, numbers = _list(x_bits, x_sign)
        _send_exactly(
            listed,
            columns,
            numbers,
            d_bits,
            d_sign,
            tile_of_train,
            law,
            weight,
            visible,
            max_bound,
            min_bound,
            scale_up,
            scale_down,
            shape_up,
            shape_down,
            reference,
            constants,
            nodes_up,
            nodes_down,
            write_noise,
            pulse_count,
            seed,
            _FIRST,
            _BOTH,
        )
        return
    most = float(length.max()) if length.size > 0 else 0.0
    _send_aggregated(
        _halves(x_bits, most),
        _halves(d_bits, most),
        x_sign,
        d_sign,
        most,
        tile_of_train,
        law,
        weight,
        visible,
        max_bound,
        min_bound,
        scale_up,
        scale_down,
        shape_up,
        shape_down,
        reference,
        constants,
        nodes_up,
        nodes_down,
        write_noise,
        pulse_count,
        seed,
        _FIRST,
        _BOTH,
    )


@njit(cache=True)
def _halves(bits: Any, longest: Any) -> Any:
    """Return slots 32 to a word, where the second half of a word may hold any."""
    kernels, batch, _, lines = bits.shape
    halves = 1 if longest <= _HALF else 2
    words = np.empty((kernels, batch, halves, lines), np.uint32)
    for k in range(kernels):
        for b in range(batch):
            for half in range(halves):
                for line in range(lines):
                    words[k, b, half, line] = uint32(bits[k, b, 0, line] >> uint64(_HALF * half))
    return words
