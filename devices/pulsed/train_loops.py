"""How long and how likely the pulses of every vector are, and which slots hold one: compiled loops over vectors.

The rules are those of `pulse_trains`, in float32 and in aihwkit's order of operations.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from .random_numbers import start
from .slots import draw_train
from .threaded_loops import threaded


@threaded(lambda x, d, *rest: x.size + d.size, error_model="numpy")
def prepare(
    x: Any,
    d: Any,
    rates: Any,
    rules: Any,
    lengths: Any,
    p_x: Any,
    p_d: Any,
    x_sign: Any,
    d_sign: Any,
) -> None:
    """Write the length of every vector's trains, the probability of a pulse on every line, and signs."""
    tiles, batch, _ = x.shape
    for v in prange(tiles * batch):
        t, b = v // batch, v % batch
        lengths[t, b], for_x, for_d = manage(
            largest(x[t, b]),
            largest(d[t, b]),
            rates[t, b],
            rules,
        )
        _scale(x[t, b], for_x, p_x[t, b], x_sign[t, b])
        _scale(d[t, b], for_d, p_d[t, b], d_sign[t, b])


@njit(cache=True, error_model="numpy")
def _scale(values: Any, factor: Any, p: Any, sign: Any) -> None:
    zero, one = np.float32(0.0), np.float32(1.0)
    for j in range(len(values)):
        p[j] = abs(values[j]) * factor
        sign[j] = one if values[j] >= zero else -one


@njit(cache=True, error_model="numpy")
def manage(
    x_max: Any,
    d_max: Any,
    rate: Any,
    rules: Any,
) -> Any:
    """Return the length of one vector's trains, and what |x| and |d| are multiplied with.

    Args:
        x_max: Size of the largest input.
        d_max: Size of the largest gradient.
        rate: Learning rate.
        rules: See `pulse_trains.rules_of`.
    """
    is_fixed, is_managed, are_lengths_managed = rules[3:]
    granularity, longest, grad_scale = np.float32(rules[0]), np.float32(rules[1]), np.float32(rules[2])
    zero, one = np.float32(0.0), np.float32(1.0)
    length = longest
    gain = np.sqrt(rate / (granularity * longest))
    if not is_fixed and not are_lengths_managed and granularity * longest < rate:
        length, gain = max(np.ceil(rate / granularity), one), one
    is_empty = x_max == zero or d_max == zero
    for_x, for_d = gain, gain
    if is_empty:
        length = zero
    if (is_managed or are_lengths_managed) and is_empty:
        for_x = for_d = one
    elif is_managed or are_lengths_managed:
        scaled = grad_scale * d_max
        expected = rate * x_max * scaled / granularity
        if are_lengths_managed:
            length = np.ceil(expected)
            length = longest if length > longest else length
            gain = np.sqrt(rate / (granularity * (one if length < one else length)))
        if expected > longest:
            scaled = scaled * longest / expected
        for_d, for_x = gain * np.sqrt(x_max / scaled), gain * np.sqrt(scaled / x_max)
    return length, for_x, for_d


@njit(cache=True)
def empty_trains(x: Any, d: Any) -> Any:
    """Return memory for trains: lengths, signs, slots and numbers of pulses, of word and bit lines each."""
    tiles, batch, ins = x.shape
    outs = d.shape[2]
    return (
        np.empty((tiles, batch), np.float32),
        np.empty(x.shape, np.float32),
        np.empty(d.shape, np.float32),
        np.empty((tiles, batch, 1, ins), np.uint64),
        np.empty((tiles, batch, 1, outs), np.uint64),
        np.empty(x.shape, np.float32),
        np.empty(d.shape, np.float32),
    )


@threaded(lambda x, d, *rest: 4 * (x.size + d.size), error_model="numpy")
def draw(
    x: Any,
    d: Any,
    rates: Any,
    rules: Any,
    x_seed: Any,
    d_seed: Any,
    first_tile: Any,
    trains: Any,
) -> None:
    """Draw the trains of all vectors, no longer than a machine word each: one rate, or one for each vector."""
    lengths, x_sign, d_sign, x_bits, d_bits, x_counts, d_counts = trains
    tiles, batch, inputs = x.shape
    is_one_rate = rates.size == 1
    for v in prange(tiles * batch):
        t, b = v // batch, v % batch
        length, for_x, for_d = manage(
            largest(x[t, b]),
            largest(d[t, b]),
            rates[0, 0] if is_one_rate else rates[t, b],
            rules,
        )
        lengths[t, b] = length
        p_x, p_d = np.empty(inputs, np.float32), np.empty(d.shape[2], np.float32)
        _scale(x[t, b], for_x, p_x, x_sign[t, b])
        _scale(d[t, b], for_d, p_d, d_sign[t, b])
        stream = first_tile * batch + v
        draw_train(x_bits[t, b], x_counts[t, b], p_x, length, start(x_seed, stream))
        draw_train(d_bits[t, b], d_counts[t, b], p_d, length, start(d_seed, stream))


@njit(cache=True, error_model="numpy")
def largest(values: Any) -> Any:
    """Return the largest size; NaN if any number is."""
    most, total = np.float32(0.0), np.float32(0.0)
    for k in range(len(values)):
        size = abs(values[k])
        most = max(most, size)
        total += size
    return most if total == total else total


@njit(cache=True, error_model="numpy")
def mean_pulses(x_pulses: Any, d_pulses: Any, length: Any, is_stochastic: Any) -> Any:
    """Return how many pulses a device receives on average."""
    tiles, batch, inputs = x_pulses.shape
    total = 0.0
    for t in range(tiles):
        for b in range(batch):
            x, d = np.abs(x_pulses[t, b]).sum(), np.abs(d_pulses[t, b]).sum()
            total += x * d / (max(length[t, b], np.float32(1.0)) if is_stochastic else np.float32(1.0))
    return total / max(tiles * inputs * d_pulses.shape[2], 1)
