"""aihwkit's configurations without devices, biases on the tile, and what a tile tells about its layer."""

import copy
import pickle

import pytest
import torch
from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import (
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    QuantizedTorchInferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import ChoppedTransferCompound
from aihwkit.simulator.configs.devices import SoftBoundsReferenceDevice
from aihwkit.simulator.tiles.custom import CustomRPUConfig
from aihwkit.simulator.tiles.transfer import TorchTransferTile
from torch import nn

from crossbar import AnalogConv2d, AnalogLinear, AnalogLocallyConnected2d, WireParameters, program_chip
from crossbar.aihwkit.adapter import AnalogContext, AnalogSequential

X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
TARGET = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


def perfect(kind, **mapping):
    config = kind()
    for direction in ("forward", "backward"):
        if hasattr(config, direction):
            getattr(config, direction).is_perfect = True
    for name, value in mapping.items():
        setattr(config.mapping, name, value)
    return config


PERFECT = [
    FloatingPointRPUConfig,
    CustomRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    QuantizedTorchInferenceRPUConfig,
    InferenceRPUConfig,
]


@pytest.mark.parametrize("kind", PERFECT, ids=lambda kind: kind.__name__)
def test_perfect_tiles_train_as_torch_and_as_aihwkits_own(kind):
    """30 steps of 0.1 on 18 numbers in float32."""
    torch.manual_seed(0)
    digital = nn.Linear(5, 3)
    layers = [cls(5, 3, True, perfect(kind)) for cls in (AnalogLinear, TheirLinear)]
    for layer in layers:
        layer.set_weights(digital.weight.detach(), digital.bias.detach())
    models = [AnalogSequential(layer) for layer in layers]
    optimizers = [AnalogSGD(model.parameters(), lr=0.1) for model in models]
    optimizers += [torch.optim.SGD(digital.parameters(), lr=0.1)]
    for optimizer in optimizers[:2]:
        optimizer.regroup_param_groups()
    for _ in range(30):
        for model, optimizer in zip([*models, digital], optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(X), TARGET).backward()
            optimizer.step()
    for layer in layers:
        weight, bias = layer.get_weights()
        assert torch.allclose(weight, digital.weight, atol=1e-5)
        assert torch.allclose(bias, digital.bias, atol=1e-5)
    assert type(layers[0].analog_module.rpu_config) is kind


def test_a_configuration_that_was_given_stays_as_it_is():
    config = FloatingPointRPUConfig()
    layer = AnalogLinear(5, 3, rpu_config=config)
    layer.replace_rpu_config(config)
    assert not hasattr(config, "forward")
    assert pickle.loads(pickle.dumps(layer)).get_weights()[0].equal(layer.get_weights()[0])


def test_weights_without_devices_are_programmed_only_by_a_model_of_devices():
    model = AnalogSequential(AnalogLinear(5, 3, rpu_config=FloatingPointRPUConfig())).eval()
    model.drift_analog_weights(100.0)
    assert not model[0].tile_array.is_programmed
    with pytest.raises(
        ValueError, match=r"layer '0': .*`noise_model` must be given for FloatingPointRPUConfig"
    ):
        program_chip(model)
    program_chip(model, PCMLikeNoiseModel())
    assert model[0].tile_array.is_programmed
    with pytest.raises(ValueError, match="`wires` must be None for FloatingPointRPUConfig"):
        model[0].tile_array.use_wires(WireParameters())


def test_what_would_have_no_effect_is_refused():
    config = FloatingPointRPUConfig()
    config.device.diffusion = 0.1
    with pytest.raises(ValueError, match="`device` must have no diffusion"):
        AnalogLinear(5, 3, rpu_config=config)
    with pytest.raises(ValueError, match="`backward` must be perfect in a CustomRPUConfig"):
        AnalogLinear(5, 3, rpu_config=CustomRPUConfig())
    config = perfect(CustomRPUConfig)
    config.update.gradient_noise = 0.1
    with pytest.raises(ValueError, match=r"`update.gradient_noise` must be 0"):
        AnalogLinear(5, 3, rpu_config=config)
    with pytest.raises(ValueError, match=r"ir_drop_segments.*`use_wires`"):
        AnalogLinear(5, 3, rpu_config=TorchInferenceRPUConfigIRDropT())


def test_tiles_of_torch_that_run_a_compound_name_the_same_compound():
    device = ChoppedTransferCompound(
        unit_cell_devices=[SoftBoundsReferenceDevice(), SoftBoundsReferenceDevice()]
    )
    config = UnitCellRPUConfig(device=device, tile_class=TorchTransferTile)
    assert AnalogLinear(5, 3, rpu_config=config)(X).shape == (6, 3)


@pytest.mark.parametrize("kind", [FloatingPointRPUConfig, InferenceRPUConfig, SingleRPUConfig])
def test_a_bias_on_the_tile_is_a_word_line_that_always_carries_one(kind):
    torch.manual_seed(0)
    linear = AnalogLinear(5, 3, True, perfect(kind, digital_bias=False))
    convolution = AnalogConv2d(2, 3, 3, padding=1, rpu_config=perfect(kind, digital_bias=False))
    assert linear.bias is None
    assert linear.tile_array.in_size == 6
    weight, bias = 0.4 * torch.rand(3, 5) - 0.2, 0.4 * torch.rand(3) - 0.2  # within the devices' bounds
    linear.set_weights(weight, bias)
    assert torch.allclose(linear(X), X @ weight.T + bias, atol=1e-5)
    assert torch.allclose(linear.weight, weight)
    linear.set_weights(weight)
    assert torch.allclose(linear.get_weights()[1], bias)
    weight, bias = convolution.weight.plain(), convolution.get_weights()[1]
    image = torch.randn(2, 2, 6, 6)
    expected = nn.functional.conv2d(image, weight, bias, padding=1)
    assert torch.allclose(convolution(image), expected, atol=1e-5)
    digital = AnalogLinear.to_digital(linear)
    assert torch.allclose(digital(X), linear(X), atol=1e-5)


def test_a_bias_on_the_tile_is_aihwkits():
    """Same outputs, and the same weights after training, as its tile with a bias column."""
    config = perfect(InferenceRPUConfig, digital_bias=False, weight_scaling_omega=0.6)
    ours, theirs = AnalogLinear(5, 3, True, config), TheirLinear(5, 3, True, copy.deepcopy(config))
    weight, bias = 0.3 * torch.randn(3, 5), torch.randn(3)
    for layer in (ours, theirs):
        layer.set_weights(weight, bias)
        model = AnalogSequential(layer)
        optimizer = AnalogSGD(model.parameters(), lr=0.1)
        optimizer.regroup_param_groups()
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(X), TARGET).backward()
            optimizer.step()
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)
    unscaled = ours.get_weights(apply_weight_scaling=False), theirs.get_weights(apply_weight_scaling=False)
    assert torch.allclose(unscaled[0][0], unscaled[1][0], atol=1e-5)


def test_a_bias_on_the_tile_needs_one_kernel():
    config = perfect(InferenceRPUConfig, digital_bias=False)
    with pytest.raises(
        ValueError, match=r"`mapping.digital_bias` must be True for a layer with several kernels"
    ):
        AnalogLocallyConnected2d(1, 2, 3, 6, rpu_config=config)
    assert AnalogLocallyConnected2d(1, 2, 3, 6, bias=False, rpu_config=config).bias is None


@pytest.mark.parametrize("digital_bias", [True, False])
def test_a_tile_tells_matrix_and_bias_as_aihwkits_tile_does(digital_bias):
    config = perfect(InferenceRPUConfig, digital_bias=digital_bias, max_input_size=4)
    layer = AnalogLinear(5, 3, True, config)
    (context,) = [p for p in layer.parameters() if isinstance(p, AnalogContext)]
    assert context.use_torch_update
    assert context.analog_tile is layer.tile_array
    weight, bias = context.analog_tile.get_weights()
    assert torch.equal(weight, layer.get_weights()[0])
    assert torch.equal(bias, layer.get_weights()[1])
    context.analog_tile.set_weights(2 * weight, bias + 1)
    assert torch.allclose(layer.get_weights()[0], 2 * weight)
    assert torch.allclose(layer.get_weights()[1], bias + 1)
    estimate, _ = layer.tile_array.read_weights(apply_weight_scaling=True)
    assert torch.allclose(estimate, 2 * weight, atol=1e-4)
    copied = copy.deepcopy(layer)
    copied.analog_module.set_weights(weight)
    assert torch.allclose(copied.get_weights()[0], weight)
    assert torch.allclose(layer.get_weights()[0], 2 * weight)
    assert not any("analog_ctx" in name for name in layer.state_dict())
