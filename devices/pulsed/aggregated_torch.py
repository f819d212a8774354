"""The aggregated response in plain torch: what `aggregated` does in compiled loops, for GPUs.

The same three steps (counts, flow, reflection at the bounds), with one difference: all devices take the same number
of parts, that of the device which needs most.
"""

import torch
from torch import Tensor

from .device_array import DeviceArray
from .laws import Law

_LINEAR = (
    Law.LINEAR_STEP,
    Law.LINEAR_STEP_ADDITIVE,
    Law.SOFT_BOUNDS_REFERENCE,
    Law.SOFT_BOUNDS_REFERENCE_ADDITIVE,
)
_DISCRETE = 0.5826  # see `aggregated`
_PART = 0.2
_MOST_PARTS = 64
_FEW = 8.0


def respond(devices: DeviceArray, moments: list[Tensor], seed: int, polarity: int) -> None:
    """Draw the pulses of every device from their moments, and move it.

    Args:
        devices: The devices; changed in place.
        moments: What `coincidences` returns, (tiles, out, in) each.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
    """
    mean, net, variance, net_variance = moments
    rng = torch.Generator(device=mean.device).manual_seed(seed)
    ups = _count(0.5 * (mean - net), 0.5 * (variance - net_variance), rng)
    downs = _count(0.5 * (mean + net), 0.5 * (variance + net_variance), rng)
    if polarity > 0:
        downs = torch.zeros_like(downs)
    elif polarity < 0:
        ups, downs = downs, torch.zeros_like(downs)
    received = ups + downs
    hidden = devices.hidden_weight
    reference = 0.0 if devices.reference is None else devices.reference
    w = torch.minimum(
        torch.maximum(hidden + reference, devices.min_bound), devices.max_bound
    )  # the first pulse does it
    parts = _parts(devices, w, ups, downs)
    for _ in range(parts):
        w = _part(devices, w, ups / parts, downs / parts, rng)
    hidden.copy_(torch.where(received > 0, w - reference, hidden))
    if devices.pulse_count is not None:
        devices.pulse_count += received.int()
    if devices.persistent_weight is not None:
        noise = torch.empty_like(hidden).normal_(generator=rng)
        devices.weight.copy_(torch.where(received > 0, hidden + devices.write_noise * noise, devices.weight))


def _count(mean: Tensor, variance: Tensor, rng: torch.Generator) -> Tensor:
    """Draw whole numbers with a mean and about a variance, as `random_numbers.count` does."""
    xi = torch.empty_like(mean).normal_(generator=rng)
    many = (mean + (variance - 1 / 12).clamp(min=0).sqrt() * xi).round().clamp(min=0)
    rate = (variance.clamp(max=_FEW) - 1 / 6).clamp(min=0)
    base = (mean - rate).clamp(min=0)
    rounded = (base + torch.empty_like(base).uniform_(generator=rng)).floor()
    return torch.where(variance > _FEW, many, rounded + torch.poisson(rate, generator=rng))


def _parts(devices: DeviceArray, w: Tensor, ups: Tensor, downs: Tensor) -> int:
    """Return in how many parts the flow is followed, so that each stays where the step hardly changes."""
    width = devices.max_bound - devices.min_bound
    if devices.law == Law.EXP_STEP:
        _, _, _, gamma_up, gamma_down, a, *_ = devices.constants.tolist()
        steepest = 2 * abs(a) * max(abs(gamma_up), abs(gamma_down))
        scale = width / steepest if steepest > 0 else torch.full_like(width, torch.inf)
    elif devices.law == Law.POW_STEP:
        assert devices.shape_up is not None
        assert devices.shape_down is not None
        scale = width / torch.maximum(devices.shape_up, devices.shape_down).clamp(min=1)
    elif devices.law == Law.PIECEWISE_STEP and len(devices.nodes_up) > 1:
        scale = width / (len(devices.nodes_up) - 1)
    else:
        return 1
    (f_up, g_up), (f_down, g_down) = devices.steps(w, True), devices.steps(w, False)
    scale = _PART * scale.clamp(min=1e-6)
    mean = (ups * f_up.abs() + downs * f_down.abs()) / scale
    variance = (ups * g_up.square() + downs * g_down.square()) / scale.square()
    return int(torch.maximum(mean, variance).max().ceil().clamp(1, _MOST_PARTS))


def _part(devices: DeviceArray, w: Tensor, ups: Tensor, downs: Tensor, rng: torch.Generator) -> Tensor:
    """Move all devices by some pulses up and down, mixed."""
    max_bound, min_bound = devices.max_bound, devices.min_bound
    (f_up, g_up), (f_down, g_down) = devices.steps(w, True), devices.steps(w, False)
    change = ups * f_up - downs * f_down
    damping: Tensor | float = 1.0
    if devices.law in _LINEAR:
        if devices.shape_up is not None and devices.shape_down is not None:
            slope_up, slope_down = devices.shape_up, devices.shape_down
        else:
            slope_up = torch.where(max_bound > 0, -devices.scale_up / max_bound, 0.0)
            slope_down = torch.where(min_bound < 0, -devices.scale_down / min_bound, 0.0)
        slope = ups * slope_up - downs * slope_down
        growth = (
            ups * slope_up.clamp(min=-0.999999).log1p() + downs * (-slope_down).clamp(min=-0.999999).log1p()
        )
        change = change * torch.where(slope.abs() > 1e-9, growth.expm1() / slope, 1.0)
        damping = torch.where(growth.abs() > 1e-9, (2 * growth).expm1() / (2 * growth), 1.0)
    if devices.law != Law.CONSTANT_STEP:
        middle = torch.minimum(torch.maximum(w + 0.5 * change, min_bound), max_bound)
        (f_up, g_up), (f_down, g_down) = devices.steps(middle, True), devices.steps(middle, False)
        if devices.law not in _LINEAR:
            change = ups * f_up - downs * f_down
    variance = (ups * g_up.square() + downs * g_down.square()) * damping
    change = change + variance.sqrt() * torch.empty_like(w).normal_(generator=rng)
    pulses = (ups + downs).clamp(min=1e-9)
    variation = variance + 4 * (f_up * f_down).abs() * ups * downs / pulses
    above = _excess(change, variation, pulses, max_bound - w, rng)
    below = _excess(-change, variation, pulses, w - min_bound, rng)
    moved = w + change - torch.where(above > 0, above, -below)
    return torch.minimum(torch.maximum(moved, min_bound), max_bound)


def _excess(end: Tensor, variation: Tensor, pulses: Tensor, room: Tensor, rng: torch.Generator) -> Tensor:
    """Draw by how much the highest point of a walk from 0 to `end` exceeds `room`."""
    u = torch.empty_like(end).uniform_(generator=rng).clamp(min=1e-12)
    highest = 0.5 * (end + (end.square() - 2 * variation * u.log()).sqrt())
    highest = torch.maximum(highest - _DISCRETE * (variation / pulses).sqrt(), end)
    return (highest - room).clamp(min=0)
