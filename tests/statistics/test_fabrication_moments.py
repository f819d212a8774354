"""Moments of fabricated devices against the formulas, and independence of devices, tiles and parameters.

Each comparison is two-sided at 4.9 standard errors: one false alarm in a million.
"""

import math

import pytest
import torch
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    LinearStepDevice,
    PowStepDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.inference import DriftParameter
from torch import Tensor

from devices.pulsed import fabricate

Z = 4.9
TILES, OUT_SIZE, IN_SIZE = 4, 100, 50
N = TILES * OUT_SIZE * IN_SIZE


def check_mean(values: Tensor, mean: float, std: float) -> None:
    assert abs(values.double().mean() - mean) < Z * std / math.sqrt(values.numel())


def check_normal(values: Tensor, mean: float, std: float) -> None:
    check_mean(values, mean, std)
    assert abs(values.double().std() - std) < Z * std / math.sqrt(2 * values.numel())


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1])


def test_bounds_and_steps() -> None:
    device = ConstantStepDevice(
        w_max=0.8, w_max_dtod=0.1, w_min=-0.5, w_min_dtod=0.2, dw_min=0.01, dw_min_dtod=0.15, up_down=0.2,
        up_down_dtod=0.05,
    )  # fmt: skip
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    check_normal(array.max_bound, 0.8, 0.08)
    check_normal(array.min_bound, -0.5, 0.1)
    spread = 0.01 * math.hypot(0.15, 0.05)
    check_normal(array.scale_up, 0.01, spread)
    check_normal(array.scale_down, 0.008, spread)
    # The gain is common to both directions, the asymmetry pulls them apart.
    expected = (0.15**2 - 0.05**2) / (0.15**2 + 0.05**2)
    found = correlation(array.scale_up, array.scale_down)
    assert abs(math.atanh(found) - math.atanh(expected)) < Z / math.sqrt(N - 3)


def test_log_normal_gain() -> None:
    device = ConstantStepDevice(dw_min=0.1, dw_min_dtod=0.7, dw_min_dtod_log_normal=True, up_down_dtod=0.0)
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    check_normal((array.scale_up / 0.1).log(), 0.0, 0.7)
    assert torch.equal(array.scale_up, array.scale_down)


def test_slopes_follow_steps() -> None:
    device = LinearStepDevice(
        gamma_up=0.4, gamma_up_dtod=0.05, gamma_down=0.2, gamma_down_dtod=0.02, w_max=0.8
    )
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    assert array.shape_up is not None
    assert array.shape_down is not None
    check_normal(-array.shape_up * 0.8 / array.scale_up, 0.4, 0.05)
    check_normal(array.shape_down * 0.6 / array.scale_down, 0.2, 0.02)


def test_exponents() -> None:
    device = PowStepDevice(pow_gamma=2.0, pow_gamma_dtod=0.1, pow_up_down=-0.1, pow_up_down_dtod=0.05)
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    assert array.shape_up is not None
    assert array.shape_down is not None
    check_normal(array.shape_up, 1.8, 2.0 * math.hypot(0.1, 0.05))
    check_normal(array.shape_down, 2.0, 2.0 * math.hypot(0.1, 0.05))


def test_retention() -> None:
    device = ConstantStepDevice(
        lifetime=100.0, lifetime_dtod=0.1, diffusion=0.01, diffusion_dtod=0.2, reset=0.05, reset_dtod=0.3,
        drift=DriftParameter(nu=0.1, nu_dtod=0.2),
    )  # fmt: skip
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    assert array.decay_scale is not None
    assert array.diffusion_rate is not None
    assert array.reset_bias is not None
    assert array.drift_nu is not None
    check_normal(1 / (1 - array.decay_scale.double()), 100.0, 10.0)
    check_normal(array.diffusion_rate, 0.01, 0.002)
    check_normal(array.reset_bias, 0.05, 0.3)
    check_normal(array.drift_nu, 0.1, 0.02)


def test_stuck_devices() -> None:
    device = ConstantStepDevice(
        corrupt_devices_prob=0.2, corrupt_devices_range=0.1, w_max_dtod=0.0, w_min_dtod=0.0
    )
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    stuck = array.max_bound == array.min_bound
    check_mean(stuck, 0.2, math.sqrt(0.2 * 0.8))
    assert torch.equal(stuck, array.scale_up == 0)
    assert torch.equal(stuck, array.scale_down == 0)
    check_mean(array.max_bound[stuck], 0.0, 0.2 / math.sqrt(12))
    assert array.max_bound[stuck].abs().max() <= 0.1


def test_reference_at_the_symmetry_point() -> None:
    """There, a step up is as large as a step down; the reference misses it by its own spread."""
    device = SoftBoundsReferenceDevice(
        up_down=0.2, up_down_dtod=0.1, subtract_symmetry_point=True, reference_std=0.05
    )
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    assert array.reset_bias is not None
    assert array.reference is not None
    up = array.scale_up * (1 - array.reset_bias / array.max_bound)
    down = array.scale_down * (1 - array.reset_bias / array.min_bound)
    assert torch.allclose(up, down, rtol=1e-4, atol=1e-8)
    check_normal(array.reference - array.reset_bias, 0.0, 0.05)


@pytest.mark.parametrize("name", ["max_bound", "min_bound", "scale_up", "diffusion_rate"])
def test_neighbours_and_tiles_are_independent(name: str) -> None:
    device = ConstantStepDevice(diffusion=0.1, diffusion_dtod=0.3)
    values = getattr(fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1), name)
    for one, other in (
        (values[:, :, 1:], values[:, :, :-1]),
        (values[:, 1:], values[:, :-1]),
        (values[1:], values[:-1]),
        (values, getattr(fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=2), name)),
    ):
        assert abs(correlation(one, other)) < Z / math.sqrt(one.numel())


def test_parameters_are_independent() -> None:
    device = ConstantStepDevice(
        diffusion=0.1, diffusion_dtod=0.3, lifetime=9.0, lifetime_dtod=0.1, reset_dtod=0.1
    )
    array = fabricate(device, TILES, OUT_SIZE, IN_SIZE, seed=1)
    names = ("max_bound", "min_bound", "scale_up", "diffusion_rate", "decay_scale", "reset_bias")
    rows = torch.stack([getattr(array, name).flatten() for name in names]).double()
    between = torch.corrcoef(rows) - torch.eye(len(names))
    assert between.abs().max() < Z / math.sqrt(N)
