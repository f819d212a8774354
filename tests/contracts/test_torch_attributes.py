"""An analog layer has what torch's code, and aihwkit's, reads of a digital one; nothing that is written is lost."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from aihwkit.utils.analog_info import analog_summary
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    convert_to_analog,
)
from crossbar.aihwkit.adapter import AnalogSequential, InferenceRPUConfig, SingleRPUConfig


def perfect():
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.6
    config.mapping.weight_scaling_columnwise = True
    return config


PAIRS = {
    "linear": (lambda: nn.Linear(7, 5), lambda: AnalogLinear(7, 5)),
    "convolution": (lambda: nn.Conv2d(2, 3, (3, 2)), lambda: AnalogConv2d(2, 3, (3, 2))),
    "local": (lambda: LocallyConnected2d(1, 2, 3, 5), lambda: AnalogLocallyConnected2d(1, 2, 3, 5)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_same_seed_gives_the_weights_of_the_digital_layer(pair):
    digital, analog = PAIRS[pair]
    torch.manual_seed(3)
    first, second, later = digital(), digital(), torch.rand(())
    torch.manual_seed(3)
    ours = [analog(), analog()]
    assert torch.equal(torch.rand(()), later)
    for layer, theirs in zip(ours, (first, second), strict=True):
        weight, bias = layer.get_weights()
        # one product and one quotient of rounding
        assert torch.allclose(weight.reshape(theirs.weight.shape), theirs.weight, rtol=2**-22, atol=0)
        assert torch.equal(bias, theirs.bias)
    assert ours[0].tile_array.noise.seed != ours[1].tile_array.noise.seed
    torch.manual_seed(4)
    expected = digital()
    torch.manual_seed(4)
    ours[0].reset_parameters()
    assert torch.allclose(ours[0].weight, expected.weight, rtol=2**-22, atol=0)


def test_conversion_keeps_its_seeds():
    """The tiles of converted networks are those of before: a seed is drawn for each, before its weights."""
    digital = nn.Linear(3, 2)
    torch.manual_seed(0)
    layer = AnalogLinear.from_digital(digital, InferenceRPUConfig())
    after = torch.rand(())
    torch.manual_seed(0)
    assert layer.tile_array.noise.seed == int(torch.randint(2**62, ()))
    nn.Linear(3, 2)
    assert torch.equal(torch.rand(()), after)


@pytest.mark.parametrize("config", [perfect, SingleRPUConfig])
def test_weight_is_what_get_weights_gives(config):
    for layer in (
        AnalogLinear(7, 5, rpu_config=config()),
        AnalogConv2d(2, 3, 3, rpu_config=config()),
        AnalogLocallyConnected2d(1, 2, 3, 5, rpu_config=config()),
    ):
        assert layer.weight.shape == layer.kernel_shape()
        assert torch.equal(layer.weight.detach(), layer.get_weights()[0].reshape(layer.weight.shape))
        assert "weight" not in dict(layer.named_parameters(recurse=False))


def test_attributes_of_torch():
    digital = nn.Conv2d(2, 3, (3, 2), (2, 1), (1, 0), (1, 2))
    analog = AnalogConv2d.from_digital(digital, perfect())
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    names += ("padding_mode", "transposed", "output_padding")
    for name in names:
        assert getattr(analog, name) == getattr(digital, name), name
    dense = AnalogLinear(4, 3)
    assert (dense.in_features, dense.out_features) == (4, 3)
    assert isinstance(dense, nn.Linear)


@pytest.mark.parametrize(
    "write",
    [
        lambda layer: nn.init.xavier_uniform_(layer.weight),
        lambda layer: layer.weight.data.normal_(0, 0.1),
        lambda layer: layer.weight.detach().mul_(2),
        lambda layer: layer.weight.__setitem__(0, 1.0),
        lambda layer: layer.weight.__imul__(2.0),
        lambda layer: setattr(layer.weight, "data", torch.zeros(3, 4)),
    ],
)
def test_writing_into_the_weight_is_refused(write):
    layer = AnalogLinear(4, 3)
    before = layer.get_weights()[0]
    with pytest.raises(RuntimeError, match=r"`weight` must be read only.*`set_weights`"), torch.no_grad():
        write(layer)
    assert torch.equal(layer.get_weights()[0], before)
    layer.weight.detach().clone().mul_(2)  # one's own copy is one's own


def test_a_penalty_on_the_weight_moves_it_as_a_digital_one():
    """The gradient meets the scales as that of products does: plain SGD moves the network's weights alike."""
    digital = nn.Linear(4, 3)
    analog = AnalogLinear.from_digital(digital, perfect())
    for layer in (digital, analog):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer.weight.pow(2).sum().backward()
        optimizer.step()
    assert torch.allclose(analog.weight, digital.weight, rtol=2**-20)


def test_transformer_encoder_in_evaluation_computes_on_the_tiles():
    """torch's shortcut would read `linear1.weight` and compute digitally."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    digital = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
    attention = ["layers.0.self_attn", "layers.1.self_attn"]
    analog = convert_to_analog(digital, perfect(), exclude_modules=attention).eval()
    calls = []
    for layer in analog.modules():
        if isinstance(layer, AnalogLinear):
            layer.tile_array.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        assert torch.allclose(analog(x), digital.eval()(x), atol=1e-5)
    assert len(calls) == 4
    for layer in analog.modules():  # hooks alone would switch the shortcut off
        layer._forward_hooks.clear()
    noisy = convert_to_analog(block, InferenceRPUConfig(), exclude_modules=["self_attn"]).eval()
    with torch.no_grad():
        assert not torch.equal(noisy(x), noisy(x))


def test_summary_of_aihwkit_counts_tiles_reuse_and_kernels():
    config = InferenceRPUConfig()
    config.mapping.max_input_size = 10
    model = AnalogSequential(
        AnalogConv2d(1, 3, 3, rpu_config=config),
        AnalogLocallyConnected2d(3, 2, 3, 6, rpu_config=config),
        nn.Flatten(),
        AnalogLinear(32, 4, rpu_config=config),
    )
    info = analog_summary(copy.deepcopy(model).eval(), (2, 1, 8, 8))
    rows = [(layer.num_tiles, layer.reuse_factor, layer.kernel_size) for layer in info.layer_summary]
    # 36 locations x 2 images; 16 locations x 2 images, 27 inputs on 3 tiles each; 32 inputs on 4 tiles, 2 images
    assert rows == [(1, 72, (3, 3)), (48, 32, (3, 3)), (0, 0, None), (4, 2, None)]
    assert info.total_tile_number == 53
    sizes = [(tile.log_out_size, tile.log_in_size) for tile in info.layer_summary[3].tiles_info]
    assert sizes == [(4, 8)] * 4


def test_drift_of_aihwkit_skips_devices_that_are_trained_in_place():
    model = AnalogSequential(AnalogLinear(4, 3), AnalogLinear(3, 2, rpu_config=SingleRPUConfig())).eval()
    model.drift_analog_weights(100.0)
    assert model[0].tile_array.is_programmed
    assert not model[1].tile_array.is_programmed
    model[1].drift_analog_weights(100.0)
    assert not model[1].tile_array.is_programmed


def test_the_order_of_arguments_is_aihwkits():
    layer = AnalogConv2d(1, 2, 3, 4)
    assert layer.stride == (4, 4)
    assert layer(torch.zeros(1, 1, 11, 11)).shape == (1, 2, 3, 3)
    config = perfect()
    layer = AnalogConv2d(1, 2, 3, 1, 1, 2, 1, False, "zeros", config)
    assert (layer.padding, layer.dilation, layer.bias) == ((1, 1), (2, 2), None)
    assert layer.tile_array.rpu_config.mapping == config.mapping


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((1, 2, 3, 8), {"placement": "replicated(tiles=2)"}, ValueError, "by keyword.*stride, 8 here"),
        ((1, 2, 3, 8, 1, 0), {}, ValueError, "`dilation` must be at least 1"),
        (
            (1, 2, 3, 8, 1, 1, 1, True, "time_multiplexed"),
            {},
            ValueError,
            "'time_multiplexed'.*order is aihwkit",
        ),
        ((1, 2, 3, 8, 1, 1, True), {}, TypeError, "`groups` must be a number.*order is aihwkit"),
        ((2, 3, 3, 1, 1, 1, 2), {}, ValueError, "`out_channels` must be a multiple of .*groups, 2, but is 3"),
        (
            (2, 2, 3, 1, 3, 1, 1, True, "circular"),
            {"input_size": 2},
            ValueError,
            "`padding` must be at most 2 for an input of 2 x 2 and the padding mode 'circ",
        ),
        (
            (2, 2, 3, 2, "same"),
            {},
            ValueError,
            "`padding` must be a number .* stride of 2 x 2, but is 'same'",
        ),
        ((2, 2, 3, 1, "full"), {}, ValueError, "`padding` must be sizes, 'valid' or 'same', but is 'full'"),
        ((2, 2, 3), {"tile_module_class": dict}, ValueError, "`tile_module_class` must be None"),
    ],
)
def test_calls_in_the_old_order_are_told(arguments, options, error, match):
    with pytest.raises(error, match=match):
        AnalogConv2d(*arguments, **options)


def test_refused_weights_change_nothing():
    layer = AnalogLinear(3, 2)
    weight, bias = layer.get_weights()
    for bad_weight, bad_bias, match in (
        (torch.full((2, 3), float("nan")), torch.ones(2), "`weight` must be finite, but 6 of its 6"),
        (torch.ones(2, 3), torch.tensor([1.0, float("nan")]), "`bias` must be finite, but 1 of its 2"),
        (torch.ones(2, 3), torch.ones(3), "`bias` must have the shape"),
    ):
        with pytest.raises(ValueError, match=match):
            layer.set_weights(bad_weight, bad_bias)
        assert torch.equal(layer.get_weights()[0], weight)
        assert torch.equal(layer.get_weights()[1], bias)


def test_layers_without_inputs_or_outputs_are_refused():
    for sizes in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match=f"must be at least 1, but are {sizes[0]} and {sizes[1]}"):
            AnalogLinear(*sizes)


def test_import_with_float64_as_default():
    code = "import torch; torch.set_default_dtype(torch.float64); import crossbar"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("pair", ["linear", "convolution"])
def test_a_bias_has_the_shape_of_the_digital_layers(pair):
    digital, analog = (make() for make in PAIRS[pair])
    assert analog.bias.shape == digital.bias.shape
    x = torch.randn(3, 7) if pair == "linear" else torch.randn(3, 2, 6, 5)
    functional = nn.functional.linear if pair == "linear" else nn.functional.conv2d
    perfectly = type(analog).from_digital(digital, perfect()).eval()
    bias = perfectly.get_weights()[1]
    assert torch.allclose(functional(x, perfectly.weight.plain(), perfectly.bias), perfectly(x), atol=1e-5)
    assert torch.equal(bias, perfectly.bias)
    # States keep the shape that they have always had, and both shapes load.
    state = {name: value.clone() for name, value in perfectly.state_dict().items()}
    assert state["bias"].shape == (1, *digital.bias.shape)
    for shape in (state["bias"].shape, digital.bias.shape):
        analog.bias.data.zero_()
        analog.load_state_dict({**analog.state_dict(), "bias": state["bias"].reshape(shape)})
        assert torch.equal(analog.bias, perfectly.bias)


def test_computing_with_the_weight_beside_the_layer_is_said():
    """The result looks like a chip's, but no tile took part."""
    layer = AnalogLinear(4, 3)
    with pytest.warns(UserWarning, match="`linear` computes digitally with the weight of an analog layer"):
        y = nn.functional.linear(torch.ones(2, 4), layer.weight)
    assert torch.equal(y.detach(), torch.ones(2, 4) @ layer.get_weights()[0].T)
    convolution = AnalogConv2d(1, 2, 3)
    with pytest.warns(UserWarning, match="`conv2d` computes digitally"):
        nn.functional.conv2d(torch.ones(1, 1, 5, 5), convolution.weight)


def test_a_weight_cannot_become_a_parameter_but_takes_over_values():
    """A tied parameter would be tied no longer; a plain tensor, which torch refuses, can mean its values only."""
    layer, values, bias = AnalogLinear(4, 3), torch.arange(12.0).reshape(3, 4), torch.ones(3)
    with pytest.raises(AttributeError, match=r"`weight` cannot be a Parameter .*`set_weights`"):
        layer.weight = nn.Parameter(values)
    own = layer.bias
    layer.weight, layer.bias = values, bias
    torch.testing.assert_close(layer.get_weights(), (values, bias))
    assert layer.bias is own
    with pytest.raises(ValueError, match=r"`weight` must have the shape \(3, 4\), but has \(4, 3\)"):
        layer.weight = values.T
    convolution, matrix = AnalogConv2d(2, 3, 2), torch.arange(24.0).reshape(3, 8)
    convolution.set_weights(matrix)
    torch.testing.assert_close(convolution.get_weights()[0], matrix)
    with pytest.raises(ValueError, match="`bias` must be None or zero for a layer without bias"):
        AnalogLinear(4, 3, bias=False).bias = bias


def test_a_copied_or_pickled_weight_is_a_plain_tensor():
    layer = AnalogLinear(4, 3)
    for copied in (
        copy.deepcopy(layer.weight),
        pickle.loads(pickle.dumps(layer.weight)),
        layer.weight.clone(),
    ):
        assert type(copied) is torch.Tensor
        assert torch.equal(copied, layer.weight)
    assert layer.weight.detach().numpy().shape == (3, 4)
