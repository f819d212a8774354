"""The catalogue is complete: aihwkit's own classes say which entries there must be, and what each must state."""

import dataclasses
import importlib
import math
import pkgutil

import aihwkit.inference.noise
import pytest
import torch
from aihwkit.inference.noise import pcm
from aihwkit.inference.noise.base import BaseNoiseModel
from aihwkit.simulator import presets
from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig

from devices import catalogue, get
from devices.aihwkit_adapter import PCMLikeNoiseModel
from devices.states import number_of_states
from devices.times import MeasuredTimes

every_device = pytest.mark.parametrize("name", catalogue())
ages = pytest.mark.parametrize("name", catalogue("inference"))
DAY = 86400.0


def noise_models_of_aihwkit() -> set[str]:
    """Find the noise models in all modules of aihwkit's package for them."""
    package = aihwkit.inference.noise
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return {
        name
        for module in modules
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, BaseNoiseModel) and cls is not BaseNoiseModel
    }


def test_no_noise_model_of_aihwkit_is_missing() -> None:
    ours = {type(get(name).noise_model()).__name__ for name in catalogue("inference")}
    assert len(noise_models_of_aihwkit()) == 6
    assert ours == noise_models_of_aihwkit()


def test_no_preset_for_inference_is_missing() -> None:
    there = {
        preset
        for preset in vars(presets).values()
        if isinstance(preset, type) and issubclass(preset, InferenceRPUConfig | TorchInferenceRPUConfig)
    }
    # The one that computes in floating point, without any device, is no preset of a device.
    assert there - {presets.FloatingPointPreset} == {
        type(get(name).rpu_config()) for name in catalogue("inference")
    }


@every_device
def test_an_entry_is_complete_and_frozen(name: str) -> None:
    device = get(name)
    assert device.name == name
    ages, learns = device.build is not None, device.build_training is not None
    assert (ages, learns) == {
        "inference": (True, False), "training": (False, True), "both": (True, True),
    }[device.kind]  # fmt: skip
    assert all((device.technology, device.source, device.summary, device.not_modelled))
    with pytest.raises(dataclasses.FrozenInstanceError):
        device.g_max = 1.0  # type: ignore[misc]


@every_device
def test_an_entry_states_its_numbers_or_that_there_are_none(name: str) -> None:
    device = get(name)
    assert (device.states is None) == (device.kind == "inference")
    assert device.states is None or device.states > 1
    if device.kind == "training":
        assert (device.g_max, device.g_min, device.on_off_ratio, device.measured_times) == (None,) * 4
        return
    assert device.g_max is not None
    assert device.g_min is not None
    assert 0 <= device.g_min < device.g_max
    if device.g_min == 0:
        assert device.on_off_ratio is None
    else:
        assert device.on_off_ratio == device.g_max / device.g_min


@ages
def test_every_device_that_ages_says_when_it_was_measured(name: str) -> None:
    device = get(name)
    assert (device.measured_times is None) == (name == "ideal")
    assert device.is_extrapolated(10 * 365 * DAY) == (name != "ideal")


def test_where_measurements_end() -> None:
    for name in ("pcm", "pcm-hermes", "pcm-hermes-single", "pcm-custom-drift", "reram-cmo"):
        assert not get(name).is_extrapolated(DAY)
        assert get(name).is_extrapolated(DAY + 1)
    assert isinstance(get("reram-wan2022").measured_times, MeasuredTimes)
    assert not any(get("reram-wan2022").is_extrapolated(time) for time in (1.0, DAY, 2 * DAY))
    assert get("state-independent").is_extrapolated(1.0)
    assert not get("ideal").is_extrapolated(math.inf)


def test_states_are_steps_between_bounds() -> None:
    """Bounds of ±1 by steps of 0.002, as in aihwkit's presets; of Tiki-Taka, those of the slow device."""
    assert [get(name).states for name in ("reram-sb", "ttv2-reram-sb", "mixed-precision-reram-sb")] == [
        1000
    ] * 3
    assert get("gokmen-vlasov").states == 1250


def test_states_of_tiki_taka_are_those_of_the_device_that_holds_the_weight() -> None:
    """aihwkit hands updates from the first of its devices to the last one; the last one is read as the weight."""
    config = get("tiki-taka-reram-sb").training_config()
    fast, slow = config.device.unit_cell_devices
    fast.dw_min, slow.dw_min, slow.w_max, slow.w_min = 0.5, 0.01, 0.7, -0.3
    assert number_of_states(config) == 100


def test_the_table_of_drift_is_the_law_of_pcm() -> None:
    """At each of its conductances: both models draw |mean + spread ξ|; ξ = ±1 is put in place of the draws."""
    table = get("pcm-custom-drift").noise_model()
    conductances = torch.tensor(table.custom_drift_model["g_lst"])
    law = PCMLikeNoiseModel(g_max=25.0)
    for sign in (1.0, -1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pcm, "randn_like", lambda like, sign=sign: torch.full_like(like, sign))
            expected = law.generate_drift_coefficients(conductances.clone())
            found = table.generate_drift_coefficients(conductances.clone())
        # Two numbers, rounded to four places each.
        assert (found - expected).abs().max() <= 1.01e-4
