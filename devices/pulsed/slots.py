"""Which slots of a train hold a pulse, for many lines at once."""

from typing import Any

import numpy as np
import torch
from numba import njit, prange, uint32, uint64
from torch import Tensor

from .random_numbers import hashed, popcount_32, start, word
from .threaded_loops import threaded

SLOTS = 64  # of a machine word
_HALF = 32  # slots that are drawn together
# Binary digits of a probability that are compared, after rounding it at random to the last of them, anew for every
# train: means stay exact, and the variance of a train's pulses grows by less than 32 * 2**-16 of itself.
_DIGITS = 16
# Trains that are not longer compare a number of 32 bits for every slot.
_SHORT = 12


def draw_slots(p: Tensor, length: Tensor, words: int, seed: int, first: int = 0) -> tuple[Tensor, Tensor]:
    """Set every slot with the probability of its line.

    Args:
        p: (tiles, batch, lines) the probabilities.
        length: (tiles, batch) slots of the trains.
        words: Machine words of the longest train.
        seed: Names the draws.
        first: Number of the first tile.

    Returns:
        (tiles, batch, words, lines) slots with a pulse, and (tiles, batch, lines) how many there are.
    """
    tiles, batch, lines = p.shape
    bits = torch.empty(tiles, batch, words, lines, dtype=torch.int64)
    counts = torch.empty(tiles, batch, lines)
    vectors = tiles * batch
    _draw_bits(
        p.contiguous().numpy().reshape(vectors, lines),
        length.contiguous().numpy().reshape(vectors),
        np.uint64(seed),
        first * batch,
        bits.numpy().view(np.uint64).reshape(vectors, words, lines),
        counts.numpy().reshape(vectors, lines),
    )
    return bits, counts


@threaded(lambda p, length, seed, first, bits, counts: 4 * bits.size)
def _draw_bits(p: Any, length: Any, seed: Any, first: Any, bits: Any, counts: Any) -> None:
    for v in prange(len(bits)):
        draw_train(bits[v], counts[v], p[v], length[v], start(seed, first + v))


@njit(cache=True, error_model="numpy")
def draw_train(bits, counts, p, length, state):  # type: ignore[no-untyped-def]
    """Draw the trains of one vector.

    Args:
        bits: (words, lines) where slots with a pulse go.
        counts: (lines,) where their numbers go.
        p: (lines,) the probabilities.
        length: Slots.
        state: Of the stream of random numbers.
    """
    words, lines = bits.shape
    left = int(length)
    pulses, digits = np.empty(lines, np.uint32), np.empty(lines, np.uint32)
    counts[:] = np.float32(0.0)
    for w in range(words):
        bits[w] = uint64(0)
        for half in range(2):
            if left > 0:
                slots = min(left, _HALF)
                if slots <= _SHORT:
                    state = _draw_short(pulses, p, slots, state)
                else:
                    state = _draw_long(pulses, digits, p, slots, state)
                _keep(bits[w], counts, pulses, half)
            left -= _HALF


@njit(cache=True, error_model="numpy")
def _draw_short(pulses, p, slots, state):  # type: ignore[no-untyped-def]
    """Draw a number for every slot, which holds a pulse where the number is below the probability."""
    for line in range(len(p)):
        pulses[line] = uint32(0)
    for slot in range(slots):
        state, key = word(state)
        first, second, here = uint32(key), uint32(key >> uint64(32)), uint32(1) << uint32(slot)
        for line in range(len(p)):
            # 31 bits: of signed numbers the processor makes 8 or 16 at a time.
            drawn = np.float32(np.int32(hashed(uint32(line), first, second) >> uint32(8))) * np.float32(
                2.0**-24
            )
            pulses[line] |= here if drawn < p[line] else uint32(0)
    return state


@njit(cache=True, error_model="numpy")
def _draw_long(pulses, digits, p, slots, state):  # type: ignore[no-untyped-def]
    """Draw the binary digits of 32 numbers together, from the last to the first.

    Below a probability are the numbers whose digit is smaller at the first place where they differ: seen from the
    last place, a digit of one lets in those whose digit is zero, a digit of zero keeps out those whose digit is one.
    """
    state, key = word(state)
    first, second = uint32(key), uint32(key >> uint64(32))
    for line in range(len(p)):
        drawn = np.float32(np.int32(hashed(uint32(line), first, second) >> uint32(8))) * np.float32(2.0**-24)
        scaled = min(p[line], np.float32(1.0)) * np.float32(2.0**_DIGITS)
        digits[line] = uint32(np.int32(scaled + drawn))
        pulses[line] = uint32(0)
    for place in range(_DIGITS):
        state, key = word(state)
        first, second = uint32(key), uint32(key >> uint64(32))
        for line in range(len(p)):
            drawn, now = hashed(uint32(line), first, second), pulses[line]
            is_one = uint32(0) - ((digits[line] >> uint32(place)) & uint32(1))
            pulses[line] = (now & drawn) | (is_one & (now ^ drawn))
    whole = uint32(0xFFFFFFFF) >> uint32(_HALF - slots)
    for line in range(len(p)):
        full = uint32(0xFFFFFFFF) if digits[line] >= uint32(1 << _DIGITS) else pulses[line]
        pulses[line] = full & whole
    return state


@njit(cache=True, error_model="numpy")
def draw_word(state, p, length):  # type: ignore[no-untyped-def]
    """Draw the train of one line alone: the next state, and the slots that hold a pulse.

    Every slot compares binary digits of a number with those of the probability, from the first one on, until it has
    found one that differs: of seven slots the last has done so after four digits, most often.

    Args:
        state: Of the stream of random numbers.
        p: The probability; from one on all slots hold a pulse, and nothing is drawn.
        length: Slots, from 1 to 64.
    """
    undecided, pulses = ~uint64(0) >> uint64(SLOTS - length), uint64(0)
    if p >= np.float32(1.0):
        return state, undecided
    digits = uint64(np.float64(p) * 2.0**64) if p > np.float32(0.0) else uint64(0)
    # Where no digits are left, no number is below the probability any more.
    while undecided != uint64(0) and digits != uint64(0):
        state, drawn = word(state)
        if digits >> uint64(63) == uint64(1):
            pulses |= undecided & ~drawn
            undecided &= drawn
        else:
            undecided &= ~drawn
        digits <<= uint64(1)
    return state, pulses


@njit(cache=True, error_model="numpy")
def _keep(bits, counts, pulses, half):  # type: ignore[no-untyped-def]
    """Put 32 slots into one half of a word, and count them."""
    for line in range(len(pulses)):
        bits[line] |= uint64(pulses[line]) << uint64(_HALF * half)
        counts[line] += np.float32(np.int32(popcount_32(pulses[line])))
