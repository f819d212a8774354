"""Noisy convolutions of signals and volumes have the statistics of aihwkit's own layers, location by location."""

import math

import aihwkit.nn
import pytest
import torch

import crossbar
from crossbar.aihwkit.adapter import InferenceRPUConfig

Z = 4.9  # two-sided, one false alarm in a million
DRAWS = 4000
TABLE_BIAS = 4 * 0.0055  # of aihwkit's table of random numbers, in standard deviations, four of its own


def noisy() -> InferenceRPUConfig:
    """Converters, noise of inputs, weights and outputs, as aihwkit's tiles have them by default, but more of it."""
    config = InferenceRPUConfig()
    config.forward.inp_noise, config.forward.w_noise, config.forward.out_noise = 0.02, 0.02, 0.1
    config.forward.w_noise_type = type(config.forward.w_noise_type).PCM_READ
    config.mapping.weight_scaling_omega = 0.6
    return config


def compare(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[float, float]:
    """Return how far means and standard deviations of all outputs are apart, in units of what chance allows."""
    spread = theirs.std(dim=0)
    means = (ours.mean(dim=0) - theirs.mean(dim=0)).abs() / spread
    spreads = (ours.std(dim=0) / spread - 1).abs()
    allowed_mean, allowed_spread = Z * math.sqrt(2 / DRAWS) + TABLE_BIAS, Z / math.sqrt(DRAWS) + 0.01
    return float(means.max()) / allowed_mean, float(spreads.max()) / allowed_spread


CASES = {1: ((3, 4, 5), {"stride": 2, "padding": 2}, (3, 11)), 3: ((2, 3, 2), {"padding": 1}, (2, 2, 3, 2))}


@pytest.mark.parametrize("axes", CASES)
def test_noise_is_aihwkits(axes):
    torch.manual_seed(0)
    sizes, options, shape = CASES[axes]
    config = noisy()
    theirs = getattr(aihwkit.nn, f"AnalogConv{axes}d")(*sizes, rpu_config=config, **options).eval()
    ours = getattr(crossbar, f"AnalogConv{axes}d")(*sizes, rpu_config=config, **options, seed=0).eval()
    weight, bias = torch.randn(ours.kernel_shape()) * 0.3, torch.randn(sizes[1])
    theirs.set_weights(weight, bias)
    ours.set_weights(weight, bias)
    x = torch.randn(1, *shape).expand(DRAWS, *shape).contiguous()
    with torch.no_grad():
        mean, spread = compare(ours(x), theirs(x))
        assert mean < 1
        assert spread < 1
        # A twentieth less noise is seen, and so is a weight that is wrong by a twentieth of the largest.
        config.forward.out_noise *= 0.8
        ours.replace_rpu_config(config)
        assert compare(ours(x), theirs(x))[1] > 1
        config.forward.out_noise /= 0.8
        ours.replace_rpu_config(config)
        weight.view(-1)[0] += 0.1
        ours.set_weights(weight, bias)
        assert compare(ours(x), theirs(x))[0] > 1
