"""Input ranges from examples, and hidden parameters by aihwkit's names."""

import pytest
import torch
from aihwkit.inference.calibration import InputRangeCalibrationType
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import OneSidedUnitCell
from aihwkit.simulator.configs.devices import LinearStepDevice, SoftBoundsDevice
from torch import nn

from crossbar import AnalogConv2d, AnalogLinear, calibrate_input_ranges
from crossbar.aihwkit.adapter import AnalogSequential, BoundManagementType, NoiseManagementType

KINDS = InputRangeCalibrationType


def network(enable=True):
    config = InferenceRPUConfig()
    config.forward.noise_management = NoiseManagementType.NONE
    config.forward.bound_management = BoundManagementType.NONE
    config.pre_post.input_range.enable = enable
    config.mapping.max_input_size = 20
    torch.manual_seed(0)
    return AnalogSequential(
        AnalogConv2d(1, 2, 3, rpu_config=config), nn.Flatten(), AnalogLinear(32, 3, rpu_config=config)
    )


def batches(scale=1.0):
    generator = torch.Generator().manual_seed(1)
    return [((scale * torch.randn(10, 1, 6, 6, generator=generator),), {}) for _ in range(5)]


@pytest.mark.parametrize("kind", [KINDS.MAX, KINDS.CACHE_QUANTILE, KINDS.MOVING_QUANTILE, KINDS.MOVING_STD])
def test_a_range_is_what_the_strategy_says_of_the_inputs(kind):
    model = network()
    calibrate_input_ranges(model, kind, batches(), quantile=1.0, std_alpha=3.0, max_samples=10**6)
    patches = [nn.functional.unfold(x, 3).transpose(1, 2).flatten(0, 1) for (x,), _ in batches()]
    expected = {
        KINDS.MAX: torch.cat(patches).abs().max(),
        KINDS.CACHE_QUANTILE: torch.cat(patches).abs().max(),
        KINDS.MOVING_QUANTILE: torch.stack([x.abs().max() for x in patches]).mean(),
        KINDS.MOVING_STD: 3 * torch.stack([x.std() for x in patches]).mean(),
    }[kind]
    assert torch.allclose(model[0].tile_array.input_range, expected, rtol=1e-5)
    assert model.training
    assert not model[0].tile_array.rpu_config.forward.is_perfect
    # Both physical tiles of the last layer have inputs of their own.
    assert model[2].tile_array.tiles == 2
    assert model[2].tile_array.input_range.unique().numel() == 2


def test_layers_without_a_range_get_one_if_that_is_wanted():
    model = network(enable=False)
    calibrate_input_ranges(model, KINDS.MAX, batches(), force_all_layers=False)
    assert model[0].tile_array.input_range is None
    before = [name for name, _ in model.named_parameters()]
    calibrate_input_ranges(model, KINDS.MAX, batches(0.5))
    assert model[0].tile_array.input_range is not None
    assert [name for name, _ in model.named_parameters()] == before
    assert model(batches()[0][0][0]).shape == (10, 3)
    calibrate_input_ranges(model, KINDS.NONE, [])
    with pytest.raises(ValueError, match=r"`quantile` must lie in \(0, 1\]"):
        calibrate_input_ranges(model, KINDS.MAX, batches(), quantile=0.0)
    managed = AnalogLinear(4, 2)
    managed.tile_array.rpu_config.pre_post.input_range.enable = True
    managed = AnalogLinear(4, 2, rpu_config=managed.tile_array.rpu_config)
    with pytest.raises(ValueError, match=r"`forward.noise_management` must be NONE"):
        calibrate_input_ranges(managed, KINDS.MAX, [], force_all_layers=False)


@pytest.mark.parametrize("backend", ["batched", "aihwkit"])
@pytest.mark.parametrize("device", [LinearStepDevice(), OneSidedUnitCell([SoftBoundsDevice()])])
def test_hidden_parameters_are_read_and_written_by_aihwkits_names(device, backend):
    is_cell = isinstance(device, OneSidedUnitCell)
    config = UnitCellRPUConfig(device=device) if is_cell else SingleRPUConfig(device=device)
    layer = AnalogLinear(4, 3, rpu_config=config, backend=backend, seed=1)
    tile = layer.tile_array
    hidden = tile.get_hidden_parameters()
    assert list(hidden) == tile.get_hidden_parameter_names()
    name = "max_bound_0" if is_cell else "max_bound"
    assert hidden[name].shape == (3, 4)
    hidden[name] = torch.full((3, 4), 0.01)
    tile.set_hidden_parameters(hidden)
    assert torch.equal(tile.get_hidden_parameters()[name], hidden[name])
    if not is_cell:
        assert layer.get_weights()[0].max() <= 0.01
    with pytest.raises(ValueError, match="`parameters` must have the names"):
        tile.set_hidden_parameters({"bounds": torch.zeros(3, 4)})
    hidden[name] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=f"'{name}' of `parameters` must have the shape"):
        tile.set_hidden_parameters(hidden)


def test_trained_weights_have_no_hidden_parameters():
    tile = AnalogLinear(4, 3).tile_array
    assert not tile.get_hidden_parameters()
    tile.set_hidden_parameters({})
    with pytest.raises(ValueError, match="`ordered_parameters` must be empty"):
        tile.set_hidden_parameters({"max_bound": torch.zeros(3, 4)})
