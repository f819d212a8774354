"""The draws follow the published formulas, and what should be independent is.

All bounds are Z standard errors, one false alarm in a million for each comparison.
"""

import math

import pytest
import torch
from torch import Tensor

from devices import ProgrammedTiles, generator, get, program
from devices.aihwkit_adapter import PCMLikeNoiseModel, ReRamCMONoiseModel

Z = 4.9
N = 40_000
DAY = 86400.0
LEVELS = (0.05, 0.3, 0.5, 1.0)  # of g_max; 1.0 sets the scale of the tile


def levels(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """One tile with N cells on each level."""
    return torch.tensor(LEVELS, dtype=dtype)[:, None].expand(len(LEVELS), N)[None]


def check_moments(sample: Tensor, mean: float, std: float) -> None:
    """Compare with a Gaussian's mean and spread."""
    n = sample.numel()
    assert abs(float(sample.mean()) - mean) < Z * std / math.sqrt(n)
    assert abs(float(sample.std()) - std) < Z * std / math.sqrt(2 * n)


def check_independent(one: Tensor, two: Tensor) -> None:
    correlation = float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])
    assert abs(correlation) < Z / math.sqrt(one.numel())


def folded_moments(mean: float, std: float) -> tuple[float, float]:
    """Return mean and spread of abs(Gaussian)."""
    folded = std * math.sqrt(2 / math.pi) * math.exp(-((mean / std) ** 2) / 2) + mean * math.erf(
        mean / (std * math.sqrt(2))
    )
    return folded, math.sqrt(mean**2 + std**2 - folded**2)


def pcm(**options: float) -> ProgrammedTiles:
    return program(PCMLikeNoiseModel(**options), levels(), seed=5)


@pytest.mark.parametrize("g_max", [25.0, 50.0])
@pytest.mark.parametrize("row", [1, 2, 3])
def test_pcm_programming_noise(row: int, g_max: float) -> None:
    # Nandakumar et al. (2019) for g_max = 25 µS; it grows with g_max. From level 0.3 on nothing is clipped:
    # zero lies more than 8 sigma below.
    x = LEVELS[row]
    std = (0.26348 + 1.965 * x - 1.1731 * x**2) * g_max / 25
    check_moments(pcm(g_max=g_max).g_programmed[0][0, row], x * g_max, std)


def test_pcm_conductance_is_never_negative() -> None:
    # The device of the other sign has target 0: half of its writes are clipped, the rest is half a Gaussian.
    g = pcm().g_programmed[1].flatten()
    n, std = g.numel(), 0.26348
    assert g.min() == 0
    assert abs(float((g == 0).double().mean()) - 0.5) < Z * 0.5 / math.sqrt(n)
    mean, variance = std / math.sqrt(2 * math.pi), std**2 * (0.5 - 0.5 / math.pi)
    assert abs(float(g.mean()) - mean) < Z * math.sqrt(variance / n)
    assert abs(float((g**2).mean()) - std**2 / 2) < Z * math.sqrt(1.25 / n) * std**2


@pytest.mark.parametrize("row", range(4))
def test_pcm_drift_exponents(row: int) -> None:
    log_level = math.log(LEVELS[row])
    mean = min(max(-0.0155 * log_level + 0.0244, 0.049), 0.1)
    std = min(max(-0.0125 * log_level - 0.0059, 0.008), 0.045)
    folded_mean, folded_std = folded_moments(mean, std)
    exponents = pcm().drawn[0]
    assert exponents is not None
    sample, n = exponents[0, row], N
    assert abs(float(sample.mean()) - folded_mean) < Z * folded_std / math.sqrt(n)
    # Folding makes the tails lighter than a Gaussian's, so a Gaussian's standard error is an upper bound.
    assert abs(float(sample.std()) - folded_std) < Z * std / math.sqrt(2 * n)


@pytest.mark.parametrize("row", [2, 3])
@pytest.mark.parametrize("time", [0.0, DAY])
def test_pcm_read_noise(row: int, time: float) -> None:
    # Some 0.07 of the conductance, far from clipping. Without programming noise the minus device is just off,
    # and its noise, which is in proportion, as well.
    tiles = program(PCMLikeNoiseModel(prog_noise_scale=0.0), levels(), seed=5)
    drifted, read = tiles.drifted_weights(time), tiles.read_weights(time, rng=generator(5, "read"))
    level = LEVELS[row]
    std = 0.0088 / level**0.65 * math.sqrt(math.log((time + 20.0 + 250e-9) / (2 * 250e-9)))
    check_moments((read / drifted - 1)[0, row], 0.0, std)


def test_pcm_sources_of_noise_are_independent() -> None:
    tiles = pcm()
    plus, minus = tiles.drawn
    assert plus is not None
    assert minus is not None
    miss = tiles.g_programmed[0] - tiles.g_target[0]
    check_independent(miss[0, 3], plus[0, 3])
    check_independent(plus[0, 3], minus[0, 3])
    check_independent(miss[0, 3], tiles.g_programmed[1][0, 3])


def test_two_reads_are_independent() -> None:
    tiles = pcm()
    rng = generator(5, "read")
    one, two = (tiles.read_weights(DAY, rng=rng) - tiles.drifted_weights(DAY) for _ in range(2))
    check_independent(one[0, 3], two[0, 3])
    # Read noise also owes nothing to the write.
    check_independent(one[0, 3], (tiles.g_programmed[0] - tiles.g_target[0])[0, 3])


def test_two_tiles_and_two_chips_are_independent() -> None:
    weights = levels()[:, 3:].expand(2, 1, N)
    one, two = (program(get("pcm").noise_model(), weights, seed=seed).programmed_weights for seed in (1, 2))
    check_independent(one[0], one[1])
    check_independent(one[0], two[0])


# c_0 + c_1 x + ... of Wan et al. (2022) in µS, x in units of 40 µS, as fitted from its figures.
WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY: (0.701, 22.086, -50.773, 47.095, -16.458),
    2 * DAY: (0.782, 20.274, -43.507, 37.062, -11.934),
}


@pytest.mark.parametrize("row", [2, 3])
@pytest.mark.parametrize("time", WAN)
def test_wan_spread_at_its_times(time: float, row: int) -> None:
    level = LEVELS[row]  # of 40 µS: 20 and 40 µS, more than 5 sigma above zero
    std = sum(coefficient * level**power for power, coefficient in enumerate(WAN[time]))
    tiles = program(get("reram-wan2022").noise_model(), levels(), seed=5)
    check_moments(tiles.conductances(time)[0][0, row], level * 40, std)


def test_wan_scales() -> None:
    model = get("reram-wan2022").noise_model()
    model.noise_scale, model.coeff_g_max_reference = 0.5, 20.0
    g = program(model, levels(), seed=5).conductances(1.0)[0][0, 3]
    check_moments(g, 40.0, sum(WAN[1.0]) * 0.5 * 40 / 20)


# CMO maps the smallest weight of a tile to 9 µS and the largest to 88.2 µS.
CMO_WINDOW = 88.199997 - 9.0


def cmo(**options: float) -> ProgrammedTiles:
    return program(ReRamCMONoiseModel(acceptance_range=0.2, **options), levels(), seed=5)


@pytest.mark.parametrize(
    ("acceptance", "offset", "slope"), [(0.2, 8.1107e-4, 1.06879e-3), (2, 0.0112185391, 0.01129027418)]
)
def test_cmo_programming_noise(acceptance: float, offset: float, slope: float) -> None:
    tiles = program(ReRamCMONoiseModel(acceptance_range=acceptance), levels(), seed=5)
    target = 9.0 + CMO_WINDOW * (0.5 - 0.05) / 0.95
    check_moments(tiles.g_programmed[0][0, 2], target, offset + slope * target)


@pytest.mark.parametrize("time", [1.0, DAY, 10 * 365 * DAY])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_cmo_relaxation(time: float, scale: float) -> None:
    tiles = cmo(drift_scale=scale)
    moved = (tiles.conductances(time)[0] - tiles.g_programmed[0])[0, 2]  # mid window: nothing is clipped
    log_time = math.log(time)
    check_moments(moved, -0.08900206 * log_time * scale, (0.04201137 * log_time + 0.41183342) * scale)


@pytest.mark.parametrize("time", [1.0, DAY])
def test_cmo_read_noise(time: float) -> None:
    tiles = cmo()
    g = tiles.conductances(time)[0]
    in_weight = 0.95 / CMO_WINDOW
    noise = (tiles.read_weights(time, rng=generator(5, "read")) - tiles.drifted_weights(time)) / in_weight
    growth = math.sqrt(math.log((time + 1e-6) / 2e-6))
    check_moments((noise / g.log10())[0, 2], 0.0, 0.0277316483 * growth)


def test_cmo_sources_of_noise_are_independent() -> None:
    tiles = cmo()
    miss = (tiles.g_programmed[0] - tiles.g_target[0])[0, 2]
    moved = (tiles.conductances(DAY)[0] - tiles.g_programmed[0])[0, 2]
    noise = (tiles.read_weights(DAY, rng=generator(5, "read")) - tiles.drifted_weights(DAY))[0, 2]
    check_independent(miss, moved)
    check_independent(moved, noise)
