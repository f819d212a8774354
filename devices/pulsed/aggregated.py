"""The aggregated update: what a whole batch of pulses does to a device, with the statistics of the exact update.

1. Line counts. The pulses a_j on a word line and b_i on a bit line are drawn; devices of a row or column share them.
2. Coincidences. Given the counts, a device receives a hypergeometric number of pulses from a train of `length` slots:
   mean a b / length, variance a (length - a) b (length - b) / (length**2 (length - 1)). Both are products of a
   word-line and a bit-line factor, so sums over the batch are matrix products; the sign tells up from down.
3. Response. Pulses up and down are mixed at random in time, so the weight flows along the mean of both steps,
   n_up f_up - n_down f_down, and diffuses with the cycle-to-cycle noise, n_up g_up**2 + n_down g_down**2. Linear laws
   flow in closed form; others by the midpoint rule, in as many parts as keep the change within `_PART` of the weight
   over which the step changes.
4. Bounds. A weight that stops at a bound at every pulse is a random walk reflected there. Its end is that of the free
   walk, less by what the free walk's maximum exceeds the bound; and the maximum of a Brownian bridge is known in
   closed form (Karatzas and Shreve, "Brownian Motion and Stochastic Calculus", section 2.8), less by 0.5826 steps
   because pulses come one at a time (Chernoff, Ann. Math. Stat. 36 (1965); Siegmund, Adv. Appl. Probab. 11 (1979)).
"""

from math import expm1, log, log1p, sqrt
from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from .aggregated_torch import respond
from .device_array import DeviceArray
from .exact import as_arrays
from .laws import Law, step
from .pulse_trains import PulseTrains
from .random_numbers import count, normal, start, uniform
from .threaded_loops import threaded

# Largest part of the weight's natural scale that one flow may cross. assumed: chosen so that the error of the mean,
# which falls with its square, stays below a hundredth of the scale (tests/statistics measures it).
_PART = 0.2
_MOST_PARTS = 256
_DISCRETE = 0.5826
# A walk's highest point exceeds `room` with the probability exp(-2 room (room - end) / variation): here, never.
_NEVER = 10.0

_EXP, _POW, _PIECEWISE = int(Law.EXP_STEP), int(Law.POW_STEP), int(Law.PIECEWISE_STEP)
_LINEAR, _LINEAR_ADD = int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


def apply_aggregated(
    devices: DeviceArray, trains: PulseTrains, seed: int, polarity: int, tile_of_train: Tensor
) -> None:
    """Give every device the pulses of a whole batch at once.

    Args:
        devices: The devices.
        trains: The trains of each kernel, stochastic.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
    """
    moments = coincidences(trains)
    if devices.weight.device.type == "cpu":
        arrays = (moment.numpy() for moment in moments)
        _respond(*arrays, tile_of_train.numpy(), *as_arrays(devices), np.uint64(seed), polarity)
    else:
        tile_of_train = tile_of_train.to(devices.weight.device)
        respond(devices, [moment[tile_of_train] for moment in moments], seed, polarity)


def coincidences(trains: PulseTrains) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the moments of the pulses on each device, summed over the batch.

    Returns:
        Mean of all pulses, mean of those down less those up, and the variances of both kinds likewise: sum and
        difference; (kernels, out, in) each.
    """
    length = trains.length[..., None]
    share = torch.where(length > 0, 1 / length.clamp(min=1), torch.zeros_like(length))
    x, d = trains.x_pulses, trains.d_pulses
    x_spread = x * (length - x)
    d_spread = d * (length - d) * share.square() / (length - 1).clamp(min=1)
    d = d * share

    def sum_products(of_d: Tensor, of_x: Tensor) -> Tensor:
        return torch.bmm(of_d.transpose(1, 2), of_x).contiguous()

    return (
        sum_products(d, x),
        sum_products(d * trains.d_sign, x * trains.x_sign),
        sum_products(d_spread, x_spread),
        sum_products(d_spread * trains.d_sign, x_spread * trains.x_sign),
    )


@njit(cache=True, inline="always")
def _scale(law, shape_u, shape_d, mx, mn, constants, sections):  # type: ignore[no-untyped-def]
    """Return over which weight the step changes by its own size, of laws that are not linear."""
    width = mx - mn
    if law == _EXP:
        steepest = 2.0 * abs(constants[5]) * max(abs(constants[3]), abs(constants[4]))
        return width / steepest if steepest > 0.0 else np.inf
    if law == _POW:
        return width / max(shape_u, shape_d, 1.0)
    return width / sections if sections > 0 else np.inf


@njit(cache=True, inline="always")
def _log1p(x):  # type: ignore[no-untyped-def]
    """Return log(1 + x), of small numbers by its series, which is five times as fast."""
    if abs(x) < 0.01:
        return x * (1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)))
    return log1p(max(x, -0.999999))


@njit(cache=True, inline="always")
def _expm1(x):  # type: ignore[no-untyped-def]
    """Return exp(x) - 1, of small numbers by its series."""
    if abs(x) < 0.02:
        return x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x / 24.0)))
    return expm1(x)


@njit(cache=True, inline="always")
def _linear_flow(v, n_u, n_d, su, sd, slope_u, slope_d, mx, mn, std, is_additive):  # type: ignore[no-untyped-def]
    """Return the mean change by n_u pulses up and n_d down, mixed, the variance of noise, and both steps half-way.

    Every pulse multiplies the distance to the fixed point by 1 + slope, many by the product of these.
    """
    f_u, f_d = su + slope_u * v, sd + slope_d * v
    change, damping = n_u * f_u - n_d * f_d, 1.0
    if slope_u != 0.0 or slope_d != 0.0:
        slope = n_u * slope_u - n_d * slope_d
        growth = n_u * _log1p(slope_u) + n_d * _log1p(-slope_d)
        grown = _expm1(growth)
        if abs(slope) > 1e-9:
            change *= grown / slope
        if abs(growth) > 1e-9:
            damping = grown * (grown + 2.0) / (2.0 * growth)
        middle = min(max(v + 0.5 * change, mn), mx)
        f_u, f_d = su + slope_u * middle, sd + slope_d * middle
    g_u, g_d = (su, sd) if is_additive else (f_u, f_d)
    return change, std * std * (n_u * g_u * g_u + n_d * g_d * g_d) * damping, f_u, f_d


@njit(cache=True)
def _midpoint_flow(law, v, n_u, n_d, su, sd, shape_u, shape_d, mx, mn, constants, up, down):  # type: ignore[no-untyped-def]
    """Return what `_linear_flow` does, for any law, by the midpoint rule."""
    f_u, _ = step(law, v, True, su, shape_u, mx, mn, constants, up)
    f_d, _ = step(law, v, False, sd, shape_d, mx, mn, constants, down)
    middle = min(max(v + 0.5 * (n_u * f_u - n_d * f_d), mn), mx)
    f_u, g_u = step(law, middle, True, su, shape_u, mx, mn, constants, up)
    f_d, g_d = step(law, middle, False, sd, shape_d, mx, mn, constants, down)
    return n_u * f_u - n_d * f_d, n_u * g_u * g_u + n_d * g_d * g_d, f_u, f_d


@njit(cache=True, inline="always")
def _excess(state, end, variation, pulse_std, room):  # type: ignore[no-untyped-def]
    """Draw by how much the highest point of a walk from 0 to `end` exceeds `room`: the next state, and the excess."""
    if room * (room - end) > _NEVER * variation:
        return state, 0.0
    state, u = uniform(state)
    highest = 0.5 * (end + sqrt(end * end - 2.0 * variation * log(u)))
    return state, max(max(highest - _DISCRETE * pulse_std, end) - room, 0.0)


@njit(cache=True, inline="always")
def _wander(state, v, change, variance, f_u, f_d, n_u, n_d, mx, mn):  # type: ignore[no-untyped-def]
    """Add noise to a mean change, and reflect the walk at the bounds: the next state, and the weight."""
    if variance > 0.0:
        state, xi = normal(state)
        change += sqrt(variance) * xi
    # Pulses up and down come in random order: that, too, makes the weight wander on its way.
    pulses = n_u + n_d
    variation = variance + 4.0 * abs(f_u * f_d) * n_u * n_d / pulses
    pulse_std = sqrt(variation / pulses)
    state, above = _excess(state, change, variation, pulse_std, mx - v)
    state, below = _excess(state, -change, variation, pulse_std, v - mn)
    return state, min(max(v + change - (above if above > 0.0 else -below), mn), mx)


@njit(cache=True)
def many_pulses(  # type: ignore[no-untyped-def]
    state, law, v, n_u, n_d, su, sd, shape_u, shape_d, mx, mn, constants, up, down
):
    """Move one device by many pulses: the next state, and the weight."""
    v = min(max(v, mn), mx)  # the first pulse does it
    if law not in (_EXP, _POW, _PIECEWISE):
        slope_u = slope_d = 0.0
        if law in (_LINEAR, _LINEAR_ADD):
            slope_u, slope_d = shape_u, shape_d
        elif law in (_SOFT, _SOFT_ADD):
            slope_u = -su / mx if mx > 0.0 else 0.0
            slope_d = -sd / mn if mn < 0.0 else 0.0
        change, variance, f_u, f_d = _linear_flow(
            v, n_u, n_d, su, sd, slope_u, slope_d, mx, mn, constants[0], law in (_LINEAR_ADD, _SOFT_ADD)
        )
        return _wander(state, v, change, variance, f_u, f_d, n_u, n_d, mx, mn)
    scale = _PART * _scale(law, shape_u, shape_d, mx, mn, constants, len(up) - 1)
    left = 1.0
    for part in range(_MOST_PARTS):
        share = left
        if scale < np.inf:
            f_u, g_u = step(law, v, True, su, shape_u, mx, mn, constants, up)
            f_d, g_d = step(law, v, False, sd, shape_d, mx, mn, constants, down)
            mean, variance = n_u * abs(f_u) + n_d * abs(f_d), n_u * g_u * g_u + n_d * g_d * g_d
            if share * mean > scale:
                share = scale / mean
            if share * variance > scale * scale:
                share = scale * scale / variance
            share = left if part == _MOST_PARTS - 1 else min(max(share, 1.0 / _MOST_PARTS), left)
        ups, downs = share * n_u, share * n_d
        change, variance, f_u, f_d = _midpoint_flow(
            law, v, ups, downs, su, sd, shape_u, shape_d, mx, mn, constants, up, down
        )
        state, v = _wander(state, v, change, variance, f_u, f_d, ups, downs, mx, mn)
        left -= share
        if left <= 1e-9:
            break
    return state, v


@threaded()
def _respond(
    all_mean: Any,
    net_mean: Any,
    all_variance: Any,
    net_variance: Any,
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
) -> None:
    tiles, outs, ins = weight.shape
    has_shape, has_reference = shape_up.size > 0, reference.size > 0
    counts, has_write_noise = pulse_count.size > 0, visible.size > 0
    for row in prange(tiles * outs):
        t, i = row // outs, row % outs
        k = tile_of_train[t]
        state = start(seed, row)
        shape_u, shape_d, ref = 0.0, 0.0, 0.0
        for j in range(ins):
            mean, variance = all_mean[k, i, j], all_variance[k, i, j]
            if mean <= 0.0:
                continue
            net, net_v = net_mean[k, i, j], net_variance[k, i, j]
            n_u, n_d = 0.0, 0.0
            if polarity >= 0:
                state, n_u = count(state, 0.5 * (mean - net), 0.5 * (variance - net_v))
            if polarity <= 0:
                state, n_d = count(state, 0.5 * (mean + net), 0.5 * (variance + net_v))
            if polarity < 0:
                n_u, n_d = n_d, 0.0
            if n_u + n_d == 0.0:
                continue
            if has_shape:
                shape_u, shape_d = shape_up[t, i, j], shape_down[t, i, j]
            if has_reference:
                ref = reference[t, i, j]
            state, v = many_pulses(
                state,
                law,
                weight[t, i, j] + ref,
                n_u,
                n_d,
                scale_up[t, i, j],
                scale_down[t, i, j],
                shape_u,
                shape_d,
                max_bound[t, i, j],
                min_bound[t, i, j],
                constants,
                nodes_up,
                nodes_down,
            )
            weight[t, i, j] = v - ref
            if counts:
                pulse_count[t, i, j] += int(n_u + n_d)
            if has_write_noise:
                state, xi = normal(state)
                visible[t, i, j] = weight[t, i, j] + write_noise * xi
