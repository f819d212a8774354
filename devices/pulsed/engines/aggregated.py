"""The aggregated update: all pulses that one vector sends to a device at once, vector after vector.

A device receives as many pulses as slots hold one on both of its lines. Those of one vector all go the same way, and
between two of them nobody looks at the weight, so that n of them are one step of known mean and spread:

    affine laws      v <- v + f ((1 + s)**n - 1) / s + sqrt(n) g (1 + s)**(n - 1) xi     f the first step, 1 + s its
    curved laws      v <- v + n f + sqrt(n) g f / f_0 xi       f, g half-way, f_0 first  factor from pulse to pulse

Lines are shared, and the order of the vectors is kept. Mean and variance of affine steps can be followed exactly from
vector to vector: so the noise of `_RUN` vectors is one normal draw, for every device that stays away from its bounds.
Else every vector has its own noise, and bounds do to it what they do to single pulses (`bounds`). Where the step
changes much within one vector, pulses are taken one by one.

Devices lie side by side in blocks (`lanes`), and every loop over a block is one that the processor does 8 or 16 of
them at a time: about a nanosecond for a device and vector, whether it is pulsed or not. Where noise is a vector's own
and few devices are pulsed, these are taken out first (`few`).
"""

from typing import Any

import numpy as np
import torch
from numba import njit, prange, uint32, uint64
from torch import Tensor

from ...parts import first_tile, most
from ..arrays import as_arrays, lent
from ..device_array import DeviceArray
from ..laws import Law
from ..looks import NONE, Looks
from ..pulse_trains import PulseTrains
from ..random_numbers import start, word
from ..threaded_loops import borrowed, threaded
from .affine import begin_run, end_run, follow_affine, follow_constant, step_affine
from .aggregated_torch import apply_in_torch
from .bounds import add_noise, arrive, mark_steep, reflect
from .curved import prepare_curved, step_curved
from .few import list_pulsed, put_back, take_out
from .lanes import (
    CHANGE,
    DOWN,
    LANES,
    MAX,
    MIN,
    MOVED,
    NOISE,
    SHAPE_DOWN,
    SHAPE_UP,
    SIZE,
    UP,
    N,
    V,
    columns_of_block,
    count,
    count_listed,
    gather,
    load,
    prepare_affine,
    store,
)
from .single_pulses import pulse_one_by_one

_HALF = 32  # slots that are counted together
# A vector's pulses are taken at once where the step changes by less than this part of itself on the way: what is left
# out of the sum is then below 0.1 % of the step (affine: four terms of the binomial series) or 0.4 % (curved).
_MOST_CHANGE_AFFINE, _MOST_CHANGE_CURVED = 0.5, 0.2
# Where single pulses go back more rarely than once in 40 the last one decides whether a weight ends at its bound.
_QUIET = 0.5
# Vectors whose noise is drawn at once. assumed: longer runs save little, and come near the bounds more often.
_RUN = 64
# Where one device in so many has steps that are too steep, the whole block goes vector by vector. assumed.
_MANY = 4
# Where a vector pulses one device in so many, these are taken out of their block (measured).
_FEW = 2

_CONSTANT, _LINEAR, _LINEAR_ADD = int(Law.CONSTANT_STEP), int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


def apply_aggregated(
    devices: DeviceArray,
    trains: PulseTrains,
    seed: int,
    polarity: int,
    tile_of_train: Tensor,
    rng: torch.Generator,
    looks: Looks = NONE,
) -> None:
    """Give every device the pulses of each vector at once.

    Args:
        devices: The devices.
        trains: The trains of each kernel, stochastic.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
        rng: Knows which tiles these are.
        looks: Lines that are looked at in between; on the CPU only.
    """
    if trains.x_bits is None or trains.d_bits is None or devices.weight.device.type != "cpu":
        apply_in_torch(devices, trains, seed, polarity, tile_of_train)
        return
    longest = most(float(trains.length.max()) if trains.length.numel() else 0.0, rng)
    x_bits, d_bits = (bits.contiguous().numpy().view(np.uint64) for bits in (trains.x_bits, trains.d_bits))
    apply(
        halves(x_bits, longest),
        halves(d_bits, longest),
        trains.x_sign.contiguous().numpy(),
        trains.d_sign.contiguous().numpy(),
        longest,
        tile_of_train.numpy(),
        as_arrays(devices),
        tuple(looks),
        np.uint64(seed),
        first_tile(rng),
        polarity,
    )


@threaded(lambda bits, longest: bits.size)
def halves(bits: Any, longest: Any) -> Any:
    """Return slots 32 to a word, of which the processor counts 8 or 16 at a time: (kernels, batch, words, lines).

    Args:
        bits: (kernels, batch, words, lines) slots 64 to a word.
        longest: Slots of the longest train; the second halves of words that hold one are left out up to 32.
    """
    kernels, batch, words, lines = bits.shape
    both = 1 if longest <= _HALF else 2
    parts = np.empty((kernels, batch, both * words, lines), np.uint32)
    for v in prange(kernels * batch):
        k, b = v // batch, v % batch
        for half in range(both):
            for w in range(words):
                for line in range(lines):
                    parts[k, b, half * words + w, line] = uint32(bits[k, b, w, line] >> uint64(_HALF * half))
    return parts


@threaded(lambda x_bits, d_bits, *rest: d_bits.size * x_bits.shape[3], error_model="numpy")
def apply(
    x_bits: Any,
    d_bits: Any,
    x_sign: Any,
    d_sign: Any,
    longest: Any,
    tile_of_train: Any,
    devices: Any,
    looks: Any,
    seed: Any,
    first_tile: Any,
    polarity: Any,
) -> None:
    """Do the work of `apply_aggregated`, with slots 32 to a word and devices as `arrays.as_arrays` gives them."""
    devices = lent(devices)
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    vectors, lines, are_columns, seen = looks
    tiles, outs, ins = weight.shape
    # Every array that a loop hands on, once for each block and vector.
    x_bits, d_bits, x_sign, d_sign = borrowed(x_bits), borrowed(d_bits), borrowed(x_sign), borrowed(d_sign)
    columns = columns_of_block(ins)
    rows = min(max(LANES // max(columns, 1), 1), outs)
    across, down = (ins + columns - 1) // max(columns, 1), (outs + rows - 1) // rows
    batch, std = x_bits.shape[1], constants[0]
    is_affine = law in (_CONSTANT, _LINEAR, _LINEAR_ADD, _SOFT, _SOFT_ADD)
    is_additive = law in (_LINEAR_ADD, _SOFT_ADD)
    for block in prange(tiles * down * across):
        t, rest = block // (down * across), block % (down * across)
        first, left = rest // across * rows, rest % across * columns
        last, right = min(first + rows, outs), min(left + columns, ins)
        k = tile_of_train[t]
        lanes = (last - first) * (right - left)
        numbers, lists = np.zeros(SIZE, np.float32), np.empty((2, LANES), np.int32)
        s, listed, places = borrowed(numbers), borrowed(lists[0]), borrowed(lists[1])
        load(s, V, weight[t], first, last, left, right)
        load(s, MAX, max_bound[t], first, last, left, right)
        load(s, MIN, min_bound[t], first, last, left, right)
        load(s, UP, scale_up[t], first, last, left, right)
        load(s, DOWN, scale_down[t], first, last, left, right)
        if shape_up.size > 0:
            load(s, SHAPE_UP, shape_up[t], first, last, left, right)
            load(s, SHAPE_DOWN, shape_down[t], first, last, left, right)
        if reference.size > 0:
            load(s, MOVED, reference[t], first, last, left, right)
            for j in range(lanes):
                s[j] += s[int(MOVED) + j]
        steep = 0
        if is_affine:
            steep = prepare_affine(s, lanes, law, np.float32(_MOST_CHANGE_AFFINE / max(longest, 1.0)))
        else:
            prepare_curved(s, lanes, law, constants, len(nodes_up) - 1)
        is_quiet = is_affine and std <= _QUIET and _MANY * steep <= lanes
        few_numbers = np.empty(0 if is_quiet else SIZE, np.float32)
        few = borrowed(few_numbers)
        state = start(seed, first_tile * (down * across) + block)
        begin = end = look = 0
        while end < batch:
            begin, end = end, min(end + _RUN, batch) if is_quiet else batch
            if look < len(vectors):
                end = min(end, vectors[look] + 1)
            if is_quiet:
                begin_run(s, lanes)
            for b in range(begin, end):
                if not count(
                    s,
                    x_bits[k, b],
                    d_bits[k, b],
                    x_sign[k, b],
                    d_sign[k, b],
                    first,
                    last,
                    left,
                    right,
                    polarity,
                ):
                    continue
                if not is_quiet:
                    pulsed = list_pulsed(s, lanes, places)
                    are_few = _FEW * pulsed <= lanes
                    if are_few:
                        take_out(few, s, places[:pulsed], is_affine, shape_up.size > 0)
                    state = _vector(
                        few if are_few else s,
                        pulsed if are_few else lanes,
                        state,
                        listed,
                        places[: pulsed if are_few else 0],
                        law,
                        is_affine,
                        is_additive,
                        steep > 0,
                        constants,
                        nodes_up,
                        nodes_down,
                    )
                    if are_few:
                        put_back(s, few, places[:pulsed])
                elif law == _CONSTANT:
                    follow_constant(s, lanes)
                else:
                    follow_affine(s, lanes, std, is_additive)
            number = 0
            if is_quiet:
                state, key = word(state)
                number = end_run(s, lanes, key, std, listed)
            near = np.empty(SIZE if number > 0 else 0, np.float32)
            if number > 0:
                gather(near, s, listed, number)
            for b in range(begin, end if number > 0 else begin):
                if count_listed(
                    near,
                    listed,
                    number,
                    x_bits[k, b],
                    d_bits[k, b],
                    x_sign[k, b],
                    d_sign[k, b],
                    first,
                    left,
                    right - left,
                    polarity,
                ):
                    state = _vector(
                        near,
                        number,
                        state,
                        listed,
                        places[:0],
                        law,
                        True,
                        is_additive,
                        steep > 0,
                        constants,
                        nodes_up,
                        nodes_down,
                    )
            for j in range(number):
                s[listed[j]] = near[j]
            while look < len(vectors) and vectors[look] == end - 1:
                state = store(
                    s,
                    state,
                    t,
                    first,
                    last,
                    left,
                    right,
                    weight,
                    visible,
                    reference,
                    write_noise,
                    pulse_count,
                    lines[look],
                    are_columns,
                )
                line = lines[look]
                shown = visible if visible.size > 0 else weight
                if are_columns and left <= line < right:
                    for i in range(first, last):
                        seen[t, look, i] = shown[t, i, line]
                elif not are_columns and first <= line < last:
                    for j in range(left, right):
                        seen[t, look, j] = shown[t, line, j]
                look += 1
        everything = -1, True
        store(
            s,
            state,
            t,
            first,
            last,
            left,
            right,
            weight,
            visible,
            reference,
            write_noise,
            pulse_count,
            *everything,
        )
        # What was borrowed from lives until here.
        listed[0] = np.int32(numbers.size + lists.size + few_numbers.size)


@njit(cache=True, error_model="numpy")
def _vector(  # type: ignore[no-untyped-def]
    s, lanes, state, listed, places, law, is_affine, is_additive, is_steep, constants, nodes_up, nodes_down
):
    """Move a block by the pulses of one vector, which are counted: the next state of the noise."""
    std, marked = constants[0], 0
    state, key = word(state)
    if is_affine:
        step_affine(s, lanes, std, is_additive)
        if is_steep:
            marked = mark_steep(s, lanes, _MOST_CHANGE_AFFINE)
    else:
        step_curved(s, lanes, law, constants, nodes_up, nodes_down)
        marked = mark_steep(s, lanes, _MOST_CHANGE_CURVED)
    if std > 0.0:
        add_noise(s, lanes, key, places)
        if std > _QUIET:
            state = reflect(s, lanes, state, listed)
    for k in range(lanes if marked > 0 else 0):
        j = np.uint64(k)
        if s[CHANGE + j] < 0.0:
            n, down = s[N + j], -s[DOWN + j] if is_affine else s[DOWN + j]
            state, s[MOVED + j] = pulse_one_by_one(
                state,
                int(abs(n)),
                n > 0.0,
                law,
                s[V + j],
                np.float32(0.0),
                s[UP + j],
                down,
                s[SHAPE_UP + j],
                s[SHAPE_DOWN + j],
                s[MAX + j],
                s[MIN + j],
                constants,
                nodes_up,
                nodes_down,
            )
            s[NOISE + j] = np.float32(0.0)
    arrive(s, lanes)
    return state
