"""What aihwkit's users read of a layer and its tiles comes in aihwkit's shapes: weights, scales, factors, exports."""

import io

import pytest
import torch
from aihwkit.simulator.configs import ConstantStepDevice
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    convert_to_analog,
    convert_to_digital,
    fusion_export,
    fusion_import,
)
from crossbar.aihwkit.adapter import (
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    PerColumnDriftCompensation,
    SingleRPUConfig,
    TheirLinear,
    TileModuleError,
    TorchInferenceRPUConfig,
)


def scaled(**mapping):
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.4
    for name, value in mapping.items():
        setattr(config.mapping, name, value)
    return config


def test_the_weight_of_a_convolution_is_read_as_a_matrix_and_set_in_both_shapes():
    layer, digital = AnalogConv2d(2, 3, (3, 2), groups=1), nn.Conv2d(2, 3, (3, 2))
    weight, bias = layer.get_weights()
    assert weight.shape == (3, 12)
    assert layer.weight.shape == (3, 2, 3, 2)
    layer.set_weights(weight, bias)
    layer.set_weights(digital.weight, digital.bias)
    assert torch.allclose(layer.get_weights()[0], digital.weight.flatten(1))
    assert torch.equal(layer.get_weights()[0], layer.tile_array.get_weights()[0])
    back = convert_to_digital(nn.Sequential(layer))[0]
    assert torch.allclose(back.weight, digital.weight)


@pytest.mark.parametrize("columnwise", [False, True])
def test_scales_are_those_of_aihwkits_tile(columnwise):
    weight = torch.tensor([[0.2, -0.1], [0.05, 0.3], [0.0, 0.1]])
    ours, theirs = (
        kind(2, 3, False, scaled(weight_scaling_columnwise=columnwise))
        for kind in (AnalogLinear, TheirLinear)
    )
    for layer in (ours, theirs):
        layer.set_weights(weight)
    tile = ours.tile_array
    assert torch.allclose(tile.get_scales().flatten(), theirs.analog_module.get_scales().flatten())
    assert tile.get_scales().shape == ((3,) if columnwise else (1,))
    before = tile.get_scales()
    ours.remap_analog_weights(1.0)
    assert not torch.equal(tile.get_scales(), before)  # a copy
    assert torch.allclose(ours.get_weights()[0], weight)


def test_scales_are_set_by_number_by_output_and_as_read():
    layer = AnalogLinear(2, 3, False, scaled())
    tile = layer.tile_array
    unscaled = layer.get_weights(apply_weight_scaling=False)[0]
    for given in (2.0, torch.tensor([2.0]), torch.tensor([1.0, 2.0, 3.0])):
        tile.set_scales(given)
        assert torch.allclose(tile.get_scales(), torch.as_tensor(given).reshape(-1))
        assert torch.allclose(layer.get_weights()[0], unscaled * torch.as_tensor(given).reshape(-1, 1))
    tile.set_scales(tile.get_scales())
    with pytest.raises(
        ValueError, match=r"`mapping_scales` must be a number or have the shape \(1, 3\), but has \(2,\)"
    ):
        tile.set_scales(torch.ones(2))
    with pytest.raises(ValueError, match="`mapping_scales` must be finite"):
        tile.set_scales(float("nan"))
    assert AnalogLocallyConnected2d(1, 2, 3, 4, rpu_config=scaled()).tile_array.get_scales().shape == (4, 1)


def test_alpha_is_the_factor_of_drift_compensation():
    config = InferenceRPUConfig()
    layer = AnalogLinear(4, 3, rpu_config=config).eval()
    assert torch.equal(layer.tile_array.alpha, torch.ones(1))
    layer.drift_analog_weights(1e6)
    assert layer.tile_array.alpha.shape == ()
    assert layer.tile_array.alpha > 1  # drift shrinks conductances
    config.drift_compensation = PerColumnDriftCompensation()
    layer.replace_rpu_config(config)
    layer.drift_analog_weights(1e6)
    assert layer.tile_array.alpha.shape == (3,)


def test_a_state_of_another_kind_of_configuration_is_refused_where_that_was_asked():
    saved = io.BytesIO()
    torch.save(AnalogLinear(3, 2, rpu_config=InferenceRPUConfig()).state_dict(), saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    other = AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig())
    other.load_state_dict(state)
    with pytest.raises(
        TileModuleError, match=r"`rpu_config` of 'analog_module' must be .*InferenceRPUConfig, but is a F"
    ):
        other.load_state_dict(state, load_rpu_config=False)
    other.load_state_dict(state, load_rpu_config=False, strict_rpu_config_check=False)
    special = AnalogLinear(3, 2, rpu_config=TorchInferenceRPUConfig())
    special.load_state_dict(state, load_rpu_config=False)


def test_conductances_for_fusion_come_back_tile_by_tile(tmp_path):
    config = scaled(max_input_size=4, max_output_size=3)  # blocks of 3 and 4 inputs, 2 and 3 outputs
    digital = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Flatten(), nn.Linear(20, 2))
    model = convert_to_analog(digital, config)
    file = tmp_path / "table.csv"
    conductances, parameters, state = fusion_export(model, file_name=file)
    assert [len(conductances[name]) for name in ("0", "2")] == [45, 40]  # what there is, no surplus cells
    weights = [model[i].get_weights()[0] for i in (0, 2)]
    for given in (conductances, file):
        for index in (0, 2):
            model[index].reset_parameters()
        fusion_import(given, model, parameters, state)
        for index, weight in zip((0, 2), weights, strict=True):
            assert torch.allclose(model[index].get_weights()[0], weight, atol=1e-6)
    with pytest.raises(ValueError, match="must have 45 values, or a multiple of that, but has 44"):
        fusion_import({**conductances, "0": conductances["0"][1:]}, model, parameters)
    with pytest.raises(ValueError, match="must have layer '0'"):
        fusion_import({}, model, parameters)


def test_what_stands_behind_a_tile_is_read_printed_and_set():
    layer = AnalogLinear(3, 2, rpu_config=SingleRPUConfig(device=ConstantStepDevice()))
    tile = layer.analog_module.tile
    assert (
        str(tile)
        == "SimulatedTile(tiles=1, out_size=2, in_size=3, batched, SingleRPUConfig, ConstantStepDevice)"
    )
    assert (tile.get_d_size(), tile.get_x_size()) == (2, 3)
    names = tile.get_hidden_parameter_names()
    assert tile.get_hidden_parameters().shape == (len(names), 2, 3)
    wider = tile.get_hidden_parameters()
    wider[names.index("max_bound")] = 2.0
    tile.set_hidden_parameters(wider)
    tile.set_weights(torch.full((2, 3), 1.5))
    assert torch.equal(tile.get_weights(), torch.full((2, 3), 1.5))  # above the bounds of before
    tile.set_learning_rate(0.3)
    assert layer.tile_array.get_learning_rate() == tile.get_learning_rate() == 0.3


def test_devices_are_reset_to_their_reset_values():
    settings = {"reset": 0.1, "reset_dtod": 0.0, "reset_std": 0.0}
    settings |= {"w_max_dtod": 0.0}  # or one device in seventy cannot reach 0.2
    config = SingleRPUConfig(device=ConstantStepDevice(**settings))
    layers = AnalogLinear(4, 3, rpu_config=config), TheirLinear(4, 3, rpu_config=config)
    for layer in layers:
        layer.set_weights(torch.full((3, 4), 0.2), torch.zeros(3))
        layer.analog_module.reset_columns(3, 2)  # the last, and the first behind it
    ours, theirs = (layer.get_weights()[0] for layer in layers)
    assert torch.allclose(ours, theirs)
    assert torch.allclose(ours, torch.tensor([0.1, 0.2, 0.2, 0.1]).expand(3, 4))
    layers[0].tile_array.reset()
    assert torch.allclose(layers[0].get_weights()[0], torch.full((3, 4), 0.1))
    with pytest.raises(ValueError, match="must name some of 4 word lines, but are 4 and 1"):
        layers[0].tile_array.reset_columns(4)
    with pytest.raises(ValueError, match="a InferenceRPUConfig with no devices that learn in place does not"):
        AnalogLinear(4, 3).tile_array.reset()


def test_a_bias_of_zeros_fits_a_layer_without_one():
    layer = AnalogLinear(3, 2, bias=False)
    layer.set_weights(torch.ones(2, 3), torch.zeros(2))
    assert layer.get_weights()[1] is None
    with pytest.raises(
        ValueError, match="`bias` must be None or zero for a layer without bias, but is given"
    ):
        layer.set_weights(torch.ones(2, 3), torch.ones(2))
