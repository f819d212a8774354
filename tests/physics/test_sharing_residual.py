"""How equal copies are: against differences and moments written out by hand."""

import math

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.presets import StandardHWATrainingPreset
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    TileArray,
    age_chip,
    copies_residual,
    model_sharing,
    program_chip,
    weight_signal_to_noise,
)
from devices import get

KERNELS = torch.tensor([0, 1, 0, 0])


def array_with(weight, populated=None):
    """Copies (tiles, out, in) of two kernels, as devices that learn in place show them; all scales are 2."""
    config = SingleRPUConfig(
        device=ConstantStepDevice(w_max=10.0, w_min=-10.0, w_max_dtod=0.0, w_min_dtod=0.0)
    )
    array = TileArray(4, *weight.shape[1:], config, kernel_of_tile=KERNELS, populated=populated)
    array.mapping_scales.fill_(2.0)
    array.cells.array.weight.copy_(weight)
    array.post_update_step()
    return array


def test_differences_by_hand():
    """Kernel 0 has copies 1, 2, 6 (mean 3), kernel 1 one copy of 5: the scale of 2 cancels."""
    weight = torch.tensor([1.0, 5.0, 2.0, 6.0]).reshape(4, 1, 1)
    residual = copies_residual(array_with(weight))
    size = math.sqrt((3 * 3**2 + 5**2) / 4)
    assert residual.rms == pytest.approx(math.sqrt((4 + 1 + 9) / 4) / size, rel=1e-6)
    assert residual.largest == pytest.approx(3 / size, rel=1e-6)


def test_signal_to_noise_of_copies_by_hand():
    weight = torch.tensor([[1.0, 4.0], [2.0, 2.0], [3.0, 8.0], [2.0, 6.0]]).reshape(4, 1, 2)
    array = TileArray(4, 1, 2, array_with(weight).rpu_config, kernel_of_tile=torch.zeros(4, dtype=torch.long))
    array.cells.array.weight.copy_(weight)
    array.post_update_step()
    # means 2 and 5, variances 1/2 and 5
    assert copies_residual(array).signal_to_noise == pytest.approx((4 / 0.5 + 25 / 5) / 2, rel=1e-6)


def test_absent_devices_do_not_count():
    weight = torch.tensor([1.0, 5.0, 2.0, 6.0]).reshape(4, 1, 1)
    populated = torch.tensor([True, False]).expand(2, 1, 2).clone()
    padded = torch.cat([weight, torch.zeros_like(weight)], dim=2)
    assert copies_residual(array_with(padded, populated)) == copies_residual(array_with(weight))


def test_signal_to_noise_of_locations():
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(6, 4, 5, generator=rng)
    expected = (weights.double().mean(0) ** 2 / weights.double().var(0, unbiased=False)).mean()
    assert weight_signal_to_noise(weights) == pytest.approx(float(expected), rel=1e-12)
    counts = torch.tensor([1, 3, 2, 1, 4, 1])
    spread_out = weights.repeat_interleave(counts, dim=0)
    assert weight_signal_to_noise(weights, counts) == pytest.approx(
        weight_signal_to_noise(spread_out), rel=1e-12
    )
    assert weight_signal_to_noise(weights[:1].expand(7, -1, -1)) == math.inf
    assert weight_signal_to_noise(weights[:1], torch.tensor([7])) == math.inf
    padded = torch.cat([weights, torch.zeros(6, 4, 1)], dim=2)
    assert weight_signal_to_noise(padded) == pytest.approx(float(expected), rel=1e-12)


def test_independent_kernels_have_one_over_their_number():
    """E[mean^2 / var] = 1 / (L - 3) for normal weights: L times F(1, L-1) / (L (L-1)) with mean (L-1)/(L-3).

    F(1, 39) has the variance 2.36 (2 n^2 (n-1) / ((n-2)^2 (n-4)) with n = 39): 5 sigma of 10,000 weights, two-sided.
    """
    locations, number = 40, 10_000
    weights = torch.randn(locations, 1, number, generator=torch.Generator().manual_seed(1))
    n = locations - 1
    sigma = math.sqrt(2 * n**2 * (n - 1) / ((n - 2) ** 2 * (n - 4)) / number) / n
    assert abs(weight_signal_to_noise(weights) - 1 / (locations - 3)) < 5 * sigma


def test_programmed_copies_differ_and_age_apart():
    layer = AnalogLocallyConnected2d(
        1, 4, 3, 10, placement="replicated(tiles=16)", rpu_config=StandardHWATrainingPreset()
    ).eval()
    array = layer.tile_array
    assert copies_residual(array).rms == 0.0
    assert copies_residual(array).signal_to_noise == math.inf
    program_chip(layer, get("pcm").noise_model(), seed=0, compensation="per_tile")
    scales = array.scales()[array.kernel_of_tile][..., None].detach()

    def by_hand(weight):
        difference, mean = weight - weight.mean(0), weight.mean(0)
        size = mean.square().mean().sqrt()
        return float(difference.square().mean().sqrt() / size), float(difference.abs().max() / size)

    fresh = copies_residual(array)
    assert (fresh.rms, fresh.largest) == pytest.approx(by_hand(array.reading.weight * scales), rel=1e-5)
    age_chip(layer, 3e7, seed=1)
    aged = copies_residual(array)
    assert aged.rms > 1.2 * fresh.rms
    # Compensation is part of what is read: it makes up for what a copy has lost as a whole.
    compensated = array.reading.weight * array.reading.factor * scales
    assert (aged.rms, aged.largest) == pytest.approx(by_hand(compensated), rel=1e-5)


def test_every_layer_with_locations_is_reported():
    config = StandardHWATrainingPreset()
    config.mapping.max_input_size = 20  # two tiles for a kernel of 27
    model = nn.Sequential(
        LocallyConnected2d(1, 3, 3, 10, placement="blocks(rows=1,cols=3)"),
        AnalogConv2d(3, 3, 3, rpu_config=config),
        AnalogLocallyConnected2d(3, 3, 3, 6, placement="replicated(tiles=5)", rpu_config=config),
        AnalogLocallyConnected2d(3, 3, 3, 4, placement="blocks(rows=1,cols=2)", rpu_config=config),
        nn.Flatten(),
        AnalogLinear(12, 4, rpu_config=config),
    )
    sharing = model_sharing(model)
    assert list(sharing) == ["0", "1", "2", "3"]
    assert [layer.copies is None for layer in sharing.values()] == [True, True, False, True]
    assert sharing["1"].signal_to_noise == sharing["2"].signal_to_noise == math.inf
    # Three columns of blocks of 3, 3 and 2 columns; kernels count as often as they are used.
    counts = torch.tensor([24, 24, 16])
    expected = weight_signal_to_noise(model[0].weight.flatten(2), counts)
    assert sharing["0"].signal_to_noise == pytest.approx(expected, rel=1e-12)
    assert sharing["3"].signal_to_noise == pytest.approx(
        weight_signal_to_noise(model[3].get_weights()[0].flatten(2)), rel=1e-6
    )
