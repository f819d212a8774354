"""Every analog layer, with every placement, keeps the same promises."""

import copy

import pytest
import torch
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    age_chip,
    convert_to_analog,
    load_model,
    program_chip,
    save_model,
    seed_noise,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, StandardHWATrainingPreset
from helpers.layers import PLACEMENTS

EPS = 1e-5  # the tolerance that the issue sets


def ideal_config(max_size=512):
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    config.drift_compensation = None
    config.mapping.weight_scaling_omega = 1.0
    config.mapping.weight_scaling_columnwise = True
    config.mapping.max_input_size = config.mapping.max_output_size = max_size
    return config


def silent_config():
    """All of the analog chain switched on, with nothing in it that could disturb: the long code path."""
    config = ideal_config()
    config.forward.is_perfect = False
    config.forward.inp_res = config.forward.out_res = -1
    config.forward.out_noise = 0.0
    return config


def locally_connected(placement, config, **options):
    torch.manual_seed(1)
    digital = LocallyConnected2d(2, 3, (3, 2), (9, 8), stride=(2, 1), padding=(1, 0), placement=placement)
    analog = AnalogLocallyConnected2d.from_digital(digital, config, **options)
    return digital, analog, torch.randn(4, 2, 9, 8)


def convolution(config):
    torch.manual_seed(1)
    digital = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0))
    return digital, AnalogConv2d.from_digital(digital, config), torch.randn(4, 2, 9, 8)


def linear(config):
    torch.manual_seed(1)
    digital = nn.Linear(7, 5)
    return digital, AnalogLinear.from_digital(digital, config), torch.randn(4, 7)


def cases(config):
    yield from (locally_connected(placement, config) for placement in PLACEMENTS)
    yield convolution(config)
    yield linear(config)


def assert_same(digital, analog, x, tolerance=EPS):
    """Same outputs; same gradients of inputs, biases, and of the network's weights."""
    if isinstance(digital, LocallyConnected2d) and digital.placement.redraw:
        # Both draw their assignment anew: start both from one.
        digital.placement_rng = torch.Generator().manual_seed(3)
        analog.tile_array.noise._generators[torch.device("cpu")] = torch.Generator().manual_seed(3)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [digital(inputs[0]), analog(inputs[1])]
    assert (outputs[0] - outputs[1]).abs().max() < tolerance
    upstream = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(upstream)
    assert (inputs[0].grad - inputs[1].grad).abs().max() < tolerance
    array = analog.tile_array
    # The array's gradients are divided by the squared scales, so that SGD makes the digital step.
    grad = analog.blocks.join(array.weight.grad * array.scales()[..., None])
    assert (
        grad.reshape(digital.weight.shape) - digital.weight.grad
    ).abs().max() < tolerance * grad.abs().max()
    bias_grad = analog.bias.grad.reshape(digital.bias.shape)
    assert (bias_grad - digital.bias.grad).abs().max() < tolerance * bias_grad.abs().max()


@pytest.mark.parametrize(
    "config", [ideal_config(), ideal_config(4), silent_config()], ids=["perfect", "split", "silent"]
)
def test_noise_free_analog_equals_digital(config):
    for digital, analog, x in cases(config):
        assert_same(digital, analog, x)


def test_a_planted_error_of_the_tolerance_is_seen():
    digital, analog, x = linear(ideal_config())
    with torch.no_grad():
        digital.weight[0, 0] += 1e-3
    with pytest.raises(AssertionError):
        assert_same(digital, analog, x)


def test_plain_sgd_makes_the_digital_step():
    for digital, analog, x in cases(ideal_config()):
        if "redraw" in getattr(getattr(digital, "placement", None), "spec", ""):
            continue
        for layer in (digital, analog):
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
            layer(x).square().mean().backward()
            optimizer.step()
        weight, bias = analog.get_weights()
        assert (weight.reshape_as(digital.weight) - digital.weight).abs().max() < EPS
        assert (bias - digital.bias).abs().max() < EPS


def test_weights_come_back_as_they_were_set():
    for digital, analog, _ in cases(StandardHWATrainingPreset()):
        weight, bias = torch.randn_like(digital.weight), torch.randn_like(digital.bias)
        analog.set_weights(weight, bias)
        got_weight, got_bias = analog.get_weights()
        # one rounding down and one up again: 2 units in the last place of float32
        torch.testing.assert_close(got_weight.reshape(weight.shape), weight, rtol=2**-22, atol=0)
        assert torch.equal(got_bias, bias)
        back = type(analog).to_digital(analog)
        assert type(back) is type(digital)
        assert torch.equal(back.weight, got_weight.reshape(weight.shape))


def test_wrong_shapes_are_refused_with_both_shapes():
    _, analog, x = locally_connected("free", ideal_config())
    with pytest.raises(
        ValueError, match=r"`weight` must have the shape \(35, 3, 2, 3, 2\), but has \(3, 2\)"
    ):
        analog.set_weights(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"`bias` must have the shape \(35, 3\), but has \(2,\)"):
        analog.set_weights(analog.get_weights()[0], torch.zeros(2))
    with pytest.raises(ValueError, match="must be finite"):
        analog.set_weights(torch.full((35, 3, 2, 3, 2), float("nan")))
    with pytest.raises(ValueError, match="8"):
        analog(x[..., :5])
    _, dense, _ = linear(ideal_config())
    with pytest.raises(ValueError, match=r"7 values in its last dimension, but has the shape \(2, 6\)"):
        dense(torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"`x` must have the shape \(tiles, batch, in\) = \(1, any, 7\)"):
        dense.tile_array(torch.zeros(2, 3, 7))


def test_a_convolution_refuses_more_than_one_kernel():
    with pytest.raises(ValueError, match="AnalogLocallyConnected2d"):
        AnalogConv2d(1, 2, 3, input_size=8, placement="free")
    with pytest.raises(ValueError, match="`input_size` must be given"):
        AnalogConv2d(1, 2, 3, placement="replicated(tiles=2)")


def test_one_image_and_a_batch_of_one_agree():
    for _, analog, x in cases(ideal_config()):
        analog.eval()
        if getattr(getattr(analog, "placement", None), "redraw", False):
            continue
        assert (analog(x[0]) - analog(x[:1])[0]).abs().max() < EPS


def test_an_empty_batch_stays_empty():
    for digital, analog, x in cases(StandardHWATrainingPreset()):
        assert analog(x[:0]).shape == digital(x[:0]).shape


def test_copies_and_state_dicts_carry_everything_that_is_trained():
    for _, analog, x in cases(StandardHWATrainingPreset()):
        optimizer = torch.optim.Adam(analog.parameters(), lr=0.01)
        for _ in range(3):
            analog(x).square().mean().backward()
            optimizer.step()
        twin = copy.deepcopy(analog)
        fresh = type(analog).from_digital(type(analog).to_digital(analog), StandardHWATrainingPreset())
        fresh.load_state_dict(analog.state_dict())
        for other in (twin, fresh):
            for layer in (analog, other):
                seed_noise(layer, 7, "same")
                layer.eval()
            assert torch.equal(analog(x), other(x))


@pytest.mark.parametrize("programmed", [False, True])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, programmed):
    torch.manual_seed(0)
    digital = nn.Sequential(
        LocallyConnected2d(1, 3, 3, 6), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(18, 4)
    )
    models = [convert_to_analog(digital, StandardHWATrainingPreset()).eval() for _ in range(2)]
    x = torch.rand(5, 1, 6, 6)
    if programmed:
        program_chip(models[0], seed=3)
        age_chip(models[0], 1e5, seed=4)
    save_model(models[0], tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", models[1])
    outputs = []
    for model in models:
        seed_noise(model, 1, "evaluation")
        outputs.append(model(x))
    assert torch.equal(*outputs)
    if programmed:  # the trajectory goes on
        for model in models:
            age_chip(model, 1e7, seed=5)
            seed_noise(model, 1, "evaluation")
            outputs.append(model(x))
        assert torch.equal(*outputs[2:])
        assert not torch.equal(outputs[0], outputs[2])


def test_the_same_seed_gives_the_same_noise_and_another_name_does_not():
    _, analog, x = locally_connected("free", StandardHWATrainingPreset())
    analog.eval()
    outputs = []
    for seed, names in ((0, ("train", 1)), (0, ("train", 1)), (0, ("train", 2)), (1, ("train", 1))):
        seed_noise(analog, seed, *names)
        outputs.append(analog(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], outputs[3])
