"""How far one pulse moves a device: the step laws of aihwkit's pulsed devices.

A pulse moves the weight by f(w) + g(w) xi, up or down, and the weight then stays within the device's bounds; f is the
mean step, g the cycle-to-cycle noise, xi a standard normal number drawn at every pulse. The laws differ in f and g:

    constant step            f = s                                  g = std s
    linear step              f = s + slope w                        g = std f
    linear step, additive    f = s + slope w                        g = std s
    exponential step         f = s max(1 - A exp(+-gamma z), 0)     g = std f, or std (f + add + slope |w|)
                             z = 2 a w / (b_max - b_min) + b
    power step               f = s (distance to the bound / range) ** gamma     g = std f
    piecewise step           f = s times a polygon over the range   g = std f
    soft bounds, reference   f = s (1 - w / bound)                  g = std f, or std s (additive)

with s, slope, gamma and the bounds drawn for every device. Sources: aihwkit 1.1.0, `rpu_*step_device.cpp` and
`rpu_softbounds_reference_device.cpp`. The same laws stand here twice: for one device, compiled for the CPU, and for
tensors on any torch device; a test holds them together.
"""

from collections.abc import Sequence
from enum import IntEnum
from math import exp, floor

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ..units import Dimensionless
from .random_numbers import bits_of, number_of


class Law(IntEnum):
    """Which step law a device follows; a plain number inside compiled code."""

    CONSTANT_STEP = 0
    LINEAR_STEP = 1
    LINEAR_STEP_ADDITIVE = 2
    EXP_STEP = 3
    POW_STEP = 4
    PIECEWISE_STEP = 5
    SOFT_BOUNDS_REFERENCE = 6
    SOFT_BOUNDS_REFERENCE_ADDITIVE = 7


CONSTANTS = ("std", "A_up", "A_down", "gamma_up", "gamma_down", "a", "b", "std_add", "std_slope")
"""Names of the numbers that all devices of an array share, in the order of `DeviceArray.constants`."""

_CONSTANT, _LINEAR, _LINEAR_ADD = int(Law.CONSTANT_STEP), int(Law.LINEAR_STEP), int(Law.LINEAR_STEP_ADDITIVE)
_EXP, _POW, _PIECEWISE = int(Law.EXP_STEP), int(Law.POW_STEP), int(Law.PIECEWISE_STEP)
_SOFT, _SOFT_ADD = int(Law.SOFT_BOUNDS_REFERENCE), int(Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)


@njit(cache=True, inline="always")
def step(law, w, is_up, scale, shape, max_bound, min_bound, constants, nodes):  # type: ignore[no-untyped-def]
    """Return mean step f and noise g of one pulse on one device, both as sizes (the caller knows the direction).

    `scale`, `shape` and `nodes` are those of the direction; `w` includes the reference.
    """
    std = constants[0]
    if law == _CONSTANT:
        return scale, std * scale
    if law in (_LINEAR, _LINEAR_ADD):
        f = scale + shape * w
        return f, std * (f if law == _LINEAR else scale)
    if law in (_SOFT, _SOFT_ADD):
        f = scale
        if is_up and max_bound > 0.0:
            f = scale * (1.0 - w / max_bound)
        elif not is_up and min_bound < 0.0:
            f = scale * (1.0 - w / min_bound)
        return f, std * (f if law == _SOFT else scale)
    width = max_bound - min_bound
    if law == _EXP:
        if width <= 0.0:
            return 0.0 * scale, 0.0 * scale
        # In float32, as aihwkit: near a bound, where the curve is steep, rounding grows from pulse to pulse.
        z = np.float32(np.float32(np.float32(np.float32(2.0) * w) / width) * constants[5]) + constants[6]
        exponent = constants[3] * z if is_up else -constants[4] * z
        curve = np.float32(exp(np.float32(exponent))) * (constants[1] if is_up else constants[2])
        f = scale * max(np.float32(1.0) - curve, np.float32(0.0))
        if constants[7] != 0.0 or constants[8] != 0.0:
            return f, std * (abs(f) + constants[7] + constants[8] * abs(w))
        return f, std * f
    if law == _POW:
        if width == 0.0:
            return 0.0 * scale, 0.0 * scale
        distance = (max_bound - w) / width if is_up else (w - min_bound) / width
        f = scale * max(distance, 0.0) ** shape
        return f, std * f
    sections = len(nodes) - 1
    f = scale * nodes[0]
    if sections > 0 and width > 0.0:
        position = max((w - min_bound) / width * sections, 0.0)
        index = min(floor(position), sections - 1)
        fraction = min(position - index, 1.0)
        f = scale * ((1.0 - fraction) * nodes[index] + fraction * nodes[index + 1])
    return f, std * f


@njit(cache=True, inline="always")
def _exp2(x):  # type: ignore[no-untyped-def]
    """Return 2**x to 2e-7 of it, in a way that the compiler can take 8 or 16 at a time."""
    x = min(max(x, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(x + np.float32(0.5))
    y = (x - whole) * np.float32(0.6931471805599453)
    series = np.float32(1.0 / 720.0)
    series = series * y + np.float32(1.0 / 120.0)
    series = series * y + np.float32(1.0 / 24.0)
    series = series * y + np.float32(1.0 / 6.0)
    series = series * y + np.float32(0.5)
    series = series * y + np.float32(1.0)
    series = series * y + np.float32(1.0)
    return series * number_of(np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)))


@njit(cache=True, inline="always")
def log2_of(x):  # type: ignore[no-untyped-def]
    """Return the logarithm to base 2 of a positive number, likewise."""
    bits = bits_of(max(x, np.float32(1e-37)))
    # The mantissa between 0.71 and 1.41.
    exponent = np.int32((bits - np.int32(0x3F3504F3)) >> np.int32(23))
    y = number_of(np.int32(bits - np.int32(exponent << np.int32(23))))
    t = (y - np.float32(1.0)) / (y + np.float32(1.0))
    square = t * t
    series = np.float32(1.0 / 9.0)
    series = series * square + np.float32(1.0 / 7.0)
    series = series * square + np.float32(0.2)
    series = series * square + np.float32(1.0 / 3.0)
    series = series * square + np.float32(1.0)
    return np.float32(exponent) + np.float32(2.0 / 0.6931471805599453) * t * series


@njit(cache=True, error_model="numpy")
def curved_steps(f, law, w, n, scale, shape, mx, mn, constants, nodes_up, nodes_down):  # type: ignore[no-untyped-def]
    """Write the mean steps of many devices, as `step` gives them, for the laws that are not affine.

    The loops have no branches, so that the compiler takes 8 or 16 devices at a time.

    Args:
        f: (devices,) where to.
        law: The law of all.
        w: (devices,) weights, with the reference.
        n: (devices,) above zero where the step goes up.
        scale: (devices,) that of the direction; `shape` likewise.
        shape: (devices,) exponents of power steps.
        mx: (devices,) upper bounds.
        mn: (devices,) lower bounds.
        constants: What all share.
        nodes_up: Polygon of the steps up.
        nodes_down: Polygon of the steps down.
    """
    zero, one = np.float32(0.0), np.float32(1.0)
    if law == _EXP:
        to_base_2 = np.float32(1.4426950408889634)
        gamma_up, gamma_down = constants[3] * to_base_2, -constants[4] * to_base_2
        for j in range(len(w)):
            width = mx[j] - mn[j]
            z = np.float32(2.0) * w[j] / (width if width > zero else one) * constants[5] + constants[6]
            is_up = n[j] > zero
            curve = _exp2((gamma_up if is_up else gamma_down) * z) * (constants[1] if is_up else constants[2])
            f[j] = scale[j] * max(one - curve, zero) if width > zero else zero * scale[j]
    elif law == _POW:
        for j in range(len(w)):
            width = mx[j] - mn[j]
            distance = max(mx[j] - w[j] if n[j] > zero else w[j] - mn[j], zero)
            part = distance / (width if width > zero else one)
            power = _exp2(shape[j] * log2_of(part))
            power = power if part > zero else (one if shape[j] == zero else zero)
            f[j] = scale[j] * power if width > zero else zero * scale[j]
    else:
        of_up, of_down = len(nodes_up) - 1, len(nodes_down) - 1
        for j in range(len(w)):
            is_up, width = n[j] > zero, mx[j] - mn[j]
            sections = of_up if is_up else of_down
            position = (w[j] - mn[j]) / (width if width > zero else one) * np.float32(sections)
            position = min(max(position, zero), np.float32(sections)) if width > zero else zero
            index = max(min(int(position), sections - 1), 0)
            after = min(index + 1, sections)
            fraction = position - np.float32(index)
            # Numbers are chosen, not arrays: that would count references, for every device.
            low = nodes_up[index] if is_up else nodes_down[index]
            high = nodes_up[after] if is_up else nodes_down[after]
            f[j] = scale[j] * ((one - fraction) * low + fraction * high)


def steps(
    law: Law,
    w: Tensor,
    is_up: bool,
    scale: Tensor,
    shape: Tensor | None,
    max_bound: Tensor,
    min_bound: Tensor,
    constants: Sequence[Dimensionless],
    nodes: Tensor,
) -> tuple[Tensor, Tensor]:
    """Do what `step` does, for tensors of devices: mean steps f and noises g of one pulse each."""
    std, width = constants[0], max_bound - min_bound
    if law == Law.CONSTANT_STEP:
        return scale, std * scale
    if law in (Law.LINEAR_STEP, Law.LINEAR_STEP_ADDITIVE):
        assert shape is not None
        f = scale + shape * w
        return f, std * (f if law == Law.LINEAR_STEP else scale)
    if law in (Law.SOFT_BOUNDS_REFERENCE, Law.SOFT_BOUNDS_REFERENCE_ADDITIVE):
        bound = max_bound if is_up else min_bound
        is_soft = bound > 0 if is_up else bound < 0
        f = torch.where(is_soft, scale * (1 - w / torch.where(is_soft, bound, 1.0)), scale)
        return f, std * (f if law == Law.SOFT_BOUNDS_REFERENCE else scale)
    safe_width = torch.where(width > 0, width, 1.0)
    if law == Law.EXP_STEP:
        _, a_up, a_down, gamma_up, gamma_down, a, b, add, slope = constants
        z = 2 * w / safe_width * a + b
        curve = 1 - a_up * torch.exp(gamma_up * z) if is_up else 1 - a_down * torch.exp(-gamma_down * z)
        f = scale * curve.clamp(min=0) * (width > 0)
        return f, std * (f.abs() + (add + slope * w.abs()) * (width > 0)) if add or slope else std * f
    if law == Law.POW_STEP:
        assert shape is not None
        distance = (max_bound - w if is_up else w - min_bound) / safe_width
        f = scale * distance.clamp(min=0).pow(shape) * (width > 0)
        return f, std * f
    sections = len(nodes) - 1
    if sections == 0:
        f = scale * nodes[0]
        return f, std * f
    position = ((w - min_bound) / safe_width * sections).clamp(min=0)
    index = position.floor().clamp(max=sections - 1)
    fraction = (position - index).clamp(max=1)
    low, high = nodes[index.long()], nodes[index.long() + 1]
    f = scale * torch.where(width > 0, (1 - fraction) * low + fraction * high, nodes[0])
    return f, std * f
