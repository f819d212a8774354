"""What is refused for a model names the layer; analog layers that are not ours are never passed over silently."""

import pytest
import torch
from aihwkit.nn import AnalogConv1d as TheirConv1d
from aihwkit.nn import AnalogLinear as TheirLinear
from torch import nn

from crossbar import (
    AnalogLinear,
    age_chip,
    break_devices,
    convert_to_analog,
    device_yield,
    load_model,
    program_chip,
    record_events,
    replace_placement,
    save_model,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, SingleRPUConfig
from devices import Faults


def record(model):
    with record_events(model):
        pass


@pytest.mark.parametrize(
    "act",
    [
        lambda model, path: program_chip(model, seed=0),
        lambda model, path: age_chip(model, 1.0, seed=0),
        lambda model, path: record(model),
        lambda model, path: save_model(model, path / "model.safetensors"),
        lambda model, path: load_model(path / "model.safetensors", model),
        lambda model, path: replace_placement(model, "free", (1, 8, 8)),
        lambda model, path: break_devices(model, Faults(stuck_low=0.1)),
        lambda model, path: device_yield(model),
    ],
)
def test_layers_of_aihwkits_own_are_refused_by_name(act, tmp_path):
    config = InferenceRPUConfig()
    model = nn.ModuleDict(
        {
            "ours": AnalogLinear(3, 2),
            "body": nn.Sequential(
                TheirConv1d(1, 1, 3, rpu_config=config), TheirLinear(2, 2, rpu_config=config)
            ),
        }
    ).eval()
    with pytest.raises(
        ValueError, match=r"'body.0' \(AnalogConv1d\), 'body.1' \(AnalogLinear\).*exclude_modules"
    ):
        act(model, tmp_path)
    assert not model["ours"].tile_array.is_programmed
    assert not list(tmp_path.iterdir())


def test_a_model_without_analog_layers_has_no_chip():
    for act in (program_chip, lambda model, seed: age_chip(model, 1.0, seed=seed)):
        with pytest.raises(ValueError, match="`model` must have analog layers, but has none"):
            act(nn.Linear(2, 2), seed=0)


def test_refusals_of_a_chip_name_the_layer():
    model = nn.Sequential(nn.Sequential(AnalogLinear(3, 2, rpu_config=SingleRPUConfig())))
    with pytest.raises(ValueError, match=r"layer '0.0': .*drift"):
        program_chip(model, seed=0)
    with pytest.raises(RuntimeError, match=r"layer '0.0': .*call `program`"):
        age_chip(model, 1.0, seed=0)


def test_times_as_people_write_them():
    outputs = []
    model = convert_to_analog(nn.Linear(4, 3), InferenceRPUConfig()).eval()
    for time in ("1d", "24h", 86400, 86400.0):
        program_chip(model, seed=1)
        age_chip(model, time, seed=2)
        outputs.append(model.tile_array.reading.weight.clone())
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    with pytest.raises(ValueError, match=r"`time` must be a number of seconds, .*'1 fortnight'"):
        age_chip(model, "1 fortnight", seed=0)
    with pytest.raises(ValueError, match="`time` must be finite and at least 0 s"):
        age_chip(model, -1.0, seed=0)
