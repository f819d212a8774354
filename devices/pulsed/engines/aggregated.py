"""The aggregated update: all pulses that one vector sends to a device at once, vector after vector.

A device receives as many pulses as slots hold one on both of its lines. Those of one vector all go the same way, and
between two of them nobody looks at the weight, so that n of them are one step of known mean and spread:

    affine laws      v <- v + f ((1 + s)**n - 1) / s + sqrt(n) g (1 + s)**(n - 1) xi     f the first step, 1 + s its
    curved laws      v <- v + n f + sqrt(n) g f / f_0 xi       f, g half-way, f_0 first  factor from pulse to pulse

Nothing else is averaged: lines are shared, the order of the vectors is kept, and every vector has its own noise. What
would not be true of n pulses at once is done one by one: where the step changes much on the way, and where the noise
of single pulses can carry a weight beyond a bound, at which every pulse stops.

Rows of devices lie side by side in blocks, and every loop over a block is one that the processor does 8 or 16 devices
at a time: about a nanosecond for a device and vector, whether it is pulsed or not.
"""

from typing import Any

import numpy as np
from numba import njit, prange, uint32
from torch import Tensor

from ..device_array import DeviceArray
from ..laws import Law, curved_steps
from ..pulse_trains import PulseTrains
from ..random_numbers import normal, popcount_32, start, sums_of_bits, word
from ..threaded_loops import borrowed, threaded
from .aggregated_torch import apply_in_torch
from .bursts import natural_slope
from .exact import as_arrays, move

# Devices of a block: enough for loops that take 16 at a time, few enough that all of it stays in the fastest memory.
_LANES = 512
# A vector's pulses are taken at once where the step changes by less than this part of itself on the way: what is left
# out of the sum is then below 0.1 % of the step (affine: four terms of the binomial series) or 0.4 % (curved).
_MOST_CHANGE_AFFINE, _MOST_CHANGE_CURVED = 0.5, 0.2
# Where single pulses go back more rarely than once in 40 the last one decides whether a weight ends at its bound.
_QUIET = 0.5
# Out of reach of a walk: it gets further than three times its spread once in 400 times, and then not by much.
_REACH = 3.0

_CONSTANT, _LINEAR, _LINEAR_ADD = int(Law.CONSTANT_STEP), int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


def apply_aggregated(
    devices: DeviceArray, trains: PulseTrains, seed: int, polarity: int, tile_of_train: Tensor
) -> None:
    """Give every device the pulses of each vector at once.

    Args:
        devices: The devices.
        trains: The trains of each kernel, stochastic.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
    """
    if trains.x_bits is None or trains.d_bits is None or devices.weight.device.type != "cpu":
        apply_in_torch(devices, trains, seed, polarity, tile_of_train)
        return
    _, outs, ins = devices.shape
    rows = min(max(_LANES // max(ins, 1), 1), outs)
    longest = float(trains.length.max()) if trains.length.numel() else 0.0
    _apply(
        _halves(trains.x_bits, longest),
        _halves(trains.d_bits, longest),
        trains.x_sign.contiguous().numpy(),
        trains.d_sign.contiguous().numpy(),
        longest,
        tile_of_train.numpy(),
        *as_arrays(devices),
        np.uint64(seed),
        polarity,
        rows,
    )


def _halves(bits: Tensor, longest: float) -> Any:
    """Return slots 32 to a word: 16 of those are counted at a time. (kernels, batch, words, lines)."""
    words = bits.contiguous().numpy().view(np.uint64)
    low = words.astype(np.uint32)
    return low if longest <= 32 else np.concatenate([low, (words >> np.uint64(32)).astype(np.uint32)], axis=2)


@threaded(lambda x_bits, d_bits, *rest: d_bits.size * x_bits.shape[3], error_model="numpy")
def _apply(
    x_bits: Any,
    d_bits: Any,
    x_sign: Any,
    d_sign: Any,
    longest: Any,
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
    polarity: Any,
    rows: Any,
) -> None:
    tiles, outs, ins = weight.shape
    constants, nodes_up, nodes_down = borrowed(constants), borrowed(nodes_up), borrowed(nodes_down)
    blocks = (outs + rows - 1) // rows
    batch, std = x_bits.shape[1], constants[0]
    has_noise, has_reference = std > 0.0, reference.size > 0
    is_affine = law in (_CONSTANT, _LINEAR, _LINEAR_ADD, _SOFT, _SOFT_ADD)
    is_additive = law in (_LINEAR_ADD, _SOFT_ADD)
    for block in prange(tiles * blocks):
        t, first = block // blocks, block % blocks * rows
        last = min(first + rows, outs)
        k = tile_of_train[t]
        lanes = (last - first) * ins
        w = weight[t, first:last].reshape(lanes)
        mx, mn = max_bound[t, first:last].reshape(lanes), min_bound[t, first:last].reshape(lanes)
        up, down = scale_up[t, first:last].reshape(lanes), scale_down[t, first:last].reshape(lanes)
        shape_u, shape_d, ref = up, down, up  # whatever: not looked at by laws that have none
        if shape_up.size > 0:
            shape_u = shape_up[t, first:last].reshape(lanes)
            shape_d = shape_down[t, first:last].reshape(lanes)
        v, moved = w.copy(), np.empty(lanes, np.float32)
        if has_reference:
            ref = reference[t, first:last].reshape(lanes)
            for j in range(lanes):
                v[j] = w[j] + ref[j]
        scratch = np.empty((13, lanes), np.float32)
        n, xi, total, reach, change = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
        # Steps down are negative here: their scale, and the slope over the weight.
        minus_down, slope_u, slope_d = scratch[5], scratch[6], scratch[7]
        scale, shape, f_0, f, g = scratch[8], scratch[9], scratch[10], scratch[11], scratch[12]
        steepness = slope_u
        total[:] = np.float32(0.0)
        is_careful = True
        if is_affine:
            _slopes(law, up, down, shape_u, shape_d, mx, mn, minus_down, slope_u, slope_d)
            steepest = max(np.abs(slope_u).max(), np.abs(slope_d).max())
            is_careful = std > _QUIET or steepest * longest > _MOST_CHANGE_AFFINE
        else:
            _steepness(steepness, law, shape_u, shape_d, mx, mn, constants, len(nodes_up) - 1)
        noisy = std if std > _QUIET else np.float32(0.0)
        state = start(seed, block)
        for b in range(batch):
            state, key = word(state)
            if not _count(n, total, x_bits[k, b], d_bits[k, b], x_sign[k, b], d_sign[k, b], first, polarity):
                continue
            _draw_noise(xi, n, key, has_noise)
            marked = 0
            if is_affine:
                _affine(moved, v, n, xi, up, minus_down, slope_u, slope_d, std, is_additive)
                if is_careful:
                    _affine_changes(change, n, slope_u, slope_d)
                    _affine_reach(reach, v, n, up, minus_down, slope_u, slope_d, noisy, is_additive)
                    marked = _mark(change, reach, v, n, mx, mn, _MOST_CHANGE_AFFINE)
            else:
                _choose(scale, n, up, down)
                _choose(shape, n, shape_u, shape_d)
                curved_steps(f_0, law, v, n, scale, shape, mx, mn, constants, nodes_up, nodes_down)
                _half_way(moved, v, n, f_0, mx, mn)
                curved_steps(f, law, moved, n, scale, shape, mx, mn, constants, nodes_up, nodes_down)
                _curved_noise(g, moved, f, mx, mn, std, constants[7], constants[8])
                _curved(moved, v, n, xi, f_0, f, g)
                _curved_changes(change, n, f_0, f, g, steepness)
                _curved_reach(reach, n, f, g, std)
                marked = _mark(change, reach, v, n, mx, mn, _MOST_CHANGE_CURVED)
            _keep_within(moved, n, mx, mn)
            for j in range(lanes if marked > 0 else 0):
                if change[j] < 0.0:
                    pulses, zero = int(abs(n[j])), np.float32(0.0)
                    w_0, top, bottom = v[j], mx[j], mn[j]
                    if n[j] > 0.0:
                        state, moved[j] = move(
                            state,
                            pulses,
                            law,
                            w_0,
                            zero,
                            True,
                            up[j],
                            shape_u[j],
                            top,
                            bottom,
                            constants,
                            nodes_up,
                            has_noise,
                        )
                    else:
                        state, moved[j] = move(
                            state,
                            pulses,
                            law,
                            w_0,
                            zero,
                            False,
                            down[j],
                            shape_d[j],
                            top,
                            bottom,
                            constants,
                            nodes_down,
                            has_noise,
                        )
            v, moved = moved, v
        for j in range(lanes):
            if total[j] == 0.0:
                continue
            w[j] = v[j] - ref[j] if has_reference else v[j]
            i, column = first + j // ins, j % ins
            if pulse_count.size > 0:
                pulse_count[t, i, column] += int(total[j])
            if visible.size > 0:
                state, drawn = normal(state)
                visible[t, i, column] = w[j] + write_noise * drawn


# Every loop below writes to one array and reads from at most eight: of more the compiler does not know whether they
# overlap, and takes one device after the other.


@njit(cache=True, error_model="numpy")
def _slopes(law, up, down, shape_u, shape_d, mx, mn, minus_down, slope_u, slope_d):  # type: ignore[no-untyped-def]
    """Write what affine steps are made of, those down with a minus: step at zero, and slope over the weight."""
    for j in range(len(up)):
        minus_down[j] = -down[j]
        slope_u[j] = slope_d[j] = 0.0
        if law in (_LINEAR, _LINEAR_ADD):
            slope_u[j], slope_d[j] = shape_u[j], -shape_d[j]
        elif law in (_SOFT, _SOFT_ADD):
            slope_u[j] = -up[j] / mx[j] if mx[j] > 0.0 else np.float32(0.0)
            slope_d[j] = down[j] / mn[j] if mn[j] < 0.0 else np.float32(0.0)


@njit(cache=True, error_model="numpy")
def _count(n, total, x_bits, d_bits, x_sign, d_sign, first, polarity):  # type: ignore[no-untyped-def]
    """Count the pulses of one vector on every device of a block, those down below zero: whether there are any."""
    words, ins = x_bits.shape
    any_pulse = False
    for row in range(len(n) // ins):
        i = first + row
        of_row = n[row * ins : (row + 1) * ins]
        drawn = uint32(0)
        for w in range(words):
            drawn |= d_bits[w, i]
        if drawn == uint32(0):
            of_row[:] = np.float32(0.0)
            continue
        any_pulse = True
        minus_sign = -d_sign[i]
        bits, lines = d_bits[0, i], x_bits[0]
        for j in range(ins):
            of_row[j] = np.float32(np.int32(popcount_32(lines[j] & bits))) * x_sign[j] * minus_sign
        for w in range(1, words):
            bits, lines = d_bits[w, i], x_bits[w]
            for j in range(ins):
                of_row[j] += np.float32(np.int32(popcount_32(lines[j] & bits))) * x_sign[j] * minus_sign
        if polarity != 0:
            way = np.float32(polarity)
            for j in range(ins):
                of_row[j] = max(of_row[j] * way, np.float32(0.0))
    if any_pulse:
        for j in range(len(n)):
            total[j] += abs(n[j])
    return any_pulse


@njit(cache=True, error_model="numpy")
def _draw_noise(xi, n, key, has_noise):  # type: ignore[no-untyped-def]
    """Draw the noise of every device's pulses, in units of that of one pulse."""
    if not has_noise:
        xi[:] = np.float32(0.0)
        return
    sums_of_bits(xi, key)
    for j in range(len(xi)):
        xi[j] *= np.sqrt(abs(n[j]))


@njit(cache=True, error_model="numpy")
def _affine(moved, v, n, xi, up, minus_down, slope_u, slope_d, std, is_additive):  # type: ignore[no-untyped-def]
    """Move devices with affine steps by n pulses at once, wherever that leads."""
    one, half, third, quarter = np.float32(1.0), np.float32(0.5), np.float32(1.0 / 3.0), np.float32(0.25)
    three = np.float32(3.0)
    for j in range(len(v)):
        # Weighed, not chosen: the compiler would gather numbers one by one.
        is_up = one if n[j] > np.float32(0.0) else np.float32(0.0)
        step_0 = is_up * up[j] + (one - is_up) * minus_down[j]
        s = is_up * slope_u[j] + (one - is_up) * slope_d[j]
        m = abs(n[j])
        first = step_0 + s * v[j]
        # ((1 + s)**m - 1) / s, as the binomial series.
        sum_of_steps = m * (
            one
            + half * (m - one) * s * (one + third * (m - one - one) * s * (one + quarter * (m - three) * s))
        )
        if is_additive:
            noise = step_0 * (one + half * (m - one) * s)
        else:
            noise = first * (one + (m - one) * s * (one + half * (m - one - one) * s))
        moved[j] = v[j] + first * sum_of_steps + std * xi[j] * noise


@njit(cache=True, error_model="numpy")
def _affine_changes(change, n, slope_u, slope_d):  # type: ignore[no-untyped-def]
    """Write by which part of itself the step changes."""
    for j in range(len(n)):
        change[j] = abs(n[j] * (slope_u[j] if n[j] > np.float32(0.0) else slope_d[j]))


@njit(cache=True, error_model="numpy")
def _affine_reach(reach, v, n, up, minus_down, slope_u, slope_d, std, is_additive):  # type: ignore[no-untyped-def]
    """Write how far noisy pulses can carry a weight."""
    for j in range(len(v)):
        is_up = n[j] > np.float32(0.0)
        step_0 = up[j] if is_up else minus_down[j]
        first = step_0 + (slope_u[j] if is_up else slope_d[j]) * v[j]
        m, noise = abs(n[j]), abs(step_0 if is_additive else first)
        far = m * abs(first) + np.float32(_REACH) * std * np.sqrt(m) * noise
        reach[j] = far if std > np.float32(0.0) else np.float32(0.0)


@njit(cache=True, error_model="numpy")
def _mark(change, reach, v, n, mx, mn, most_change):  # type: ignore[no-untyped-def]
    """Set `change` to -1 where pulses are taken one by one: how many devices these are."""
    for j in range(len(v)):
        is_near = min(mx[j] - v[j], v[j] - mn[j]) < reach[j]
        is_steep = change[j] > np.float32(most_change)
        change[j] = (
            np.float32(-1.0) if (is_near or is_steep) and abs(n[j]) > np.float32(1.0) else np.float32(0.0)
        )
    marked = np.float32(0.0)
    for j in range(len(v)):
        marked -= change[j]
    return int(marked)


@njit(cache=True, error_model="numpy")
def _keep_within(moved, n, mx, mn):  # type: ignore[no-untyped-def]
    """Stop devices that were pulsed at their bounds."""
    for j in range(len(n)):
        kept = min(max(moved[j], mn[j]), mx[j])
        moved[j] = moved[j] if n[j] == np.float32(0.0) else kept


@njit(cache=True, error_model="numpy")
def _choose(chosen, n, of_up, of_down):  # type: ignore[no-untyped-def]
    for j in range(len(n)):
        chosen[j] = of_up[j] if n[j] > np.float32(0.0) else of_down[j]


@njit(cache=True, error_model="numpy")
def _half_way(half, v, n, f, mx, mn):  # type: ignore[no-untyped-def]
    """Write the weight half-way between the first and the last of n pulses."""
    for j in range(len(n)):
        pulses = max(abs(n[j]) - np.float32(1.0), np.float32(0.0))
        way = np.float32(0.5) * pulses * (f[j] if n[j] > np.float32(0.0) else -f[j])
        half[j] = min(max(v[j] + way, mn[j]), mx[j])


@njit(cache=True, error_model="numpy")
def _curved_noise(g, w, f, mx, mn, std, std_add, std_slope):  # type: ignore[no-untyped-def]
    for j in range(len(w)):
        more = std_add + std_slope * abs(w[j]) if mx[j] > mn[j] else np.float32(0.0)
        g[j] = std * (abs(f[j]) + more)


@njit(cache=True, error_model="numpy")
def _curved(moved, v, n, xi, f_0, f, g):  # type: ignore[no-untyped-def]
    """Move devices with curved steps by n pulses at once: where steps shrink, so does the noise of earlier ones."""
    one = np.float32(1.0)
    for j in range(len(v)):
        left = f[j] / f_0[j] if f_0[j] > np.float32(0.0) else one
        moved[j] = v[j] + n[j] * f[j] + xi[j] * g[j] * min(left, np.float32(2.0))


@njit(cache=True, error_model="numpy")
def _steepness(steepness, law, shape_u, shape_d, mx, mn, constants, sections):  # type: ignore[no-untyped-def]
    """Write one over the weight on which curved steps change by their own size."""
    for j in range(len(mx)):
        steepness[j] = natural_slope(law, shape_u[j], shape_d[j], mx[j], mn[j], constants, sections)


@njit(cache=True, error_model="numpy")
def _curved_changes(change, n, f_0, f, g, steepness):  # type: ignore[no-untyped-def]
    """Write by which part of itself the step changes: twice what it does until half-way, or as noise spreads it."""
    for j in range(len(f)):
        on_the_way = np.float32(2.0) * abs(f[j] - f_0[j]) / max(abs(f_0[j]), np.float32(1e-12))
        change[j] = max(on_the_way, np.sqrt(abs(n[j])) * g[j] * steepness[j])


@njit(cache=True, error_model="numpy")
def _curved_reach(reach, n, f, g, std):  # type: ignore[no-untyped-def]
    is_noisy = np.float32(1.0) if std > _QUIET else np.float32(0.0)
    for j in range(len(f)):
        m = abs(n[j])
        reach[j] = is_noisy * (m * abs(f[j]) + np.float32(_REACH) * np.sqrt(m) * g[j])
