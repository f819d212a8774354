"""Pulses sent to single devices, against aihwkit's C++ tiles, which receive the same ones through one-hot vectors.

Trains of one slot whose probabilities are one or zero: a vector with a one on word line j and ones on some bit lines
is one pulse for exactly these devices of column j.

Without noise both compute the same float32 numbers while bursts are short: 1e-6 leaves ten roundings of a weight near
1. Longer bursts are computed as a whole: aihwkit then rounds once for each pulse (6e-8 of a weight below 1), and laws
without a closed form follow the mean step by a midpoint rule, whose error stays below a hundredth of the range.

aihwkit's noise cannot be seeded: 3 devices x 24 cells x 2 lengths x 2 moments = 288 comparisons at Z = 5.5 fail by
chance once in 90,000 runs. Its table of normal numbers has a mean of its own: 0.02 standard deviations of a pulse's
noise for every pulse are added to the error of a mean, as in tests/statistics/test_pulsed_update.py; the noise of the
exponential law grows with the weight. At a bound, where a long burst
is a Brownian walk and aihwkit's a walk in steps, spreads may differ by a tenth of the noise of one pulse.
"""

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile
from torch import Tensor

from devices.pulsed import DeviceArray, from_hidden, send_pulses
from experiments.bench.update_error import repeat
from helpers.step_devices import LINEAR, OTHERS, step_devices

OUT_SIZE, IN_SIZE = 6, 4
Z, REPEATS, TABLE_BIAS = 5.5, 2_000, 0.02
NOISY = {
    "constant": ConstantStepDevice(construction_seed=5),
    "soft bounds, write noise": SoftBoundsDevice(write_noise_std=3.0, construction_seed=5),
    "exponential": ExpStepDevice(dw_min_std_add=0.001, dw_min_std_slope=0.05, construction_seed=5),
}


def tile_of(device: PulsedDevice) -> AnalogTile:
    update = UpdateParameters(
        desired_bl=1,
        fixed_bl=True,
        update_management=False,
        update_bl_management=False,
        pulse_type=PulseType.MEAN_COUNT,
    )
    tile = AnalogTile(OUT_SIZE, IN_SIZE, SingleRPUConfig(device=device, update=update))
    start = 0.1 * torch.randn(OUT_SIZE, IN_SIZE, generator=torch.Generator().manual_seed(1))
    tile.tile.set_weights(start)
    return tile


def array_of(tile: AnalogTile, device: PulsedDevice) -> DeviceArray:
    return from_hidden(device, [tile.get_hidden_parameters()], tile.tile.get_weights()[None].clone())


def one_hot_vectors(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The pulses of all devices as vectors, each with one pulse for some devices of one column."""
    vectors, gradients = [], []
    for column in range(IN_SIZE):
        for pulse in range(int(counts[:, column].abs().max())):
            vectors.append(torch.eye(IN_SIZE)[column])
            gradients.append(-counts[:, column].sign() * (counts[:, column].abs() > pulse))
    return torch.stack(vectors), torch.stack(gradients).float()


def noise_of_a_step(device: PulsedDevice, weight: Tensor) -> Tensor:
    """Standard deviation of a nominal step at a weight: aihwkit's exponential law adds to it what grows with it."""
    step = torch.full_like(weight, device.dw_min)
    if isinstance(device, ExpStepDevice):
        step += device.dw_min_std_add + device.dw_min_std_slope * weight
    return device.dw_min_std * step


def draw_counts(most: int) -> Tensor:
    rng = torch.Generator().manual_seed(2)
    counts = torch.randint(-most, most + 1, (OUT_SIZE, IN_SIZE), generator=rng)
    counts[0, :3] = torch.tensor([0, most, -most])
    return counts


def difference(device: PulsedDevice, counts: Tensor) -> tuple[float, float, DeviceArray]:
    """Send both the same pulses; return the largest difference and change, and our devices."""
    tile = tile_of(device)
    array = array_of(tile, device)
    before = array.weight.clone()
    tile.set_learning_rate(float(array.granularity))
    tile.tile.update(*one_hot_vectors(counts), False)
    send_pulses(array, counts[None], rng=torch.Generator().manual_seed(0))
    worst = (array.weight[0] - tile.tile.get_weights()).abs().max()
    return float(worst), float((array.weight - before).abs().max()), array


@pytest.mark.parametrize("most", [1, 31])
@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_a_short_burst_is_that_many_pulses_of_aihwkit(name: str, most: int) -> None:
    worst, change, _ = difference(step_devices()[name], draw_counts(most))
    assert worst <= 1e-6
    assert change > 1e-5


@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_a_long_burst_leads_where_aihwkits_pulses_lead(name: str) -> None:
    """Until devices stand at their bounds."""
    for most in (100, 1_000):
        counts = draw_counts(most)
        worst, change, array = difference(step_devices()[name], counts)
        width = float((array.max_bound - array.min_bound).max())
        assert worst <= (most * 6e-8 if name in LINEAR else 0.01 * width), most
        assert change > 0.05


@pytest.mark.parametrize("pulses", [10, 100])
@pytest.mark.parametrize("name", NOISY)
def test_bursts_scatter_as_aihwkits(name: str, pulses: int) -> None:
    device = NOISY[name]
    tile = tile_of(device)
    one = array_of(tile, device)
    start = one.hidden_weight[0].clone()
    tile.set_learning_rate(float(one.granularity))
    counts = torch.full((OUT_SIZE, IN_SIZE), pulses)
    counts[:, ::2] *= -1
    vectors = one_hot_vectors(counts)
    results = []
    for _ in range(REPEATS):
        tile.tile.set_weights(start)
        tile.tile.update(*vectors, False)
        results.append(tile.tile.get_weights().clone())
    theirs = torch.stack(results)
    array = repeat(one, REPEATS)
    rng = torch.Generator().manual_seed(3)
    array.set_weights(start.expand(array.shape), rng=rng)
    send_pulses(array, counts.expand(array.shape), rng=rng)
    ours = array.weight
    variances = [values.var(dim=0) for values in (ours, theirs)]
    bias = TABLE_BIAS * pulses * noise_of_a_step(device, torch.maximum(start.abs(), ours.mean(dim=0).abs()))
    limit = Z * ((variances[0] + variances[1]) / REPEATS).sqrt() + bias
    assert ((ours.mean(dim=0) - theirs.mean(dim=0)).abs() <= limit).all()
    kurtosis = [((w - w.mean(dim=0)) ** 4).mean(dim=0) / w.var(dim=0) ** 2 for w in (ours, theirs)]
    # The standard error of a spread s with kurtosis k is s sqrt((k - 1) / 4 n).
    errors = [(v * (k - 1) / 4 / REPEATS).nan_to_num() for v, k in zip(variances, kurtosis, strict=True)]
    limit = Z * (errors[0] + errors[1]).sqrt() + 0.1 * device.dw_min * device.dw_min_std
    assert ((variances[0].sqrt() - variances[1].sqrt()).abs() <= limit).all()
    assert (variances[0].sqrt() > 5 * limit).float().mean() > 0.5
    assert not torch.equal(ours[0], ours[1])
