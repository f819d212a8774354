"""Decay, diffusion, reset and drift against aihwkit's C++ tiles, whose devices are copied.

Where nothing is drawn, the weights are equal up to float32's last digits: every operation rounds to 6e-8 of
its result, there are fewer than ten, and aihwkit's powf is good to a few units in the last place: 2e-6 of
weights up to 1. Where something is drawn, 20,000 devices are compared by two-sample Kolmogorov-Smirnov tests
that refuse at p < 1e-7 each, about one false alarm in a million runs of the file. aihwkit draws from a table
of 32,768 normal numbers, which counts as a further sample of that size.
"""

import math

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    PulsedDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.inference import DriftParameter
from aihwkit.simulator.tiles import AnalogTile
from scipy.stats import ks_2samp, kstwobign
from torch import Tensor

from devices.pulsed.aihwkit_copy import from_hidden
from devices.pulsed.device_array import DeviceArray
from devices.pulsed.retention import decay_, diffuse_, drift_, reset_

TABLE = 32_768
ALARM = 1e-7
CLOSE = {"rtol": 2e-6, "atol": 2e-6}
SPREADS = {"w_max_dtod": 0.3, "w_min_dtod": 0.3, "reset": 0.05, "reset_dtod": 0.3, "reset_std": 0.0}


def rng(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tile_and_copy(
    device: PulsedDevice, out_size: int = 30, in_size: int = 20
) -> tuple[AnalogTile, DeviceArray]:
    tile = AnalogTile(out_size, in_size, SingleRPUConfig(device=device))
    tile.tile.set_weights(torch.empty(out_size, in_size).uniform_(-0.8, 0.8, generator=rng(1)))
    return tile, from_hidden(device, [tile.get_hidden_parameters()], [tile.tile.get_weights()])


def check_equal(array: DeviceArray, tile: AnalogTile) -> None:
    torch.testing.assert_close(array.weight[0], tile.tile.get_weights(), **CLOSE)


def check_hidden_equal(array: DeviceArray, tile: AnalogTile) -> None:
    """Compare what pulses act on, where what is read has noise of its own."""
    theirs = tile.get_hidden_parameters()["persistent_weights"]
    torch.testing.assert_close(array.hidden_weight[0], theirs, **CLOSE)
    assert not torch.equal(array.weight[0], array.hidden_weight[0])


def check_same_law(ours: Tensor, theirs: Tensor) -> None:
    statistic = ks_2samp(ours.flatten().numpy(), theirs.flatten().numpy(), method="asymp").statistic
    size = 1 / (1 / ours.numel() + 1 / theirs.numel() + 1 / TABLE)
    assert kstwobign.sf(statistic * math.sqrt(size)) > ALARM


@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("spreads", [SPREADS, {}], ids=["to its reset value", "to zero"])
def test_decay(alpha: float, spreads: dict[str, float]) -> None:
    tile, array = tile_and_copy(ConstantStepDevice(lifetime=4.0, lifetime_dtod=0.5, **spreads))
    for _ in range(4):
        tile.decay_weights(alpha)
        decay_(array, alpha, rng=rng())
        check_equal(array, tile)


def test_decay_moves_the_weight_behind_the_write_noise() -> None:
    tile, array = tile_and_copy(
        ExpStepDevice(lifetime=4.0, lifetime_dtod=0.5, write_noise_std=50.0, **SPREADS)
    )
    for _ in range(3):
        tile.decay_weights()
        decay_(array, rng=rng())
        check_hidden_equal(array, tile)


@pytest.mark.parametrize("write_noise", [0.0, 50.0])
def test_diffusion(write_noise: float) -> None:
    device = SoftBoundsReferenceDevice(diffusion=0.1, diffusion_dtod=0.5, write_noise_std=write_noise)
    tile, array = tile_and_copy(device, 100, 200)
    before = array.weight.clone()
    tile.diffuse_weights()
    diffuse_(array, rng=rng())
    check_same_law(array.weight[0] - before[0], tile.tile.get_weights() - before[0])
    clipped = (array.weight[0] == array.max_bound[0]), (tile.tile.get_weights() == array.max_bound[0])
    assert write_noise > 0 or (clipped[0].any() and clipped[1].any())


@pytest.mark.parametrize("what", ["decay", "diffuse"])
def test_what_a_device_does_not_have_only_redraws_its_write_noise(what: str) -> None:
    """So does aihwkit, in calls that its training never makes."""
    tile, array = tile_and_copy(ExpStepDevice(write_noise_std=50.0), 100, 200)
    read, hidden = array.weight.clone(), array.hidden_weight.clone()
    if what == "decay":
        tile.decay_weights()
        decay_(array, rng=rng())
    else:
        tile.diffuse_weights()
        diffuse_(array, rng=rng())
    assert torch.equal(array.hidden_weight, hidden)
    assert not torch.equal(array.weight, read)
    check_same_law(array.weight[0] - hidden[0], tile.tile.get_weights() - hidden[0])


@pytest.mark.parametrize(("start", "count"), [(0, 3), (18, 4), (5, 20)])
def test_reset_of_word_lines(start: int, count: int) -> None:
    tile, array = tile_and_copy(ConstantStepDevice(**SPREADS))
    tile.reset_columns(start, count)
    where = torch.zeros(20, dtype=torch.bool)
    where[[(start + step) % 20 for step in range(count)]] = True
    reset_(array, where, rng=rng())
    check_equal(array, tile)


def test_reset_moves_the_weight_behind_the_write_noise() -> None:
    tile, array = tile_and_copy(ExpStepDevice(write_noise_std=50.0, **SPREADS))
    tile.reset()
    reset_(array, rng=rng())
    check_hidden_equal(array, tile)


@pytest.mark.parametrize("probability", [1.0, 0.3])
def test_reset_misses_at_random(probability: float) -> None:
    tile, array = tile_and_copy(ConstantStepDevice(**{**SPREADS, "reset_std": 0.2}), 100, 200)
    before = array.weight.clone()
    tile.reset(probability)
    reset_(array, probability=probability, rng=rng())
    check_same_law(array.weight[0], tile.tile.get_weights())
    # Where it was reset to, and how many: the weights before are independent of it.
    check_same_law(array.weight[0] - before[0], tile.tile.get_weights() - before[0])


def test_single_devices_can_be_reset() -> None:
    _, array = tile_and_copy(ConstantStepDevice(**SPREADS))
    before = array.weight.clone()
    where = torch.rand(1, 30, 20, generator=rng()) < 0.2
    reset_(array, where, rng=rng())
    assert torch.equal(array.weight[~where], before[~where])
    assert array.reset_bias is not None
    within = torch.minimum(torch.maximum(array.reset_bias, array.min_bound), array.max_bound)
    assert torch.equal(array.weight[where], within[where])


DRIFTS = {
    "power law": DriftParameter(nu=0.1, nu_dtod=0.5),
    "in other units": DriftParameter(nu=0.1, nu_dtod=0.5, t_0=20.0),
    "towards an offset": DriftParameter(nu=0.1, nu_dtod=0.2, g_offset=0.3, wg_ratio=2.0, w_offset=0.2),
    "by conductance": DriftParameter(
        nu=0.1, nu_k=0.03, log_g0=0.5, g_offset=0.1, wg_ratio=0.4, w_offset=-2.0
    ),
    "seldom new": DriftParameter(nu=0.1, reset_tol=0.05),
}
# At bounds of its own for each device, where drift towards an offset ends.
DRIFTING = {"w_max_dtod": 0.3, "w_min_dtod": 0.3}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift(drift: str) -> None:
    """Before and after t_0, again and again; weights written in between start anew, the others go on."""
    tile, array = tile_and_copy(ConstantStepDevice(drift=DRIFTS[drift], **DRIFTING))
    for interval in (0.3, 2.0, 50.0, 0.0, 1000.0, 3.0):
        tile.drift_weights(interval)
        drift_(array, interval, rng=rng())
        check_equal(array, tile)
    # Each gets its own weights back: a last digit of the other's may look like a write.
    halves = torch.tensor([0.5] * 10 + [1.0] * 20)[:, None]
    tile.tile.set_weights(tile.tile.get_weights() * halves)
    array.set_weights(array.weight * halves, rng=rng())
    for interval in (10.0, 500.0, 3.0):
        tile.drift_weights(interval)
        drift_(array, interval, rng=rng())
        check_equal(array, tile)


def test_drift_moves_the_weight_behind_the_write_noise() -> None:
    tile, array = tile_and_copy(ExpStepDevice(write_noise_std=50.0, drift=DRIFTS["power law"], **DRIFTING))
    for interval in (0.3, 2.0, 50.0):
        tile.drift_weights(interval)
        drift_(array, interval, rng=rng())
        check_hidden_equal(array, tile)


@pytest.mark.parametrize("noise", [{"nu_std": 0.5}, {"w_noise_std": 0.03}])
def test_noise_in_drift(noise: dict[str, float]) -> None:
    """The first keeps no memory, the second takes every weight for written at the next call."""
    device = ConstantStepDevice(drift=DriftParameter(nu=0.1, **noise), **DRIFTING)
    tile, array = tile_and_copy(device, 100, 200)
    before, noise_source = array.weight.clone(), rng()
    for interval in (10.0, 50.0):
        tile.drift_weights(interval)
        drift_(array, interval, rng=noise_source)
        check_same_law(array.weight[0] - before[0], tile.tile.get_weights() - before[0])


def test_what_does_not_drift_stays() -> None:
    tile, array = tile_and_copy(ConstantStepDevice())
    before = array.weight.clone()
    tile.drift_weights(1e6)
    drift_(array, 1e6, rng=rng())
    assert torch.equal(array.weight, before)
    check_equal(array, tile)


def test_drift_goes_on_from_a_saved_state() -> None:
    _, array = tile_and_copy(ConstantStepDevice(drift=DRIFTS["power law"]))
    _, other = tile_and_copy(ConstantStepDevice(drift=DRIFTS["power law"]))
    drift_(array, 10.0, rng=rng())
    other.load_state_dict(array.state_dict())
    for each in (array, other):
        drift_(each, 90.0, rng=rng())
    assert torch.equal(array.weight, other.weight)


@pytest.mark.parametrize("interval", [-1.0, math.nan, math.inf])
def test_time_does_not_run_backwards(interval: float) -> None:
    _, array = tile_and_copy(ConstantStepDevice(drift=DRIFTS["power law"]))
    with pytest.raises(ValueError, match=f"`delta_t` must be finite and at least 0, but is {interval}"):
        drift_(array, interval, rng=rng())


def test_a_logarithm_of_no_conductance_is_refused() -> None:
    _, array = tile_and_copy(ConstantStepDevice(drift=DriftParameter(nu=0.1, nu_k=0.1)))
    with pytest.raises(ValueError, match=r"`drift` must map every weight to a positive .* lowest is -0\.\d+"):
        drift_(array, 1.0, rng=rng())
