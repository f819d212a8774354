"""Laws of one chip's history that hold number by number."""

import math

import pytest
import torch
from torch import Tensor

from devices import catalogue, generator, get, program
from devices.aihwkit_adapter import PCMLikeNoiseModel, ReRamCMONoiseModel

DAY = 86400.0
T_0 = {"pcm": 20.0, "pcm-hermes": 300.0, "pcm-hermes-single": 200.0}
EPS = torch.finfo(torch.float64).eps


def weights() -> Tensor:
    return torch.randn(4, 20, 10, generator=generator(0, "weights"), dtype=torch.float64)


@pytest.mark.parametrize("name", T_0)
@pytest.mark.parametrize("time", [1.0, DAY, 3e7])
def test_drift_is_a_power_of_time(name: str, time: float) -> None:
    tiles = program(get(name).noise_model(), weights(), seed=2)
    for g, g_0, exponent in zip(tiles.conductances(time), tiles.g_programmed, tiles.drawn, strict=True):
        assert exponent is not None
        expected = g_0 * torch.exp(-exponent * math.log1p(time / T_0[name]))
        # exp of a number below 10 loses at most 10 eps, relatively.
        assert (g - expected).abs().max() <= 20 * EPS * 25


@pytest.mark.parametrize("name", [*T_0, "reram-cmo", "ideal"])
def test_history_starts_at_the_written_state(name: str) -> None:
    tiles = program(get(name).noise_model(), weights(), seed=2)
    assert torch.equal(tiles.drifted_weights(0.0), tiles.programmed_weights)


@pytest.mark.parametrize("name", T_0)
def test_history_leaves_the_written_state_smoothly(name: str) -> None:
    tiles = program(get(name).noise_model(), weights(), seed=2)
    for time in (1e-3, 1e-6):
        change = (tiles.drifted_weights(time) - tiles.programmed_weights).abs()
        # g falls by nu t / t_0 of itself; nu < 0.5 and two devices of at most 1.3 g_max.
        assert change.max() <= 2 * 1.3 * 0.5 * time / T_0[name] * weights().abs().max()
        assert change.max() > 0


def test_wan_is_written_at_its_first_time() -> None:
    tiles = program(get("reram-wan2022").noise_model(), weights(), seed=2)
    assert torch.equal(tiles.drifted_weights(1.0), tiles.programmed_weights)


def test_wan_devices_keep_their_rank() -> None:
    target = torch.full((1, 50, 50), 20.0, dtype=torch.float64)
    tiles = program(get("reram-wan2022").noise_model(), target, seed=2)
    # All at one target: the order of the devices is the order of their deviations, at every time.
    orders = [tiles.conductances(time)[0].flatten().argsort() for time in (1.0, DAY, 2 * DAY)]
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[2])


def test_cmo_stays_in_its_window_once_it_relaxes() -> None:
    # 200 devices at either end of the window: some of them relax beyond it.
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None].expand(2, 200)[None]
    tiles = program(get("reram-cmo").noise_model(), ends, seed=2)
    for time in (1.0, DAY, 3e8):
        (g,) = tiles.conductances(time)
        assert (g.min(), g.max()) == (9.0, 88.199997)
        read = tiles.read_weights(time, rng=generator(0, "read"))
        assert abs(read.min() + 1) <= 8 * EPS * 2
        assert abs(read.max() - 1) <= 8 * EPS * 2


def test_cmo_relaxation_is_a_line_in_the_logarithm_of_time() -> None:
    # Mid window, each device has its own slope: three times equally spaced in ln(t) lie on a line.
    target = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)[:, None].expand(3, 100)[None]
    tiles = program(get("reram-cmo").noise_model(), target, seed=2)
    early, middle, late = (tiles.conductances(time)[0][0, 1] for time in (10.0, 1e4, 1e7))
    assert (early + late - 2 * middle).abs().max() <= 8 * EPS * 100
    assert (late - middle).std() > 0.1


def test_cmo_below_a_microsiemens_reads_without_noise() -> None:
    model = ReRamCMONoiseModel(g_max=0.9, g_min=0.001, acceptance_range=0.2)
    tiles = program(model, weights(), seed=2)
    read = tiles.read_weights(DAY, rng=generator(0, "read"))
    assert torch.equal(read, tiles.drifted_weights(DAY))
    assert read.isfinite().all()


@pytest.mark.parametrize("name", catalogue("inference"))
def test_without_noise_what_is_written_is_what_was_asked_for(name: str) -> None:
    model = get(name).noise_model()
    model.prog_noise_scale = model.noise_scale = model.drift_scale = model.read_noise_scale = 0.0
    tiles = program(model, weights(), seed=2)
    for aged in (
        tiles.programmed_weights,
        tiles.drifted_weights(DAY),
        tiles.read_weights(DAY, rng=generator(0, "read")),
    ):
        # 16 roundings by eps / 2 of twice the largest weight, with g_max / (g_max - g_min) < 1.2.
        assert (aged - weights()).abs().max() <= 8 * EPS * 2 * 1.2 * weights().abs().max()


def test_both_devices_of_a_pair_age() -> None:
    # aihwkit merges the pair into one weight after the write; its off device is never seen again.
    tiles = program(PCMLikeNoiseModel(), torch.ones(1, 30, 30), seed=2)
    off = tiles.conductances(DAY)[1]
    assert (tiles.g_target[1] == 0).all()
    assert 0.3 < (off > 0).double().mean() < 0.7
