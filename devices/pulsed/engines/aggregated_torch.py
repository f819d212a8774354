"""The aggregated response in plain torch: what `aggregated` does in compiled loops, for GPUs.

Vector after vector, with two differences. Slots are not drawn there, but the numbers of pulses on the lines: given
these, a device receives a hypergeometric number of pulses from a train of `length` slots, with mean a b / length and
variance a (length - a) b (length - b) / (length**2 (length - 1)). And where noise can carry a weight beyond a bound,
pulses are not taken one by one: a weight that stops at a bound at every pulse is a random walk reflected there. Its
end is that of the free walk, less by what the free walk's maximum exceeds the bound (see `bursts`).
"""

import torch
from torch import Tensor

from ..device_array import DeviceArray
from ..laws import Law
from ..pulse_trains import PulseTrains

_LINEAR = (
    Law.LINEAR_STEP,
    Law.LINEAR_STEP_ADDITIVE,
    Law.SOFT_BOUNDS_REFERENCE,
    Law.SOFT_BOUNDS_REFERENCE_ADDITIVE,
)
_ADDITIVE = (Law.LINEAR_STEP_ADDITIVE, Law.SOFT_BOUNDS_REFERENCE_ADDITIVE)
_DISCRETE = 0.5826  # see `bursts`
_QUIET = 0.5  # see `aggregated`
_FEW = 8.0


def apply_in_torch(
    devices: DeviceArray, trains: PulseTrains, seed: int, polarity: int, tile_of_train: Tensor
) -> None:
    """Give every device the pulses of each vector at once, vector after vector.

    Args:
        devices: The devices.
        trains: The trains of each kernel, stochastic.
        seed: Names the noise.
        polarity: 0 for both directions, +1 for the pulses that go up, -1 for those that go down, turned up.
        tile_of_train: (tiles,) which trains a tile receives.
    """
    hidden = devices.hidden_weight
    tile_of_train = tile_of_train.to(hidden.device)
    rng = torch.Generator(device=hidden.device).manual_seed(seed)
    w = hidden if devices.reference is None else hidden + devices.reference
    received = torch.zeros_like(w)
    for vector in range(trains.x_pulses.shape[1]):
        mean, variance, net_sign = (
            moment[tile_of_train] for moment in coincidences(trains.between(vector, vector + 1))
        )
        pulses = _count(mean, variance, rng) * (net_sign != 0)
        is_up = net_sign < 0
        if polarity != 0:
            pulses = pulses * (is_up if polarity > 0 else ~is_up)
            is_up = torch.ones_like(is_up)
        received += pulses
        w = torch.where(pulses > 0, _moved(devices, w, pulses, is_up, rng), w)
    is_written = received > 0
    end = w if devices.reference is None else w - devices.reference
    hidden.copy_(torch.where(is_written, end, hidden))
    if devices.pulse_count is not None:
        devices.pulse_count += received.int()
    if devices.persistent_weight is not None:
        noise = torch.empty_like(hidden).normal_(generator=rng)
        devices.weight.copy_(torch.where(is_written, hidden + devices.write_noise * noise, devices.weight))


def coincidences(trains: PulseTrains) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of the pulses of one vector on each device, and their sign, down positive.

    Args:
        trains: Of one vector; the results are (kernels, out, in).
    """
    length = trains.length[..., None]
    share = torch.where(length > 0, 1 / length.clamp(min=1), torch.zeros_like(length))
    x, d = trains.x_pulses, trains.d_pulses
    x_spread = x * (length - x)
    d_spread = d * (length - d) * share.square() / (length - 1).clamp(min=1)

    def products(of_d: Tensor, of_x: Tensor) -> Tensor:
        return of_d.transpose(1, 2) * of_x

    return products(d * share, x), products(d_spread, x_spread), products(trains.d_sign, trains.x_sign)


def _count(mean: Tensor, variance: Tensor, rng: torch.Generator) -> Tensor:
    """Draw whole numbers with a mean and about a variance, none below zero."""
    xi = torch.empty_like(mean).normal_(generator=rng)
    many = (mean + (variance - 1 / 12).clamp(min=0).sqrt() * xi).round().clamp(min=0)
    # A Poisson number on top of a floor, whose fraction is rounded up with the right probability.
    rate = (variance.clamp(max=_FEW) - 1 / 6).clamp(min=0)
    base = (mean - rate).clamp(min=0)
    rounded = (base + torch.empty_like(base).uniform_(generator=rng)).floor()
    return torch.where(variance > _FEW, many, rounded + torch.poisson(rate, generator=rng))


def _steps(devices: DeviceArray, w: Tensor, is_up: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean steps and noises, each in its direction; both as sizes."""
    (f_up, g_up), (f_down, g_down) = devices.steps(w, True), devices.steps(w, False)
    return torch.where(is_up, f_up, f_down), torch.where(is_up, g_up, g_down)


def _slopes(devices: DeviceArray, is_up: Tensor) -> Tensor:
    """Return by how much affine steps grow with the weight, those down with a minus."""
    max_bound, min_bound = devices.max_bound, devices.min_bound
    if devices.shape_up is not None and devices.shape_down is not None:
        return torch.where(is_up, devices.shape_up, -devices.shape_down)
    slope_up = torch.where(max_bound > 0, -devices.scale_up / max_bound, 0.0)
    return torch.where(is_up, slope_up, torch.where(min_bound < 0, devices.scale_down / min_bound, 0.0))


def _moved(devices: DeviceArray, w: Tensor, pulses: Tensor, is_up: Tensor, rng: torch.Generator) -> Tensor:
    """Return the weights after the pulses of one vector, see `aggregated`."""
    sign = torch.where(is_up, 1.0, -1.0)
    f, g = _steps(devices, w, is_up)
    factor = 1.0 + torch.zeros_like(w)
    if devices.law in _LINEAR:
        slope = _slopes(devices, is_up)
        log_factor = slope.clamp(min=-0.999999).log1p()
        is_flat = slope.abs() < 1e-9
        change = f * torch.where(
            is_flat, pulses, (pulses * log_factor).expm1() / torch.where(is_flat, 1, slope)
        )
        factor = ((0.5 if devices.law in _ADDITIVE else 1.0) * (pulses - 1) * log_factor).exp()
    elif devices.law == Law.CONSTANT_STEP:
        change = pulses * f
    else:
        half_way = w + sign * 0.5 * (pulses - 1).clamp(min=0) * f
        half_way = torch.minimum(torch.maximum(half_way, devices.min_bound), devices.max_bound)
        f_half, g = _steps(devices, half_way, is_up)
        change = pulses * f_half
        factor = torch.where(f > 0, f_half / torch.where(f > 0, f, 1), 1).clamp(max=2)
    noise = g * factor * pulses.sqrt()
    end = sign * change + noise * torch.empty_like(w).normal_(generator=rng)
    excess = torch.zeros_like(w)
    if float(devices.device.dw_min_std) > _QUIET:
        above = _excess(end, noise.square(), pulses, devices.max_bound - w, rng)
        below = _excess(-end, noise.square(), pulses, w - devices.min_bound, rng)
        excess = torch.where(pulses > 1, torch.where(above > 0, above, -below), 0.0)
    return torch.minimum(torch.maximum(w + end - excess, devices.min_bound), devices.max_bound)


def _excess(end: Tensor, variation: Tensor, pulses: Tensor, room: Tensor, rng: torch.Generator) -> Tensor:
    """Draw by how much the highest point of a walk from 0 to `end` exceeds `room`."""
    u = torch.empty_like(end).uniform_(generator=rng).clamp(min=1e-12)
    highest = 0.5 * (end + (end.square() - 2 * variation * u.log()).sqrt())
    highest = torch.maximum(highest - _DISCRETE * (variation / pulses.clamp(min=1)).sqrt(), end)
    return (highest - room).clamp(min=0)
