"""What characterise measures on written devices, against published formulas and aihwkit's own models for one tile.

Moments within Z = 4.9 standard errors, one false alarm in a million for each of some 200 comparisons; distributions
by Kolmogorov-Smirnov tests that refuse at p < 1e-6.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from aihwkit.inference.compensation.drift import GlobalDriftCompensation, PerColumnDriftCompensation
from scipy.stats import ks_2samp
from torch import Tensor

from devices import get
from devices.aihwkit_adapter import BaseNoiseModel
from devices.characterisation.drift import measure_drift
from devices.characterisation.programming import measure_programming
from devices.characterisation.retention import measure_retention

Z, ALARM = 4.9, 1e-6
N = 10_000
DAY, YEAR = 86400.0, 365.25 * 86400.0
POWER_LAWS = ("pcm", "pcm-hermes", "pcm-hermes-single")


@contextmanager
def aihwkits_dice(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        yield


def check_spread(measured: float, sample: Tensor, n: int) -> None:
    """Compare a measured spread with that of a larger sample, whose fourth moment gives the error of both."""
    centred = sample - sample.mean()
    variance = float(centred.square().mean())
    kurtosis = float((centred**4).mean()) / variance**2
    error = math.sqrt((kurtosis - 1) / 4 * (1 / n + 1 / len(sample)))
    assert abs(measured / math.sqrt(variance) - 1) < Z * error


# Standard deviations of a write in µS against the target x in units of g_max: c_0 + c_1 x + c_2 x**2 + ...
PUBLISHED = {
    "pcm": (25.0, (0.26348, 1.965, -1.1731)),  # Nandakumar et al. (2019)
    "reram-wan2022": (40.0, (0.348, 16.030, -43.853, 45.393, -16.815)),  # Wan et al. (2022), after 1 s
    "reram-cmo": (1.0, (8.1107e-4, 1.06879e-3)),  # Falcone et al. (2025), acceptance range 0.2 %; x in µS
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_programming_error_is_the_published_one(name: str) -> None:
    programming = measure_programming(get(name), devices=N)
    assert programming is not None
    scale, coefficients = PUBLISHED[name]
    compared = 0
    for g_target, mean, std in zip(programming.g_target, programming.mean, programming.std, strict=True):
        expected = sum(c * (float(g_target) / scale) ** power for power, c in enumerate(coefficients))
        if float(g_target) < 6 * expected:
            continue  # some are clipped at zero
        compared += 1
        assert abs(float(std) / expected - 1) < Z / math.sqrt(2 * N)
        assert abs(float(mean)) < Z * expected / math.sqrt(N)
    assert compared >= 10


@pytest.mark.parametrize("name", POWER_LAWS)
def test_programming_error_is_aihwkits(name: str) -> None:
    """Also where devices are clipped at zero."""
    programming = measure_programming(get(name), devices=N)
    assert programming is not None
    for g_target, mean, std in zip(programming.g_target, programming.mean, programming.std, strict=True):
        asked = torch.full((4 * N,), float(g_target), dtype=torch.float64)
        with aihwkits_dice(1):
            miss = get(name).noise_model().apply_programming_noise_to_conductance(asked.clone()) - asked
        check_spread(float(std), miss, N)
        assert abs(float(mean) - float(miss.mean())) < Z * float(miss.std()) * math.sqrt(1.25 / N)


@pytest.mark.parametrize("name", POWER_LAWS)
def test_read_noise_is_aihwkits(name: str) -> None:
    programming = measure_programming(get(name), devices=N)
    assert programming is not None
    assert programming.read_times == (1.0, DAY, YEAR)
    noisy, quiet = get(name).noise_model(), get(name).noise_model()
    quiet.read_noise_scale = 0.0
    for level in (5, 10, 20):
        asked = torch.full((4 * N,), float(programming.g_target[level]), dtype=torch.float64)
        for time, std in zip(programming.read_times, programming.read_std[:, level], strict=True):
            with aihwkits_dice(2):
                g = noisy.apply_programming_noise_to_conductance(asked.clone())
                nu = noisy.generate_drift_coefficients(asked.clone())
                read = noisy.apply_drift_noise_to_conductance(g.clone(), nu, time)
            check_spread(float(std), read - quiet.apply_drift_noise_to_conductance(g.clone(), nu, time), N)


def test_read_noise_of_pcm_is_the_published_one() -> None:
    """Nandakumar et al. (2019): 0.0088 x^-0.65 sqrt(ln((t + t_read) / (2 t_read))) of the conductance, t from t_0 on.

    For what the largest target has become on average; its spread of 4 % of the conductance adds 0.1 %, its drift
    at random the spread of t^-nu: exactly, up to fourth order in 0.008 ln(t / t_0).
    """
    programming = measure_programming(get("pcm"), devices=N)
    assert programming is not None
    for time, std in zip(programming.read_times, programming.read_std[:, -1], strict=True):
        log_time = math.log((time + 20) / 20)
        faded = math.exp(-0.049 * log_time + (0.008 * log_time) ** 2)  # root of the mean square
        expected = 25 * faded * 0.0088 * math.sqrt(math.log((time + 20 + 250e-9) / (2 * 250e-9)))
        # The noise goes with g_programmed^0.35 g_programmed^0: 0.35^2 of the variance of the write, some 2e-4.
        assert abs(float(std) / expected - 1) < Z / math.sqrt(2 * N) + 2e-3


def test_read_noise_of_cmo_is_the_published_one() -> None:
    """Falcone et al. (2025): K log10(g) sqrt(ln((t + t_read) / (2 t_read))), in mid window: nothing is clipped."""
    programming = measure_programming(get("reram-cmo"), devices=N)
    assert programming is not None
    for time, noise in zip(programming.read_times, programming.read_std, strict=True):
        g = float(programming.g_target[10]) - 0.08900206 * math.log(time)
        expected = 0.0277316483 * math.log10(g) * math.sqrt(math.log((time + 1e-6) / 2e-6))
        # log10(g) of single devices differs by the relaxation, 1.1 µS of 47: 0.6 % of it, squared.
        assert abs(float(noise[10]) / expected - 1) < Z / math.sqrt(2 * N) + 1e-4


@pytest.mark.parametrize("name", POWER_LAWS)
def test_drift_is_aihwkits(name: str) -> None:
    """Exponents fitted to trajectories are those that aihwkit draws; and so are the changes within a day."""
    drift = measure_drift(get(name), devices=N)
    assert drift is not None
    assert drift.exponents is not None
    assert drift.change_time == DAY
    model = get(name).noise_model()
    model.read_noise_scale = 0.0
    for level, g_target in enumerate(drift.g_target.tolist()):
        asked = torch.full((4 * N,), g_target, dtype=torch.float64)
        with aihwkits_dice(3):
            g = model.apply_programming_noise_to_conductance(asked.clone())
            nu = model.generate_drift_coefficients(asked.clone())
            change = model.apply_drift_noise_to_conductance(g.clone(), nu, DAY) / g - 1
        assert ks_2samp(drift.exponents[level].numpy(), nu.numpy(), method="asymp").pvalue > ALARM
        assert ks_2samp(drift.change[level].numpy(), change.numpy(), method="asymp").pvalue > ALARM


def test_drift_exponents_of_pcm_are_the_published_ones() -> None:
    """Nandakumar et al. (2019): mean -0.0155 ln x + 0.0244 within 0.049 and 0.1, at least 0.008 of spread."""
    drift = measure_drift(get("pcm"), devices=N)
    assert drift is not None
    assert drift.exponents is not None
    for exponents, g_target in zip(drift.exponents, drift.g_target.tolist(), strict=True):
        log_level = math.log(g_target / 25)
        mean = min(max(-0.0155 * log_level + 0.0244, 0.049), 0.1)
        std = min(max(-0.0125 * log_level - 0.0059, 0.008), 0.045)
        assert abs(float(exponents.mean()) - mean) < Z * std / math.sqrt(N)
        assert abs(float(exponents.std()) - std) < Z * std / math.sqrt(2 * N)


def test_change_of_cmo_is_the_published_one() -> None:
    """Falcone et al. (2025): a line in the logarithm of time, whose spread grows likewise."""
    drift = measure_drift(get("reram-cmo"), devices=N)
    assert drift is not None
    assert drift.exponents is None
    level = 1  # 48.6 µS: clipped nowhere
    at_day = drift.times.tolist().index(DAY)
    written = float(drift.g_target[level])
    mean = written - 0.08900206 * math.log(DAY)
    # The write adds its own spread.
    std = math.hypot(0.04201137 * math.log(DAY) + 0.41183342, 8.1107e-4 + 1.06879e-3 * written)
    assert abs(float(drift.mean[level, at_day]) - mean) < Z * std / math.sqrt(N)
    assert abs(float(drift.std[level, at_day]) / std - 1) < Z / math.sqrt(2 * N)


@pytest.mark.parametrize("name", POWER_LAWS)
def test_trajectories_are_power_laws_without_jumps(name: str) -> None:
    """From one time to the next as far as the exponent of the device says; float64 leaves 1e-9 of a fit."""
    drift = measure_drift(get(name), devices=100)
    assert drift is not None
    assert drift.exponents is not None
    t_0 = get(name).noise_model().t_0
    advance = ((drift.times + t_0) / t_0).log().diff()
    moved = drift.traces.log().diff(dim=-1)
    assert (moved + drift.exponents[:, : moved.shape[1], None] * advance).abs().max() < 1e-9
    assert moved.abs().max() > 1e-3


def aihwkits_errors(model: BaseNoiseModel, time: float, compensation: str, tiles: int) -> Tensor:
    """Write tiles of 16 x 64 normal weights, age and compensate them with aihwkit: mean squared error of each."""
    readout = (
        PerColumnDriftCompensation if compensation == "per_column" else GlobalDriftCompensation
    )().readout
    converter, errors = model.g_converter, []
    for _ in range(tiles):
        weights = torch.randn(16, 64)
        conductances, parameters = converter.convert_to_conductances(weights)
        single = isinstance(conductances, Tensor)
        targets = [conductances] if single else conductances
        written = [model.apply_programming_noise_to_conductance(g.clone()) for g in targets]
        drawn = [model.generate_drift_coefficients(g.clone()) for g in targets]

        def weights_at(when: float) -> Tensor:
            aged = [
                model.apply_drift_noise_to_conductance(g.clone(), nu, when)
                for g, nu in zip(written, drawn, strict=True)  # noqa: B023
            ]
            return converter.convert_back_to_weights(aged[0] if single else aged, parameters)  # noqa: B023

        after = weights_at(time)
        factor = torch.ones(1)
        if compensation != "none":
            # Of the identity, as aihwkit reads a tile out: (word lines, bit lines).
            factor = (readout(weights_at(0.0).T) / readout(after.T)).reshape(-1, 1)
        errors.append((factor * after - weights).square().mean() / weights.square().mean())
    return torch.stack(errors)


@pytest.mark.parametrize("compensation", ["none", "per_tile", "per_column"])
@pytest.mark.parametrize("time", [1.0, DAY])
@pytest.mark.parametrize("name", ["pcm", "pcm-hermes"])
def test_retention_error_is_aihwkits(name: str, time: float, compensation: str) -> None:
    tiles = 64
    found = [
        point
        for point in measure_retention(get(name), devices=tiles * 1024)
        if point.time == time and point.compensation == compensation
    ]
    assert len(found) == 1
    with aihwkits_dice(4):
        theirs = aihwkits_errors(get(name).noise_model(), time, compensation, tiles)
    error = float(theirs.std()) * math.sqrt(2 / tiles)
    assert abs(found[0].error ** 2 - float(theirs.mean())) < Z * error
    # Which sees a change of the error by less than a tenth.
    assert Z * error < 0.2 * float(theirs.mean())
    roots = theirs.sqrt()
    # Errors of tiles are about normal, sums over a thousand weights: two spreads of as many tiles each.
    assert abs(found[0].spread / float(roots.std()) - 1) < Z * math.sqrt(1 / tiles)


def test_one_factor_for_all_tiles_is_that_of_tiles_alike() -> None:
    """Tiles that drift alike do not profit from factors of their own, nor suffer from a common one.

    Exponents differ by 0.01, times ln(t / t_0) = 14 after a year: the factor of a tile, a mean over 1024 devices,
    scatters by 0.5 % and with it, in the square, what is left of the error along the weights, at most a tenth.
    """
    found = {(point.time, point.compensation): point.error for point in measure_retention(get("pcm"))}
    for time in (1.0, DAY, YEAR):
        assert abs(found[time, "global"] ** 2 - found[time, "per_tile"] ** 2) < 0.005**2 + 2 * 0.005 * 0.1
    assert found[YEAR, "global"] < 0.6 * found[YEAR, "none"]
