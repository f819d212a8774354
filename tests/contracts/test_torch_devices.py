"""Ready for a GPU, proved without one: nothing on the way of a training step asks the host for a number.

torch's fake tensors carry shapes, types and a torch device, but no values. A layer is built on the CPU and moved to a
fake device; whoever then mixes torch devices, goes through numpy or numba, or lets Python decide by a value
(`.item()`, `int(tensor)`, `if tensor`, shapes that hang on data) is told by an exception. Not tried here is the
arithmetic itself.
"""

import pytest
import torch
from aihwkit.simulator.presets import (
    AGADReRamSBPreset,
    ChoppedTTv2ReRamSBPreset,
    EcRam2Preset,
    GokmenVlasovPreset,
    MixedPrecisionPCMPreset,
    MixedPrecisionReRamSBPreset,
    PCMPreset,
    ReRamESPreset,
    ReRamSBPreset,
    TikiTakaReRamSBPreset,
    TTv2ReRamSBPreset,
)
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    NoiseStream,
    age_chip,
    program_chip,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, StandardHWATrainingPreset, TorchInferenceRPUConfig
from devices.looking import may_look
from helpers.fake_device import on_fake_device

# torch's autograd wants the driver of a real GPU for the way back, but not for a lazy device, of which there is none
# here either. All that asks for a torch device asks whether it is the CPU.
GPU, WITH_A_WAY_BACK = "cuda", "lazy"

CONFIGURATIONS = {
    "InferenceRPUConfig": InferenceRPUConfig,
    "StandardHWATrainingPreset": StandardHWATrainingPreset,
    "TorchInferenceRPUConfig": TorchInferenceRPUConfig,
}
LAYERS = {
    "dense": lambda config: AnalogLinear(64, 4, rpu_config=config),
    "convolution": lambda config: AnalogConv2d(1, 3, 3, input_size=8, rpu_config=config),
    "local, a tile each": lambda config: AnalogLocallyConnected2d(1, 3, 3, 8, rpu_config=config),
    "local, copies": lambda config: AnalogLocallyConnected2d(
        1, 3, 3, 8, placement="replicated(tiles=4)", rpu_config=config
    ),
}


def layer_of(name, configuration):
    torch.manual_seed(0)
    layer = LAYERS[name](CONFIGURATIONS[configuration]())
    return nn.Sequential(nn.Flatten(), layer) if name == "dense" else nn.Sequential(layer)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_pass_on_a_gpu_never_asks_the_host(layer, configuration):
    net = layer_of(layer, configuration)
    program_chip(net.eval(), seed=1, compensation="per_column")
    age_chip(net, 3600.0, seed=2)
    with on_fake_device(net, GPU), torch.no_grad():
        x = torch.rand(20, 1, 8, 8, device=GPU)
        assert not may_look(x)
        for is_training in (False, True):  # a programmed chip, and the trained weights with noise
            assert net.train(is_training)(x).device.type == GPU


@pytest.mark.parametrize("gradient", ["aihwkit", "exact"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_training_step_never_asks_the_host(layer, configuration, gradient):
    net = layer_of(layer, configuration)
    net[-1].tile_array.use_gradient(gradient)
    with on_fake_device(net, WITH_A_WAY_BACK):
        x = torch.rand(20, 1, 8, 8, device=WITH_A_WAY_BACK)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):  # the second one clips and remaps what the first has changed
            optimizer.zero_grad()
            net.train()(x).square().sum().backward()
            optimizer.step()
        for parameter in filter(lambda one: one.requires_grad, net.parameters()):
            assert parameter.grad.device.type == WITH_A_WAY_BACK


@pytest.mark.parametrize("preset", [ReRamSBPreset, TikiTakaReRamSBPreset, MixedPrecisionReRamSBPreset])
def test_reading_devices_that_learn_never_asks_the_host(preset):
    torch.manual_seed(0)
    net = nn.Sequential(AnalogLocallyConnected2d(1, 3, 3, 8, rpu_config=preset()))
    with on_fake_device(net, WITH_A_WAY_BACK):
        x = torch.rand(20, 1, 8, 8, device=WITH_A_WAY_BACK, requires_grad=True)
        net.train()(x).square().sum().backward()
        assert x.grad.device.type == WITH_A_WAY_BACK


RULES = {
    "constant steps": GokmenVlasovPreset,
    "soft bounds": ReRamSBPreset,
    "exponential steps": ReRamESPreset,
    "several devices": EcRam2Preset,
    "Tiki-Taka v1": TikiTakaReRamSBPreset,
    "Tiki-Taka v2": TTv2ReRamSBPreset,
    "chopped": ChoppedTTv2ReRamSBPreset,
    "AGAD": AGADReRamSBPreset,
    "mixed precision": MixedPrecisionReRamSBPreset,
    "mixed precision, pairs": MixedPrecisionPCMPreset,
    "pairs": PCMPreset,
}


@pytest.mark.parametrize("placement", ["free", "replicated(tiles=4)"])
@pytest.mark.parametrize("rule", RULES)
def test_an_update_never_asks_the_host(rule, placement):
    """But by write-verify and where copies are made equal: how many pulses those send hangs on what is read."""
    torch.manual_seed(0)
    net = nn.Sequential(AnalogLocallyConnected2d(1, 3, 3, 5, placement=placement, rpu_config=RULES[rule]()))
    array = net[0].tile_array
    for devices in array.memory.cells.device_arrays().values():
        devices.count_pulses()
    if rule == "pairs" and placement == "free":
        array.memory.cells.use_refresh("when-full")
    with on_fake_device(net, GPU):
        x, d = torch.rand(2, array.tiles, 9, device=GPU), torch.rand(2, array.tiles, 3, device=GPU)
        for step in range(2):
            array.memory.update(x, d, 0.1, noise=NoiseStream(0, step))
            array.memory.end_batch(noise=NoiseStream(1, step))
        assert array.memory.weights().device.type == GPU


def test_the_host_is_caught_when_it_asks():
    with on_fake_device(nn.Linear(2, 2), GPU):
        x = torch.rand(3, device=GPU)
        for ask in (
            lambda: bool(x.sum() > 0),
            lambda: x.sum().item(),
            lambda: x.tolist(),
            lambda: x.nonzero(),
            lambda: x.numpy(),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                ask()
        with pytest.raises(RuntimeError):
            x + torch.rand(3)
