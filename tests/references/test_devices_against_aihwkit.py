"""One tile of ours against aihwkit's own functions, drawn freshly: the same distribution of weights.

Two-sample Kolmogorov-Smirnov tests refuse at p < 1e-6 each: about one false alarm in 30,000 runs of the file.
With N cells on each side they see a shift of 0.04 of a spread. Ties (clipping) only make the test milder.
"""

import warnings

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from devices import catalogue, generator, get, program
from devices.aihwkit_adapter import BaseNoiseModel, CustomDriftPCMLikeNoiseModel, StateIndependentNoiseModel

N = 40_000
DAY = 86400.0
ALARM = 1e-6
CUSTOM = {"g_lst": [0.0, 10.0, 25.0], "nu_mean_lst": [0.1, 0.05, 0.05], "nu_std_lst": [0.01, 0.01, 0.02]}
MODELS = {name: get(name).noise_model for name in catalogue("inference") if name != "ideal"} | {
    "state-independent": StateIndependentNoiseModel,
    "custom drift": lambda: CustomDriftPCMLikeNoiseModel(CUSTOM),
}

every_model = pytest.mark.parametrize("name", MODELS)


def tile() -> Tensor:
    """Positive, negative and small weights; the first and last set the range."""
    return torch.tensor([-1.0, -0.4, 0.03, 0.5, 1.0])[:, None].repeat(1, N)


def aihwkit_weights(model: BaseNoiseModel, time: float | None) -> Tensor:
    """Write and age a tile with aihwkit's functions on the conductances, with fresh random numbers."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(1234)
        conductances, parameters = model.g_converter.convert_to_conductances(tile())
        devices = []
        for g_target in [conductances] if isinstance(conductances, Tensor) else conductances:
            g = model.apply_programming_noise_to_conductance(g_target.clone())
            drawn = model.generate_drift_coefficients(g_target.clone())
            devices.append(g if time is None else model.apply_drift_noise_to_conductance(g, drawn, time))
        aged = devices[0] if isinstance(conductances, Tensor) else devices
        return model.g_converter.convert_back_to_weights(aged, parameters)


def check_same_distribution(ours: Tensor, reference: Tensor) -> None:
    for row in range(len(reference)):
        assert ks_2samp(ours[row].numpy(), reference[row].numpy(), method="asymp").pvalue > ALARM


@every_model
def test_written_weights(name: str) -> None:
    ours = program(MODELS[name](), tile()[None], seed=7).programmed_weights[0]
    check_same_distribution(ours, aihwkit_weights(MODELS[name](), None))


@every_model
@pytest.mark.parametrize("time", [1.0, DAY])
def test_read_weights(name: str, time: float) -> None:
    tiles = program(MODELS[name](), tile()[None], seed=7)
    ours = tiles.read_weights(time, rng=generator(7, "read"))[0]
    check_same_distribution(ours, aihwkit_weights(MODELS[name](), time))


@every_model
def test_aged_weights_without_read_noise(name: str) -> None:
    model = MODELS[name]()
    model.read_noise_scale = 0.0
    ours = program(MODELS[name](), tile()[None], seed=7).drifted_weights(DAY)[0]
    check_same_distribution(ours, aihwkit_weights(model, DAY))


@every_model
def test_a_tile_in_a_batch_is_a_tile_alone(name: str) -> None:
    batch = torch.stack([7.0 * tile(), tile(), 0.01 * tile()])
    ours = program(MODELS[name](), batch, seed=7).drifted_weights(DAY)
    alone = program(MODELS[name](), tile()[None], seed=8).drifted_weights(DAY)[0]
    check_same_distribution(ours[1], alone)
    check_same_distribution(ours[0] / 7.0, alone)
    check_same_distribution(ours[2] / 0.01, alone)
