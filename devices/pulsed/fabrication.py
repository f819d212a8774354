"""What differs from one device of an array to the next, drawn once when the array is made.

The laws are those of aihwkit's C++ devices (`populate` in rpu_pulsed_device.cpp and in each device's own
file), for all tiles at once: one vectorised draw for each hidden parameter, from a stream of its own, so
that switching on one spread leaves all others as they were.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..aihwkit_adapter import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from ..streams import generator
from ..units import Dimensionless
from ..working_memory import filled
from .device_array import OPTIONAL, REQUIRED, DeviceArray
from .threaded_loops import threaded

PerDevice: TypeAlias = Float[Tensor, "tiles out_size in_size"]
Hidden: TypeAlias = dict[str, Tensor | None]

DEVICES = (
    ConstantStepDevice,
    LinearStepDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    ExpStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PiecewiseStepDevice,
)
# aihwkit estimates a symmetry point with 10 pulse pairs for every state, and never more than 10,000.
_PAIRS_PER_STATE = 10
_MOST_PAIRS = 10_000
# Numbers of a device that are there at a time while it is made.
_IN_BETWEEN = 16


def fabricate(device: PulsedDevice, tiles: int, out_size: int, in_size: int, *, seed: int) -> DeviceArray:
    """Make the devices of many tiles, each with hidden parameters of its own.

    Drawn once per array, on the CPU, from streams that `seed` names; aihwkit's `construction_seed` is not
    looked at (it would give all tiles the same devices). All weights begin at zero.

    Args:
        device: One of aihwkit's pulsed devices, with its spreads. It is copied.
        tiles: How many tiles.
        out_size: Bit lines of a tile.
        in_size: Word lines of a tile; with `perfect_bias`, the last one is the bias.
        seed: The array's seed.

    Raises:
        TypeError: If `device` is none of aihwkit's plain pulsed devices.
        ValueError: If its settings contradict each other.

    Example:
        >>> from aihwkit.simulator.presets import ReRamSBPresetDevice
        >>> fabricate(ReRamSBPresetDevice(), 3, 4, 5, seed=0).max_bound.shape
        torch.Size([3, 4, 5])
    """
    device = plain_device(device)

    streams = _Streams(seed)

    def make(part: slice) -> list[Tensor | None]:
        hidden = _hidden(device, streams, (part.stop - part.start, out_size, in_size))
        return [hidden.get(name) for name in (*REQUIRED, *OPTIONAL)]

    of_tile = _IN_BETWEEN * out_size * in_size * torch.finfo(torch.float32).bits // 8
    made = filled(tiles, of_tile, make)
    hidden = dict(zip((*REQUIRED, *OPTIONAL), made, strict=True))
    return DeviceArray(device, hidden, granularity_of(device))


class _Streams:
    """Draws for the tiles of one part after the other, every hidden parameter from a stream of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generators: dict[str, torch.Generator] = {}

    def __call__(self, name: str) -> torch.Generator:
        """Return a stream, from where the last part left it."""
        if name not in self._generators:
            self._generators[name] = generator(self._seed, "fabrication", name)
        return self._generators[name]


def _hidden(device: PulsedDevice, streams: _Streams, sizes: tuple[int, int, int]) -> Hidden:
    """Draw the hidden parameters of some tiles."""

    def draw(name: str) -> PerDevice:
        return torch.randn(sizes, generator=streams(name))

    def draw_uniform(name: str) -> PerDevice:
        return torch.rand(sizes, generator=streams(name))

    hidden: Hidden = dict.fromkeys(("shape_up", "shape_down", "reference"))
    hidden |= _bounds_and_steps(device, draw)
    _break_some(device, hidden, draw_uniform)
    _perfect_the_bias(device, hidden)
    hidden |= _retention(device, draw)
    if isinstance(device, LinearStepDevice | SoftBoundsDevice):
        hidden |= _slopes(device, hidden, draw)
    elif isinstance(device, SoftBoundsReferenceDevice):
        _vary_slopes_of_reference(device, hidden, draw)
        _add_reference(device, hidden, _soft_bounds_symmetry_point, draw)
    elif isinstance(device, PowStepDevice | PowStepReferenceDevice):
        hidden |= _exponents(device, draw)
        if isinstance(device, PowStepReferenceDevice):
            _add_reference(device, hidden, _power_symmetry_point, draw)
    return hidden


def plain_device(device: PulsedDevice) -> PulsedDevice:
    """Copy a device description and work out what it leaves to be computed from other fields.

    `SoftBoundsPmaxDevice` states a pulse response from `range_min` to `range_max` in `p_max` pulses of slope
    `alpha`; it becomes the `SoftBoundsDevice` that aihwkit makes of it, which is about twice as fast.

    Raises:
        TypeError: If `device` is none of aihwkit's plain pulsed devices.
        ValueError: If its settings contradict each other.
    """
    if not isinstance(device, DEVICES):
        names = ", ".join(cls.__name__ for cls in DEVICES)
        raise TypeError(
            f"`device` must be one of {names}, but is a {type(device).__name__}. "
            "Compounds are made of several such devices: fabricate each of them."
        )
    if isinstance(device, SoftBoundsPmaxDevice):
        device = _from_pulse_response(device)
    if not device.w_min <= 0 <= device.w_max:
        raise ValueError(
            f"`device` must have `w_min` <= 0 <= `w_max`, but they are {device.w_min} and {device.w_max}. "
            "Shift its range, or use a device with a reference."
        )
    reverse = getattr(device, "reverse_up", False) or getattr(device, "reverse_down", False)
    if reverse and not device.mult_noise:
        raise ValueError(
            "`device` must have `mult_noise=True` if it has `reverse_up` or `reverse_down`, but is "
            f"{device.mult_noise}. Set it, or leave the slopes as they are."
        )
    if isinstance(device, PiecewiseStepDevice) and not (
        len(device.piecewise_up) == len(device.piecewise_down) > 0
    ):
        raise ValueError(
            "`device` must have as many nodes in `piecewise_up` as in `piecewise_down`, at least one, but "
            f"has {len(device.piecewise_up)} and {len(device.piecewise_down)}. Add the missing ones."
        )
    return copy.deepcopy(device)


def granularity_of(device: PulsedDevice) -> Dimensionless:
    """Work out aihwkit's weight granularity, by which the pulse trains are scaled.

    That is the mean step in weight near w = 0, or mid-range for the power law.
    """
    device = plain_device(device)
    dw_min = np.float32(device.dw_min)
    granularity = dw_min
    if isinstance(device, PowStepDevice | PowStepReferenceDevice):
        granularity = dw_min * np.float32(0.5) ** np.float32(device.pow_gamma)
    elif isinstance(device, PiecewiseStepDevice):
        granularity = dw_min * np.float32(device.piecewise_up[len(device.piecewise_up) // 2])
    elif isinstance(device, ExpStepDevice):
        # aihwkit averages the downward step with itself (rpu_expstep_device.h), and so do we.
        step = (_directions(device.up_down)[1] + 1.0) * device.dw_min
        saturation = np.float32(device.A_down) * np.exp(np.float32(-device.gamma_down * device.b))
        step_down = np.float32(step) * max(np.float32(1.0) - saturation, np.float32(0.0))
        granularity = step_down if step_down > 0 else dw_min
    return float(granularity)


def _from_pulse_response(device: SoftBoundsPmaxDevice) -> SoftBoundsDevice:
    own = ("range_min", "range_max", "alpha", "p_max")
    plain = SoftBoundsDevice(**{name: value for name, value in vars(device).items() if name not in own})
    reach = (device.range_max - device.range_min) / (1 - math.exp(-device.p_max * device.alpha))
    plain.w_min = device.range_min
    plain.w_max = device.range_min + reach
    plain.dw_min = reach * device.alpha
    plain.up_down = 1 + 2 * device.range_min / reach
    return plain


def _directions(up_down: Dimensionless) -> tuple[Dimensionless, Dimensionless]:
    """Split an asymmetry: the weaker direction loses it, the other keeps its full step."""
    return min(up_down, 0.0), -max(up_down, 0.0)


def _bounds_and_steps(device: PulsedDevice, draw: Callable[[str], PerDevice]) -> Hidden:
    """Draw the hard bounds and the mean steps. The gain is common to both directions of a device."""
    max_bound = device.w_max * (1 + device.w_max_dtod * draw("max_bound"))
    min_bound = device.w_min * (1 + device.w_min_dtod * draw("min_bound"))
    gain = device.dw_min_dtod * draw("gain")
    gain = gain.exp() if device.dw_min_dtod_log_normal else 1 + gain
    asymmetry = device.up_down_dtod * draw("up_down")
    bias_up, bias_down = _directions(device.up_down)
    scale_up = (bias_up + gain + asymmetry) * device.dw_min
    scale_down = (bias_down + gain - asymmetry) * device.dw_min
    if device.enforce_consistency:
        scale_up, scale_down = scale_up.abs(), scale_down.abs()
        max_bound, min_bound = torch.maximum(max_bound, min_bound), torch.minimum(max_bound, min_bound)
        max_bound, min_bound = max_bound.abs(), -min_bound.abs()
    else:
        # A device whose range is empty stays where it is: halfway.
        middle = max_bound + (min_bound - max_bound) / 2
        empty = min_bound > max_bound
        max_bound, min_bound = max_bound.where(~empty, middle), min_bound.where(~empty, middle)
    return {"max_bound": max_bound, "min_bound": min_bound, "scale_up": scale_up, "scale_down": scale_down}


def _break_some(device: PulsedDevice, hidden: Hidden, draw_uniform: Callable[[str], PerDevice]) -> None:
    """Let some devices be stuck, anywhere in `corrupt_devices_range` that their bounds allow."""
    if device.corrupt_devices_prob <= 0:
        return
    corrupt = draw_uniform("corrupt") < device.corrupt_devices_prob
    max_bound, min_bound = _tensors(hidden, "max_bound", "min_bound")
    reach = abs(device.corrupt_devices_range)
    lowest, highest = min_bound.clamp(min=-reach), max_bound.clamp(max=reach)
    stuck_at = lowest + (highest - lowest) * draw_uniform("stuck_at")
    for name in ("max_bound", "min_bound"):
        hidden[name] = torch.where(corrupt, stuck_at, _tensors(hidden, name)[0])
    for name in ("scale_up", "scale_down"):
        hidden[name] = _tensors(hidden, name)[0].masked_fill(corrupt, 0.0)


def _perfect_the_bias(device: PulsedDevice, hidden: Hidden) -> None:
    """Let the devices of the last word line be equal, and as good as unbounded."""
    if device.perfect_bias:
        values = {
            "max_bound": 100.0 * device.w_max,
            "min_bound": 100.0 * device.w_min,
            "scale_up": device.dw_min,
            "scale_down": device.dw_min,
        }
        for name, value in values.items():
            _tensors(hidden, name)[0][..., -1] = value


def _retention(device: PulsedDevice, draw: Callable[[str], PerDevice]) -> Hidden:
    """Draw what a device does when left alone: decay, diffusion, drift, and where a reset leads."""
    decay_scale = diffusion_rate = reset_bias = drift_nu = None
    if device.lifetime > 0:
        lifetime = device.lifetime * (1 + device.lifetime_dtod * draw("lifetime"))
        decay_scale = torch.where(lifetime > 1, 1 - 1 / lifetime, torch.zeros_like(lifetime))
    if device.diffusion > 0:
        diffusion_rate = (device.diffusion * (1 + device.diffusion_dtod * draw("diffusion"))).abs()
    # aihwkit 1.1.0 takes a negative mean or spread for zero.
    reset, reset_dtod = max(device.reset, 0.0), max(device.reset_dtod, 0.0)
    if reset > 0 or reset_dtod > 0:
        reset_bias = reset + reset_dtod * draw("reset")
    if device.drift.nu > 0:
        drift_nu = device.drift.nu * (1 + device.drift.nu_dtod * draw("drift_nu"))
    return {
        "decay_scale": decay_scale,
        "diffusion_rate": diffusion_rate,
        "reset_bias": reset_bias,
        "drift_nu": drift_nu,
    }


def _slopes(
    device: LinearStepDevice | SoftBoundsDevice, hidden: Hidden, draw: Callable[[str], PerDevice]
) -> Hidden:
    """Draw by how much a step shrinks with the weight: by the fraction `gamma` on the way to a bound.

        slope = -gamma * scale / bound

    The bound is the mean one with `mean_bound_reference`, else the device's own. Soft bounds are the case
    gamma = 1 at the device's own bounds: there the step is zero.
    """
    max_bound, min_bound, scale_up, scale_down = _tensors(
        hidden, "max_bound", "min_bound", "scale_up", "scale_down"
    )
    if isinstance(device, LinearStepDevice):
        gamma_up = device.gamma_up + device.gamma_up_dtod * draw("gamma_up")
        gamma_down = device.gamma_down + device.gamma_down_dtod * draw("gamma_down")
        if not device.allow_increasing:
            gamma_up, gamma_down = gamma_up.abs(), gamma_down.abs()
        if device.mean_bound_reference:
            max_bound = torch.full_like(max_bound, device.w_max)
            min_bound = torch.full_like(min_bound, device.w_min)
    else:
        gamma_up = gamma_down = torch.ones_like(max_bound)
    bound_up = min_bound - device.reverse_offset if device.reverse_up else max_bound
    bound_down = max_bound + device.reverse_offset if device.reverse_down else min_bound
    return {
        "shape_up": _divide(-gamma_up * scale_up, bound_up),
        "shape_down": _divide(-gamma_down * scale_down, bound_down),
    }


def _exponents(device: PowStepDevice | PowStepReferenceDevice, draw: Callable[[str], PerDevice]) -> Hidden:
    """Draw the exponents of the power law, with a gain in common and an asymmetry between directions."""
    gain = 1 + device.pow_gamma_dtod * draw("gamma")
    asymmetry = device.pow_up_down_dtod * draw("gamma_up_down")
    bias_up, bias_down = _directions(device.pow_up_down)
    gamma_up = (bias_up + gain + asymmetry) * device.pow_gamma
    gamma_down = (bias_down + gain - asymmetry) * device.pow_gamma
    if device.enforce_consistency:
        gamma_up, gamma_down = gamma_up.abs(), gamma_down.abs()
    return {"shape_up": gamma_up, "shape_down": gamma_down}


def _vary_slopes_of_reference(
    device: SoftBoundsReferenceDevice, hidden: Hidden, draw: Callable[[str], PerDevice]
) -> None:
    """Vary the slopes at unchanged steps around zero, which moves the bounds."""
    proper = _spans_zero(hidden)
    for name, spread in (("max_bound", device.slope_up_dtod), ("min_bound", device.slope_down_dtod)):
        if spread != 0:
            (bound,) = _tensors(hidden, name)
            hidden[name] = torch.where(proper, bound / (1 + spread * draw(f"slope {name}")).abs(), bound)


def _add_reference(
    device: SoftBoundsReferenceDevice | PowStepReferenceDevice,
    hidden: Hidden,
    symmetry_point: Callable[[Any, Hidden], PerDevice],
    draw: Callable[[str], PerDevice],
) -> None:
    """Draw the reference that is subtracted from a device; it may have been written to its symmetry point."""
    reference = device.reference_mean + device.reference_std * draw("reference")
    if device.subtract_symmetry_point:
        at_symmetry = symmetry_point(device, hidden).where(_spans_zero(hidden), torch.zeros(()))
        reference = reference + at_symmetry
        reset_bias = hidden["reset_bias"]
        hidden["reset_bias"] = at_symmetry if reset_bias is None else reset_bias + at_symmetry
    hidden["reference"] = reference


def _soft_bounds_symmetry_point(device: SoftBoundsReferenceDevice, hidden: Hidden) -> PerDevice:
    """Find the weight at which a step up is as large as a step down."""
    max_bound, min_bound, up, down = _tensors(hidden, "max_bound", "min_bound", "scale_up", "scale_down")
    return (up - down) / (up / max_bound - down / min_bound)


def _power_symmetry_point(device: PowStepReferenceDevice, hidden: Hidden) -> PerDevice:
    """Alternate noise-free pulses up and down until the weight rests; there is no closed form."""
    names = ("max_bound", "min_bound", "scale_up", "scale_down", "shape_up", "shape_down")
    arrays = [tensor.contiguous().view(-1).numpy() for tensor in _tensors(hidden, *names)]
    rest = _alternate_pulses(*arrays, device.n_estimation_steps)
    return torch.from_numpy(rest).view_as(_tensors(hidden, "max_bound")[0])


@threaded(lambda max_bound, *rest: max_bound.size * rest[-1], error_model="numpy")
def _alternate_pulses(
    max_bound: NDArray[np.float32],
    min_bound: NDArray[np.float32],
    scale_up: NDArray[np.float32],
    scale_down: NDArray[np.float32],
    gamma_up: NDArray[np.float32],
    gamma_down: NDArray[np.float32],
    asked_pairs: int,
) -> NDArray[np.float32]:
    rest = np.zeros(max_bound.size, np.float32)
    for device in numba.prange(max_bound.size):
        top, bottom = max_bound[device], min_bound[device]
        up, down = scale_up[device], scale_down[device]
        if not bottom < 0.0 < top:
            continue
        span = top - bottom
        pairs = asked_pairs
        if pairs <= 0:
            pairs = round(min(_PAIRS_PER_STATE * span / min(abs(up), abs(down)), _MOST_PAIRS))
        weight = np.float32(0.0)
        for _ in range(pairs):
            before = weight
            step_down = down * ((weight - bottom) / span) ** gamma_down[device]
            step_up = up * ((top - weight) / span) ** gamma_up[device]
            # aihwkit does not stop at the bounds, and leaves NaN where a large step has crossed one.
            weight = max(min(weight + step_up - step_down, top), bottom)
            if weight == before:
                break  # at rest: more pulses change nothing
        rest[device] = weight
    return rest


def _spans_zero(hidden: Hidden) -> Tensor:
    max_bound, min_bound = _tensors(hidden, "max_bound", "min_bound")
    return (max_bound > 0) & (min_bound < 0)


def _divide(numerator: PerDevice, denominator: PerDevice) -> PerDevice:
    return torch.where(denominator != 0, numerator / denominator, torch.zeros_like(numerator))


def _tensors(hidden: Hidden, *names: str) -> list[Tensor]:
    """Look up hidden parameters that every device has by now."""
    tensors = [hidden[name] for name in names]
    return [tensor for tensor in tensors if tensor is not None]
