"""The names in a saved state are a promise: files of before must load, whatever moves inside the code.

`state_keys.txt` was written before the tiles were taken apart. A name that changes needs a load hook, and a test that
a state with the old names loads.
"""

import warnings
from pathlib import Path

import pytest
import torch
from aihwkit.simulator import presets
from aihwkit.simulator.configs import SingleRPUConfig, WeightRemapType
from aihwkit.simulator.configs.devices import ConstantStepDevice, IdealDevice, LinearStepDevice
from torch import nn

from crossbar import (
    AnalogConv1d,
    AnalogConvTranspose1d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    WireParameters,
    program_chip,
    write_verify_config,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig
from crossbar.network.chip_state import chip_state

GOLDEN = Path(__file__).with_name("state_keys.txt")


def everything_on():
    config = InferenceRPUConfig()
    config.mapping.learn_out_scaling = config.mapping.out_scaling_columnwise = True
    config.pre_post.input_range.enable = True
    config.forward.v_offset_std = config.forward.out_nonlinearity = config.forward.out_noise_std = 0.1
    config.remap.type = WeightRemapType.LAYERWISE_SYMMETRIC
    return config


def drifting():
    config = SingleRPUConfig(device=LinearStepDevice(write_noise_std=0.1))
    config.device.drift.nu = 0.1
    return config


def wired():
    model = build("free", InferenceRPUConfig())
    model[0].tile_array.use_wires(WireParameters())
    return model


def build(placement, config):
    torch.manual_seed(0)
    conv = AnalogLocallyConnected2d(1, 2, 3, 6, placement=placement, rpu_config=config)
    return nn.Sequential(conv, nn.Flatten(), AnalogLinear(32, 3, rpu_config=config))


def programmed(model):
    program_chip(model, seed=0)
    return model


def grouped(config):
    torch.manual_seed(0)
    config.mapping.max_output_size = 4
    return nn.Sequential(
        AnalogConv1d(2, 4, 3, groups=2, rpu_config=config), AnalogConvTranspose1d(4, 2, 3, rpu_config=config)
    )


MODELS = {
    "inference": lambda: build("free", InferenceRPUConfig()),
    "inference, all settings": lambda: build("replicated(tiles=4)", everything_on()),
    "inference, wires": wired,
    "inference, grouped": lambda: grouped(InferenceRPUConfig()),
    "in situ": lambda: build("blocks(rows=2,cols=2)", SingleRPUConfig()),
    "in situ, synchronised": lambda: build("replicated(tiles=4,sync_every=2)", SingleRPUConfig()),
    "in situ, drifting": lambda: build("free", drifting()),
    "in situ, ideal": lambda: build("time_multiplexed", SingleRPUConfig(device=IdealDevice())),
    "in situ, written": lambda: build(
        "free", write_verify_config(SingleRPUConfig(device=ConstantStepDevice()))
    ),
    **{
        f"in situ, {name}": lambda name=name: build("free", getattr(presets, name)())
        for name in (
            "PCMPreset",
            "ReRamES2Preset",
            "TikiTakaReRamSBPreset",
            "TTv2ReRamSBPreset",
            "ChoppedTTv2ReRamSBPreset",
            "AGADReRamSBPreset",
            "MixedPrecisionReRamSBPreset",
        )
    },
}


def described(states):
    return "".join(
        f"{name}: {key} {'x'.join(map(str, values.shape)) or 'scalar'}\n"
        for name, state in states.items()
        for key, values in sorted(state.items())
    )


def present():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = {name: make() for name, make in MODELS.items()}
    states = {name: model.state_dict() for name, model in models.items()}
    chip = chip_state(programmed(models["inference"].eval()))["0.analog_module"]
    return {**states, "chip": {key: values for key, values in chip.items() if key != "compensation"}}


def test_names_and_shapes_are_those_of_before():
    assert described(present()) == GOLDEN.read_text()


@pytest.mark.parametrize("name", MODELS)
def test_parameters_have_the_names_that_optimizers_remember(name):
    """Adam's memory is stored under the name of its parameter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MODELS[name]()
    kinds = {parameter.rpartition(".")[2] for parameter, _ in model.named_parameters()}
    assert kinds <= {"bias", "weight", "input_range", "out_scaling_alpha", "analog_ctx"}
