"""aihwkit's own tools work on a model that mixes its layers and ours."""

import copy

import pytest
import torch
from aihwkit.inference.utils import drift_analog_weights, program_analog_weights
from aihwkit.nn import AnalogConv2d as TheirConv2d
from aihwkit.nn import AnalogLinear as TheirLinear
from aihwkit.nn.conversion import convert_to_analog as their_convert_to_analog
from aihwkit.optim import AnalogAdam, AnalogSGD
from aihwkit.utils.analog_info import analog_summary
from torch import nn

from crossbar import CONVERSION_MAP, AnalogLinear, AnalogLocallyConnected2d, LocallyConnected2d
from crossbar.aihwkit.adapter import (
    AnalogSequential,
    InferenceRPUConfig,
    ModuleError,
    StandardHWATrainingPreset,
    TorchInferenceRPUConfig,
)


def mixed(config=None):
    """Ours, theirs, ours, theirs."""
    torch.manual_seed(0)
    config = InferenceRPUConfig() if config is None else config
    return AnalogSequential(
        AnalogLocallyConnected2d(1, 3, 3, 8, rpu_config=config),
        nn.ReLU(),
        TheirConv2d(3, 2, 3, rpu_config=config),
        nn.Flatten(),
        AnalogLinear(32, 6, rpu_config=config),
        TheirLinear(6, 4, rpu_config=config),
    )


X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("optimizer_class", [AnalogSGD, AnalogAdam])
def test_their_optimizers_train_both(optimizer_class):
    model = mixed(StandardHWATrainingPreset()).train()
    before = [model[i].get_weights()[0].clone() for i in (0, 2, 4, 5)]
    optimizer = optimizer_class(model.parameters(), lr=0.05)
    optimizer.regroup_param_groups(model)
    target = torch.tensor([0, 1, 2, 3, 0])
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for index, old in zip((0, 2, 4, 5), before, strict=True):
        assert not torch.equal(model[index].get_weights()[0], old)
    # Clipping and remapping after a step: every row of every tile reaches the full conductance range.
    assert model[0].tile_array.weight.abs().amax(2).min() == 1.0


def test_programming_and_drift_through_methods_and_functions():
    model = mixed().eval()
    clean = model[0].tile_array.target_weights().clone()
    model.program_analog_weights()
    assert model[0].tile_array.is_programmed
    programmed = [g.clone() for g in model[0].tile_array.programmed.conductances(0.0)]
    for drift in (model.drift_analog_weights, lambda t: drift_analog_weights(model, t)):
        drift(1e6)
        later = model[0].tile_array.programmed.conductances(1e6)
        # PCM: all conductances fall
        assert all((b < a + 1e-6).all() for a, b in zip(programmed, later, strict=True))
        assert model[0].tile_array.reading.factor.min() > 1.0
    program_analog_weights(model, None)
    # A new chip: other devices, and the target is still the trained weight (no stale reference).
    again = model[0].tile_array.programmed.conductances(0.0)
    assert not torch.equal(again[0], programmed[0])
    assert torch.equal(model[0].tile_array.target_weights(), clean)
    with pytest.raises(ModuleError, match="evaluation mode"):
        model.train().drift_analog_weights(1.0)


def test_training_after_programming_forgets_the_devices():
    model = mixed().eval()
    model.drift_analog_weights(1e6)
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    model.train()(X).sum().backward()
    optimizer.step()
    with pytest.warns(UserWarning, match="weights of a programmed chip were changed"):
        model[0].eval()(X)
    assert not model[0].tile_array.is_programmed


def test_summary_conversion_remap_and_replacement():
    text = repr(analog_summary(copy.deepcopy(mixed()), (2, 1, 8, 8)))
    assert "AnalogLocallyConnected2d" in text
    assert "AnalogConv2d" in text

    digital = nn.Sequential(LocallyConnected2d(1, 3, 3, 8), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    converted = their_convert_to_analog(digital, config, conversion_map=dict(CONVERSION_MAP)).eval()
    assert [type(m).__name__ for m in converted][::3] == ["AnalogLocallyConnected2d", "AnalogLinear"]
    assert type(converted[0]).__module__.startswith("crossbar")
    # sums of 108 products in float32
    assert (converted(X) - digital(X)).abs().max() < 108 * 2**-23
    before = converted[0].get_weights()[0]
    converted.remap_analog_weights()
    assert torch.allclose(converted[0].get_weights()[0], before, rtol=2**-21)
    assert converted[0].tile_array.weight.abs().amax((1, 2)).eq(1.0).all()
    replacement = InferenceRPUConfig()
    replacement.forward.out_noise = 0.5
    converted.replace_rpu_config(replacement)
    assert converted[0].tile_array.rpu_config.forward.out_noise == 0.5
    assert len(list(converted.analog_tiles())) == 37  # one for each of 36 locations, and one
    converted.prepare_for_ddp()


def test_plain_torch_optimizers_clip_and_remap_too():
    """With aihwkit's tiles these settings need its optimizers; here none is ignored."""
    model = mixed(StandardHWATrainingPreset()).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(X).square().sum().backward()
        optimizer.step()
    model[0].tile_array.settle()
    assert model[0].tile_array.weight.abs().amax(2).eq(1.0).all()


def test_torch_tile_configurations_run():
    model = mixed(TorchInferenceRPUConfig()).train()
    model(X).sum().backward()
    assert model[0].tile_array.weight.grad.abs().max() > 0


def test_the_step_that_their_optimizers_call_clips_and_remaps():
    array = AnalogLinear(4, 3, rpu_config=StandardHWATrainingPreset()).tile_array
    with torch.no_grad():
        array.weight.mul_(2.0)
    array.post_update_step()
    assert array.weight.abs().max() == 1.0
