"""How far copies of one weight drift apart that all receive the same pulses.

Pulses that are as often up as down pull every device to a symmetry point of its own, and each moves by steps of its
own size, with noise of its own. For n pulses, of steps s and -s near a weight that relaxes by a share lambda with
each, copies differ by the root mean square

    D(n)^2 = W^2 + S^2 (1 - e^(-lambda n))^2 + s^2 (c^2 + d^2) (1 - e^(-2 lambda n)) / (2 lambda),

with the write noise W, the spread S of symmetry points, the noise c of a step and the spread d of step sizes, both
relative to s. Where steps do not depend on the weight, lambda is 0 and S lambda is half the spread of the difference
between steps up and down: that spread grows with n, the noise with its root. Here the same is computed for any law,
device by device: the mean path of each, and small noise around it (the linear noise approximation).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..units import Dimensionless
from .device_array import DeviceArray

_NUDGE = 1e-3  # of the range, to find how steps change with the weight


@torch.no_grad()
def variance_of_copies(
    devices: DeviceArray, pulses: Sequence[int], *, is_pair: bool = False
) -> list[Dimensionless]:
    """Return the mean square difference of a device from its copies after so many pulses, half of them up.

    It starts with weights of zero. Devices that reach a bound stay within it in the mean; the noise is small only
    as long as it does not carry many there.

    Args:
        devices: A sample of devices, as many as possible, that stands for all copies; unchanged.
        pulses: Numbers of pulses, in rising order.
        is_pair: Whether these are the devices of one side of a pair that only go up: of n pulses every second one
            comes here, and the variance of the pair is that of both sides together.

    Returns:
        The variances, in units of the weights squared; NaN once the noise of most devices reaches farther than their
        bounds, where this approximation ends.
    """
    reference = torch.zeros(()) if devices.reference is None else devices.reference
    low, high = devices.min_bound, devices.max_bound
    mean = torch.minimum(torch.maximum(reference + torch.zeros_like(low), low), high)
    nudge = _NUDGE * (high - low).mean()
    noise = torch.zeros_like(mean)
    found, done = [], 0
    for mark in pulses:
        for _ in range(done, mark):
            drift, walk, own = _one_pulse(devices, mean, is_pair=is_pair)
            slope = (_one_pulse(devices, mean + nudge, is_pair=is_pair)[0] - drift) / nudge
            noise = noise * (1 + slope).square() + own + walk.var()
            mean = torch.minimum(torch.maximum(mean + drift, low), high)
        done = mark
        room = torch.minimum(high - mean, mean - low) if not is_pair else high - mean
        is_free = bool((noise.sqrt() < room).float().mean() > 0.5)
        found.append(
            float((mean - reference).var() + noise.mean()) + devices.write_noise**2 if is_free else torch.nan
        )
    return found


@torch.no_grad()
def relaxation(devices: DeviceArray) -> Dimensionless:
    """Return lambda: by which share of its distance from the symmetry point a pulse brings a device near zero closer.

    Half of the pulses go up. After 1 / lambda of them a device has forgotten where it stood.

    Args:
        devices: A sample of devices; unchanged.

    Returns:
        The mean over the devices; 0 where steps do not depend on the weight.
    """
    reference = 0.0 if devices.reference is None else devices.reference
    nudge = _NUDGE * (devices.max_bound - devices.min_bound).mean()
    zero = torch.zeros_like(devices.weight) + reference
    at = torch.minimum(torch.maximum(zero, devices.min_bound), devices.max_bound)
    low, high = (_one_pulse(devices, at + sign * nudge, is_pair=False)[0] for sign in (-1, 1))
    return float(((low - high) / (2 * nudge)).mean())


def _one_pulse(devices: DeviceArray, at: Tensor, *, is_pair: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return of a pulse of random direction the mean, what all copies take alike, and the variance of its noise."""
    up, noise_up = devices.steps(at, True)
    if is_pair:
        return up / 2, up / 2, noise_up.square() / 2
    down, noise_down = devices.steps(at, False)
    return (up - down) / 2, (up + down) / 2, (noise_up.square() + noise_down.square()) / 2
