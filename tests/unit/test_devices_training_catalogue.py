"""What the catalogue says about devices that learn: every preset of aihwkit is there, under a plain name."""

import re

import pytest
from aihwkit.simulator import presets
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import PulsedDevice

from devices import catalogue, get

every_device = pytest.mark.parametrize("name", catalogue("training"))

ALGORITHM_OF_CELL = {
    VectorUnitCell: "SGD",
    OneSidedUnitCell: "SGD",
    TransferCompound: "Tiki-Taka v1",
    ChoppedTransferCompound: "chopped Tiki-Taka v2",  # or Tiki-Taka v2, if its choppers never flip
    DynamicTransferCompound: "AGAD",
    MixedPrecisionCompound: "mixed precision",
}


def aihwkit_presets() -> set[str]:
    """Find the configurations to train in situ with that aihwkit names."""
    in_situ = (SingleRPUConfig, UnitCellRPUConfig, DigitalRankUpdateRPUConfig)
    return {
        name
        for name, preset in vars(presets).items()
        if isinstance(preset, type)
        and issubclass(preset, in_situ)
        and not issubclass(preset, InferenceRPUConfig | TorchInferenceRPUConfig)
    }


def test_no_preset_of_aihwkit_is_missing() -> None:
    ours = {get(name).aihwkit_name for name in catalogue("training")} - {None}
    assert len(aihwkit_presets()) == 52
    assert ours - aihwkit_presets() == {"ReRamArrayOMPresetDevice", "ReRamArrayHfO2PresetDevice"}
    assert aihwkit_presets() - ours == set()
    for preset in aihwkit_presets():
        assert type(get(preset).training_config()).__name__ == preset


def test_no_preset_device_of_aihwkit_is_missing() -> None:
    there = {
        name for name, cls in vars(presets).items() if isinstance(cls, type) and issubclass(cls, PulsedDevice)
    }
    ours = {type(get(name).training_config().device).__name__ for name in catalogue("training")}
    # A pair of these makes the unit cell of `pcm`.
    assert there - ours == {"PCMPresetDevice"}


@pytest.mark.parametrize("name", [name for name in catalogue() if get(name).aihwkit_name is not None])
def test_the_plain_name_says_which_preset(name: str) -> None:
    """`ttv2-reram-es-2` and so on: the name without its marks is that of the preset without its own."""
    plain = get(name).name.replace("mixed-precision", "mixedprecision").replace("tiki-taka", "tikitaka")
    preset = re.sub("Preset(Device)?$", "", get(name).aihwkit_name or "")
    assert plain.replace("-", "") == preset.lower()


@every_device
def test_the_algorithm_is_that_of_the_configuration(name: str) -> None:
    device, config = get(name), get(name).training_config()
    expected = ALGORITHM_OF_CELL.get(type(config.device), "SGD")
    for cell, algorithm in ALGORITHM_OF_CELL.items():
        if isinstance(config.device, cell) and type(config.device) not in ALGORITHM_OF_CELL:
            expected = algorithm
    if type(config.device) is ChoppedTransferCompound and config.device.in_chop_prob == 0:
        expected = "Tiki-Taka v2"
    assert device.algorithm == expected


@every_device
def test_the_configuration_is_fresh(name: str) -> None:
    config = get(name).training_config()
    untouched = str(config)
    config.forward.out_noise = 77.0
    config.device.construction_seed = 77
    config.update.desired_bl = 77
    assert str(get(name).training_config()) == untouched
    assert str(config) != untouched


@pytest.mark.parametrize("name", ["reram-array-om", "reram-array-hfo2"])
def test_measured_arrays_have_the_periphery_of_the_presets(name: str) -> None:
    ours, preset = get(name).training_config(), presets.ReRamSBPreset()
    assert (ours.forward, ours.backward, ours.update) == (preset.forward, preset.backward, preset.update)
    assert ours.mapping == preset.mapping


def test_kinds() -> None:
    assert set(catalogue()) == set(catalogue("inference")) | set(catalogue("training"))
    assert set(catalogue("both")) == set(catalogue("inference")) & set(catalogue("training")) >= {"pcm"}
    assert len(catalogue()) == len(set(catalogue()))
    with pytest.raises(
        ValueError, match="`kind` must be one of inference, training, both, but is 'learning'"
    ):
        catalogue("learning")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(catalogue()) - set(catalogue("inference"))))
def test_a_device_that_only_learns_refuses_to_age(name: str) -> None:
    device = get(name)
    assert (device.g_max, device.g_min, device.valid_times) == (None, None, None)
    assert not device.valid_at(0.0)
    for ask in (device.noise_model, device.rpu_config, lambda: device.check_time(1.0)):
        with pytest.raises(
            ValueError, match=f"must have a model of how it ages, but is '{name}'.*'pcm', .*cmo'"
        ):
            ask()


@pytest.mark.parametrize("name", sorted(set(catalogue()) - set(catalogue("training"))))
def test_a_device_that_only_ages_refuses_to_learn(name: str) -> None:
    assert get(name).algorithm is None
    with pytest.raises(
        ValueError, match=f"must have a model of how pulses move it, but is '{name}'.*'ecram'"
    ):
        get(name).training_config()


def test_the_advice_in_the_refusals_holds() -> None:
    for name in ("pcm", "pcm-hermes", "reram-cmo"):
        assert get(name).noise_model() is not None
    for name in ("pcm", "reram-sb", "ecram"):
        assert get(name).training_config() is not None


@pytest.mark.parametrize(
    ("wrong", "close"),
    [
        ("reram-bs", "reram-sb"),
        ("tikitaka-reram-sb", "tiki-taka-reram-sb"),
        ("ReRamSBPrest", "ReRamSBPreset"),
        ("rerAmsbpreset", "ReRamSBPreset"),
        ("ttv3-ecram", "ttv2-ecram"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest(wrong: str, close: str) -> None:
    with pytest.raises(ValueError, match=rf"is '{wrong}'\. Did you mean .*{close}\b"):
        get(wrong)


def test_a_name_like_none_of_ours_is_answered_with_the_way_to_the_list() -> None:
    with pytest.raises(ValueError, match=rf"is 'xyz'\. Ask `catalogue\(\)` for all {len(catalogue())} names"):
        get("xyz")
