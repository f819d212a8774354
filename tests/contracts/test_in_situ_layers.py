"""Layers that are trained in place keep the promises of every analog layer, and learn with every preset."""

import copy
import inspect

import aihwkit.simulator.presets as presets
import pytest
import torch
from aihwkit.optim import AnalogAdam, AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from aihwkit.simulator.parameters.pre_post import InputRangeParameter
from aihwkit.utils.analog_info import analog_summary
from torch import nn

import crossbar.tiles.pulsed as in_situ_module
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
from crossbar.tiles.configuration import IN_SITU, is_in_situ
from devices import get
from helpers.layers import CLASSES, IMAGES, PLACEMENTS, network, state, train

PRESETS = [
    cls
    for name, cls in inspect.getmembers(presets, inspect.isclass)
    if name.endswith("Preset") and issubclass(cls, IN_SITU)
]
STATEFUL = [
    "ReRamSBPreset",
    "TikiTakaReRamSBPreset",
    "TTv2ReRamSBPreset",
    "MixedPrecisionReRamSBPreset",
    "PCMPreset",
]


def assert_same_state(first, second):
    first, second = state(first), state(second)
    assert first.keys() == second.keys()
    different = [
        name for name in first if not torch.equal(first[name].nan_to_num(), second[name].nan_to_num())
    ]
    assert different == []


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.__name__)
def test_every_preset_trains_two_steps(preset):
    torch.manual_seed(0)
    layer = AnalogLocallyConnected2d(1, 2, 3, 6, rpu_config=preset())
    net = nn.Sequential(layer, nn.Flatten())
    before = {name: tensor.clone() for name, tensor in layer.tile_array.in_situ.cells.state_dict().items()}
    optimizer = AnalogSGD(net.parameters(), lr=0.1)
    optimizer.regroup_param_groups(net)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(IMAGES[..., :6, :6]), torch.arange(6)).backward()
        optimizer.step()
    after = layer.tile_array.in_situ.cells.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert torch.isfinite(layer.tile_array.weight).all()


@pytest.mark.parametrize(
    ("placement", "optimizer_class"), [("free", AnalogAdam), *((name, AnalogSGD) for name in PLACEMENTS)]
)
def test_every_placement_learns(placement, optimizer_class):
    config = SingleRPUConfig(device=SoftBoundsDevice(dw_min=0.001))
    config.pre_post.input_range = InputRangeParameter(enable=True, init_from_data=2)
    net = network(config, placement)
    assert all(is_in_situ(layer.tile_array.rpu_config) for layer in (net[0], net[3]))
    before = [net[i].get_weights()[0] for i in (0, 3)]
    ranges = net[0].tile_array.input_range.clone()
    losses = train(net, 8, optimizer_class=optimizer_class)
    assert losses[-1] < losses[0]
    assert not torch.equal(net[0].tile_array.input_range, ranges)
    for i, old in zip((0, 3), before, strict=True):
        assert not torch.equal(net[i].get_weights()[0], old)
        assert not net[i].tile_array.analog_ctx.has_gradient()


@pytest.mark.parametrize(
    ("placement", "preset"),
    [
        *((placement, "ReRamSBPreset") for placement in PLACEMENTS),
        *(("replicated(tiles=4)", preset) for preset in STATEFUL[1:]),
    ],
)
def test_a_training_goes_on_exactly_from_every_kind_of_copy(tmp_path, placement, preset):
    """A state dictionary, a deep copy and a file, each into or as a new object, in the middle of a training."""
    config = getattr(presets, preset)()
    config.pre_post.input_range = InputRangeParameter(enable=True, init_from_data=2)
    net = network(config, placement)
    train(net, 2)
    loaded, read = network(config, placement, seed=1), network(config, placement, seed=2)
    loaded.load_state_dict(state(net))
    save_model(net, tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", read)
    nets = [net, copy.deepcopy(net), loaded, read]
    for each in nets:
        train(each, 2, first=2)
    for each in nets[1:]:
        assert_same_state(net, each)
        assert torch.equal(net[0].tile_array.weight, each[0].tile_array.weight)
    assert not any("analog_ctx" in name for name in net.state_dict())


def test_a_copy_has_a_context_of_its_own():
    net = network(SingleRPUConfig())
    twin = copy.deepcopy(net)
    contexts = [each[0].tile_array.analog_ctx for each in (net, twin)]
    assert contexts[0] is not contexts[1]
    assert contexts[1].analog_tile is twin[0].tile_array
    nn.functional.cross_entropy(net(IMAGES), CLASSES).backward()
    assert contexts[0].has_gradient()
    assert not contexts[1].has_gradient()
    assert not copy.deepcopy(net)[0].tile_array.analog_ctx.has_gradient()
    before = state(net)
    train(twin, 1)
    assert all(
        torch.equal(before[name].nan_to_num(), value.nan_to_num()) for name, value in state(net).items()
    )


def test_two_backward_passes_are_one_mini_batch():
    """As in aihwkit, gradients accumulate until the optimizer's step."""
    config = SingleRPUConfig(device=ConstantStepDevice(dw_min_std=0.0))
    nets = [network(config, "blocks(rows=2,cols=2)") for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    seen = [[], []]
    for net, calls in zip(nets, seen, strict=True):
        net[0].tile_array.on_update = lambda x, d, *rest, calls=calls: calls.append((x.clone(), d.clone()))
        for layer in (net[0], net[3]):
            layer.tile_array.rpu_config.forward.is_perfect = True
            layer.tile_array.in_situ.backward_io.is_perfect = True
    optimizers = [AnalogSGD(net.parameters(), lr=0.1) for net in nets]
    nn.functional.cross_entropy(nets[0](IMAGES), CLASSES, reduction="sum").backward()
    for part in (slice(0, 2), slice(2, 6)):
        nn.functional.cross_entropy(nets[1](IMAGES[part]), CLASSES[part], reduction="sum").backward()
    for optimizer in optimizers:
        optimizer.step()
    (whole,), (parts,) = seen
    for first, second in zip(whole, parts, strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_the_same_seed_gives_the_same_training():
    nets = [network(presets.ReRamSBPreset(), seed=3) for _ in range(2)]
    for net in nets:
        train(net, 3)
    assert_same_state(*nets)


def test_conversion_and_the_way_back():
    torch.manual_seed(0)
    digital = nn.Sequential(
        LocallyConnected2d(1, 3, 3, 8), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(50, 4)
    )
    config = SingleRPUConfig(device=ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0))
    config.mapping.weight_scaling_omega = 0.5  # within the bounds of 0.6
    analog = convert_to_analog(digital, config)
    assert [type(analog[i]) for i in (0, 2, 4)] == [AnalogLocallyConnected2d, AnalogConv2d, AnalogLinear]
    for i in (0, 2, 4):
        back = type(analog[i]).to_digital(analog[i])
        torch.testing.assert_close(back.weight, digital[i].weight, rtol=2**-21, atol=0)
    assert "AnalogLocallyConnected2d" in repr(analog_summary(copy.deepcopy(analog), (2, 1, 8, 8)))


@pytest.mark.parametrize("placement", ["free", "replicated(tiles=4)"])
def test_trained_devices_age_from_where_training_left_them(placement):
    net = network(presets.PCMPreset(), placement)
    train(net, 2)
    net.eval()
    arrays = [net[i].tile_array for i in (0, 3)]
    weights = [array.weight.clone() for array in arrays]
    program_chip(net, get("pcm").noise_model(), seed=1, compensation="per_tile")
    for array, weight in zip(arrays, weights, strict=True):
        # nothing was written: to conductances and back only
        assert (array.reading.weight - weight).abs().max() < 2**-20
    means = []
    for time in (10.0, 1e4, 1e7):
        age_chip(net, time, seed=2)
        means.append(float(arrays[0].programmed.drifted_weights(time).abs().mean()))
    assert means[0] > means[1] > means[2] > 0.5 * means[0]
    assert (arrays[0].reading.factor > 1).float().mean() > 0.9
    absent = ~arrays[1].tile_population()
    assert arrays[1].reading.weight[absent].eq(0).all()
    with pytest.warns(UserWarning, match="weights of a programmed chip were changed"):
        train(net.train(), 1, first=2)
    assert not arrays[0].is_programmed


def test_an_aged_chip_comes_back_from_its_file(tmp_path):
    net, twin = (network(presets.PCMPreset(), seed=seed).eval() for seed in (0, 1))
    noise_model = get("pcm").noise_model()
    program_chip(net, noise_model, seed=1, compensation="per_tile")
    age_chip(net, 1e5, seed=2)
    save_model(net, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="`noise_model` must be given"):
        load_model(tmp_path / "model.safetensors", twin)
    load_model(tmp_path / "model.safetensors", twin, noise_model)
    for each in (net, twin):
        seed_noise(each, 5, "evaluation")
    assert torch.equal(net(IMAGES), twin(IMAGES))


def test_devices_with_a_drift_of_their_own_follow_it(tmp_path):
    """w(t) = w0 (t / t0) ** -nu, the same for the same chip at the same time, and back from a file."""
    config = SingleRPUConfig(device=ConstantStepDevice())
    config.device.drift.nu, config.device.drift.nu_dtod, config.device.drift.t_0 = 0.1, 0.0, 10.0
    config.device.drift.w_noise_std = 0.0
    net, twin = (network(config, seed=seed).eval() for seed in (0, 1))
    array = net[0].tile_array
    trained = array.weight.clone()
    program_chip(net, seed=1, compensation="per_tile")
    assert torch.equal(array.reading.weight, trained)
    for time in (1e3, 1e6, 1e3):
        age_chip(net, time, seed=2)
        assert torch.allclose(array.reading.weight, trained * (time / 10.0) ** -0.1, rtol=1e-5)
    assert torch.equal(array.weight, trained)
    save_model(net, tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", twin)
    for each in (net, twin):
        seed_noise(each, 5, "evaluation")
    assert torch.equal(net(IMAGES), twin(IMAGES))
    age_chip(twin, 1e6, seed=2)
    assert torch.allclose(twin[0].tile_array.reading.weight, trained * 1e5**-0.1, rtol=1e-5)


def test_devices_without_a_drift_model_are_refused_by_name():
    net = network(SingleRPUConfig(device=SoftBoundsDevice())).eval()
    with pytest.raises(ValueError, match=r"but is None for SoftBoundsDevice\. .*get\('pcm'\)"):
        program_chip(net, seed=1)


def test_the_slow_backend_is_chosen_with_a_warning_where_nothing_else_runs(monkeypatch):
    reason = "`device.some_setting` is honoured by aihwkit's own tiles only"
    monkeypatch.setattr(in_situ_module, "why_not_batched", lambda rpu_config: reason)
    with pytest.warns(UserWarning, match="some_setting") as caught:
        layer = AnalogLinear(4, 3, rpu_config=SingleRPUConfig())
    assert len(caught) == 1
    layer.tile_array.use_backend("batched")
    assert layer.tile_array.backend == "aihwkit"
    before = layer.get_weights()[0]
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert (layer.get_weights()[0] < before).float().mean() > 0.8


@pytest.mark.parametrize("preset", ["IdealizedPreset", "TikiTakaIdealizedPreset"])
def test_the_slow_backend_keeps_its_state_as_tensors(tmp_path, preset):
    config = getattr(presets, preset)()
    torch.manual_seed(0)
    layer = AnalogLinear(5, 4, rpu_config=config, backend="aihwkit")
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        layer(torch.randn(6, 5)).square().sum().backward()
        optimizer.step()
    fresh = AnalogLinear(5, 4, rpu_config=config, backend="aihwkit")
    fresh.load_state_dict(layer.state_dict())
    assert_same_state(layer, fresh)
    assert_same_state(layer, copy.deepcopy(layer))
    save_model(layer, tmp_path / "model.safetensors")
    read = AnalogLinear(5, 4, rpu_config=config, backend="aihwkit")
    assert_same_state(layer, load_model(tmp_path / "model.safetensors", read))
    assert torch.equal(layer.tile_array.weight, fresh.tile_array.weight)


def test_settings_that_would_have_no_effect_are_refused():
    config = SingleRPUConfig()
    config.mapping.weight_scaling_lr_compensation = True
    with pytest.raises(ValueError, match=r"weight_scaling_lr_compensation.*True"):
        AnalogLinear(4, 3, rpu_config=config)
    config = SingleRPUConfig()
    config.backward.out_noise = -0.1
    with pytest.raises(ValueError, match=r"`out_noise`.*-0.1"):
        AnalogLinear(4, 3, rpu_config=config)
    layer = AnalogLinear(4, 3, rpu_config=SingleRPUConfig())
    with pytest.raises(ValueError, match=r"SingleRPUConfig\. Make a new layer"):
        layer.tile_array.replace_rpu_config(SingleRPUConfig())
