"""Nothing shares noise: kernels, vectors and lines draw trains of their own, tiles and bit lines their own response.

Every correlation of two samples of 500 is compared at Z = 4.9 standard errors, two-sided (one false alarm in a
million each, were the draws not seeded); two streams that are one correlate fully.
"""

import math

import pytest
import torch
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from torch import Tensor

from devices.pulsed import Engine, PulseTrains, apply_trains, draw_trains, fabricate, pulsed_update

LINES, LENGTH, GRANULARITY = 500, 31, 0.001
LIMIT = 4.9 / math.sqrt(LINES)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def largest_correlation(samples: Tensor) -> float:
    """Of any two of (samples, LINES)."""
    correlations = torch.corrcoef(samples.float())
    return float((correlations - torch.eye(len(samples))).abs().max())


def even_trains(
    probability: float, kernels: int, batch: int, kind: PulseType = PulseType.STOCHASTIC_COMPRESSED
) -> PulseTrains:
    """Every line pulses with one probability."""
    update = UpdateParameters(
        desired_bl=LENGTH, update_management=False, update_bl_management=False, pulse_type=kind
    )
    ones = torch.ones(kernels, batch, LINES)
    rate = probability**2 * LENGTH * GRANULARITY
    return draw_trains(ones, ones, rate, GRANULARITY, update, rng=rng())


def test_kernels_and_vectors_draw_trains_of_their_own() -> None:
    trains = even_trains(0.5, kernels=3, batch=4)
    both = torch.cat([trains.x_pulses.flatten(0, 1), trains.d_pulses.flatten(0, 1)])
    assert both.std() > 2.0  # of 31 slots: sqrt(31) / 2 = 2.8
    assert largest_correlation(both) < LIMIT


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("exact", PulseType.STOCHASTIC_COMPRESSED),
        ("exact", PulseType.MEAN_COUNT),
        ("aggregated", PulseType.STOCHASTIC_COMPRESSED),
    ],
)
def test_tiles_and_bit_lines_that_receive_the_same_trains_respond_each_in_its_way(
    engine: Engine, kind: PulseType
) -> None:
    device = ConstantStepDevice(dw_min=GRANULARITY, dw_min_dtod=0.0, dw_min_std=1.0, up_down_dtod=0.0)
    devices = fabricate(device, 3, LINES, LINES, seed=0)
    trains = even_trains(1.0, kernels=1, batch=1, kind=kind)
    of_all = torch.zeros(3, dtype=torch.int64)
    apply_trains(devices, trains, rng=rng(1), engine=engine, tile_of_train=of_all)
    few = devices.weight[:, :4].flatten(0, 1)
    assert 0.8 < few.std() / (GRANULARITY * math.sqrt(LENGTH)) < 1.2
    assert largest_correlation(few) < LIMIT


@pytest.mark.parametrize("kind", [PulseType.NONE, PulseType.NONE_WITH_DEVICE], ids=lambda kind: kind.name)
@pytest.mark.parametrize("tile_of_train", [None, torch.tensor([1, 0, 1])])
def test_bare_products_are_those_of_each_kernel(kind: PulseType, tile_of_train: Tensor | None) -> None:
    kernels = 3 if tile_of_train is None else 2
    x, d = torch.randn(kernels, 8, 5, generator=rng(1)), torch.randn(kernels, 8, 4, generator=rng(2))
    devices = fabricate(ConstantStepDevice(), 3, 4, 5, seed=0)
    update = UpdateParameters(pulse_type=kind)
    pulsed_update(devices, x, d, 0.01, update, rng=rng(), tile_of_train=tile_of_train)
    expected = -0.01 * torch.einsum("kbo,kbi->koi", d.double(), x.double())
    expected = expected if tile_of_train is None else expected[tile_of_train]
    # Float32 sums of 8 products of the order of 1, times 0.01; the bounds are farther.
    assert (devices.weight - expected).abs().max() < 1e-7
    assert (devices.weight[0] - devices.weight[1]).abs().max() > 0.01
