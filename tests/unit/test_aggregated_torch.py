"""The aggregated response in torch, as GPUs compute it, against the compiled one, on the CPU.

The compiled engine receives the slots of trains, the one in torch the numbers of pulses on the lines: every repeat
has trains of its own, the same for both, and each draws its own noise, seeded. With other seeds a comparison of one
device fails by chance 4 times in 100 million (Z = 5.5, two-sided); some 4,500 are made: once in 5,000 seeds.
"""

import pytest
import torch
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor

from devices.pulsed import DeviceArray, PulseTrains, draw_trains, fabricate
from devices.pulsed.engines.aggregated import apply_aggregated
from devices.pulsed.engines.aggregated_torch import apply_in_torch
from experiments.bench.update_error import repeat

Z = 5.5
REPEATS, OUT_SIZE, IN_SIZE, BATCH = 600, 4, 6, 32
LINEAR: dict[str, PulsedDevice] = {
    "constant": ConstantStepDevice(),
    "linear, additive": LinearStepDevice(gamma_up=0.3, gamma_down=0.2, mult_noise=False),
    "soft bounds, write noise": SoftBoundsDevice(write_noise_std=3.0),
    "soft bounds, reference": SoftBoundsReferenceDevice(reference_std=0.05, mult_noise=True),
}
CURVED: dict[str, PulsedDevice] = {
    "exponential": ExpStepDevice(),
    "power": PowStepDevice(pow_gamma=1.5),
    "piecewise": PiecewiseStepDevice(piecewise_up=[1.0, 0.8, 0.3], piecewise_down=[0.4, 0.8, 1.2]),
}


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trains_for(devices: DeviceArray, scale: float, repeats: int = REPEATS) -> PulseTrains:
    """One batch, sent to every copy with trains of its own."""
    x = 0.5 * torch.randn(1, BATCH, IN_SIZE, generator=rng(1)).expand(repeats, -1, -1)
    d = 0.05 * scale * torch.randn(1, BATCH, OUT_SIZE, generator=rng(2)).expand(repeats, -1, -1)
    return draw_trains(x, d, 0.01, float(devices.granularity), UpdateParameters(), rng=rng(3))


def by_both(
    device: PulsedDevice, scale: float, polarity: int = 0, start: float = 0.0
) -> tuple[DeviceArray, DeviceArray]:
    """Return copies of the same devices after the same trains: compiled, and in torch.

    `start` is where they begin: -1 at the lower bound, 0 in the middle, 1 at the upper one.
    """
    one = fabricate(device, 1, OUT_SIZE, IN_SIZE, seed=4)
    middle, half = 0.5 * (one.max_bound + one.min_bound), 0.5 * (one.max_bound - one.min_bound)
    trains, own = trains_for(one, scale), torch.arange(REPEATS)
    compiled, in_torch = repeat(one, REPEATS), repeat(one, REPEATS)
    for devices in (compiled, in_torch):
        devices.set_weights((middle + start * half).expand(devices.shape), rng=rng(5))
        devices.count_pulses()
    apply_aggregated(compiled, trains, 6, polarity, own, rng(8))
    apply_in_torch(in_torch, trains, 7, polarity, own)
    return compiled, in_torch


def gaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how many standard errors the means differ, and the logarithms of the variances, device by device."""
    variance = (a.var(dim=0) + b.var(dim=0)) / REPEATS
    mean = (a.mean(dim=0) - b.mean(dim=0)) / variance.sqrt().clamp(min=1e-9)
    both = torch.cat([a - a.mean(dim=0), b - b.mean(dim=0)])
    kurtosis = both.pow(4).mean(dim=0) / both.square().mean(dim=0).square().clamp(min=1e-30)
    error = (2 * (kurtosis - 1) / REPEATS).sqrt()  # of log(var a / var b)
    log_ratio = (a.var(dim=0).clamp(min=1e-18) / b.var(dim=0).clamp(min=1e-18)).log()
    return mean, log_ratio / error


def check_counts(a: DeviceArray, b: DeviceArray) -> None:
    ours, others = b.pulses().float(), a.pulses().float()
    variance = ours.var(dim=0) + others.var(dim=0)
    assert ((ours.mean(dim=0) - others.mean(dim=0)).abs() <= Z * (variance / REPEATS).sqrt() + 1e-6).all()
    varies = variance > 0.5
    log_ratio = (ours.var(dim=0) / others.var(dim=0)).log()[varies]
    # 2.2: the kurtosis of few counts is below 3.2.
    assert (log_ratio.abs() <= Z * (2 * 2.2 / REPEATS) ** 0.5).all()
    # Given the trains, devices draw independently: their mean is sharper.
    if len(log_ratio):
        assert abs(float(log_ratio.mean())) <= Z * (2 * 2.2 / REPEATS / len(log_ratio)) ** 0.5


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("start", [0.0, 0.95, -0.95], ids=["middle", "upper bound", "lower bound"])
def test_laws_with_a_closed_form_respond_alike(name: str, scale: float, start: float) -> None:
    compiled, in_torch = by_both(LINEAR[name], scale, start=start)
    assert compiled.pulses().float().mean() > 5 * scale**0.5
    check_counts(compiled, in_torch)
    for a, b in (
        (compiled.hidden_weight, in_torch.hidden_weight),
        (compiled.weight - compiled.hidden_weight, in_torch.weight - in_torch.hidden_weight),
    ):
        # At a bound a device can move once in 600 repeats: too rarely to know its variance.
        moves = (a != a.median(dim=0).values).float().mean(dim=0) > 0.01
        moves |= (b != b.median(dim=0).values).float().mean(dim=0) > 0.01
        mean, variance = gaps(a, b)
        assert (mean[moves].abs() < Z).all()
        assert (variance[moves].abs() < Z).all()


@pytest.mark.parametrize("name", CURVED)
@pytest.mark.parametrize("start", [0.0, 0.95, -0.95], ids=["middle", "upper bound", "lower bound"])
def test_curved_laws_respond_alike_within_the_error_of_their_parts(name: str, start: float) -> None:
    compiled, in_torch = by_both(CURVED[name], 10.0, start=start)
    check_counts(compiled, in_torch)
    a, b = compiled.hidden_weight, in_torch.hidden_weight
    sampling = Z * ((a.var(dim=0) + b.var(dim=0)) / REPEATS).sqrt()
    width = compiled.max_bound[0] - compiled.min_bound[0]
    # Each cuts the flow into its own parts. Measured with 4,000 repeats against 4 times finer ones, at most 0.0008 of
    # the range.
    assert ((a.mean(dim=0) - b.mean(dim=0)).abs() <= sampling + 0.001 * width).all()
    # What the aggregated engine is held to against the exact one.
    assert abs(float((b.std(dim=0) / a.std(dim=0)).mean()) - 1) < 0.05


@pytest.mark.parametrize("polarity", [1, -1])
def test_one_polarity_goes_up_only(polarity: int) -> None:
    compiled, in_torch = by_both(ConstantStepDevice(dw_min_std=0.0), 10.0, polarity)
    check_counts(compiled, in_torch)
    for devices in (compiled, in_torch):
        moved = devices.hidden_weight - 0.5 * (devices.max_bound + devices.min_bound)
        assert (moved - devices.scale_up * devices.pulses()).abs().max() < 1e-4


def test_devices_without_pulses_stay_and_are_not_written() -> None:
    one = fabricate(SoftBoundsDevice(write_noise_std=3.0), 1, OUT_SIZE, IN_SIZE, seed=4)
    one.count_pulses()
    one.set_weights(one.max_bound * 0.5, rng=rng(1))
    before = one.weight.clone(), one.hidden_weight.clone()
    without = trains_for(one, 10.0, 1).where(torch.tensor([[[False] * IN_SIZE]]))
    apply_in_torch(one, without, 1, 0, torch.zeros(1, dtype=torch.int64))
    assert torch.equal(one.weight, before[0])
    assert torch.equal(one.hidden_weight, before[1])
    assert not one.pulses().any()
