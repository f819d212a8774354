"""What can be switched off: nothing of aihwkit's settings is forgotten, and off is off."""

import copy
import hashlib
from dataclasses import fields

import pytest
from aihwkit.simulator.configs import devices as aihwkit_devices
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.training import UpdateParameters

from crossbar.reading.periphery import resolution
from devices import catalogue, get
from experiments.studies.does_it_matter.effects import effect_of, first_to_change
from experiments.studies.does_it_matter.outcomes import Outcome
from experiments.studies.does_it_matter.switches import (
    DEVICES,
    NOISE_MODELS,
    PRODUCTS,
    UPDATES,
    Off,
    Switch,
    switches_of,
)

CLASSES = [
    value
    for value in vars(aihwkit_devices).values()
    if isinstance(value, type) and issubclass(value, aihwkit_devices.PulsedDevice)
]


def test_every_setting_of_products_and_updates_is_listed() -> None:
    assert set(PRODUCTS) == {field.name for field in fields(IOParameters)}
    assert set(UPDATES) == {field.name for field in fields(UpdateParameters)}


def test_every_setting_of_devices_is_listed() -> None:
    assert len(CLASSES) >= 10
    assert {field.name for device in CLASSES for field in fields(device)} <= set(DEVICES)


def test_every_scale_of_noise_models_is_listed() -> None:
    for name in catalogue("inference"):
        model = get(name).noise_model()
        assert {key for key in vars(model) if key.endswith("_scale")} <= set(NOISE_MODELS), name


@pytest.mark.parametrize("table", [PRODUCTS, UPDATES, DEVICES])
def test_what_is_no_switch_has_a_reason(table: dict[str, Off | str]) -> None:
    assert all(isinstance(entry, Off) or len(entry) > 5 for entry in table.values())


@pytest.mark.parametrize("name", catalogue())
def test_off_is_off_and_nothing_else_changes(name: str) -> None:
    device = get(name)
    configs = []
    if device.build is not None:
        configs.append((device.rpu_config(), device.noise_model()))
    if device.build_training is not None:
        configs.append((device.training_config(), None))
    for config, model in configs:
        switches = switches_of(config, model)
        assert len({(switch.what, switch.part) for switch in switches}) == len(switches)
        for switch in switches:
            changed, other = copy.deepcopy(config), copy.deepcopy(model)
            switch.off(other if switch.part == "device model" else changed)
            left = {(s.what, s.part) for s in switches_of(changed, other)}
            expected = {(s.what, s.part) for s in switches} - {(switch.what, switch.part)}
            if switch.what == "saturation of the ADC":
                assert changed.forward.out_bound > 1e3 or changed.backward.out_bound > 1e3
            else:
                assert left == expected, switch


def test_the_ideal_value_is_no_noise() -> None:
    config, model = get("pcm").rpu_config(), get("pcm").noise_model()
    for switch in switches_of(config, model):
        switch.off(model if switch.part == "device model" else config)
    assert model.prog_noise_scale == model.drift_scale == model.read_noise_scale == 0
    assert config.forward.out_noise == config.forward.ir_drop == config.forward.w_noise == 0
    assert config.forward.inp_res < 0
    assert config.forward.out_res < 0


def test_only_what_is_on_can_be_switched_off() -> None:
    config = get("ecram").training_config()
    config.device.lifetime, config.device.lifetime_dtod = 0.0, 0.3
    config.forward.inp_res = -1.0
    found = {(switch.what, switch.part) for switch in switches_of(config)}
    assert ("leakage", "device") not in found  # a spread about no leakage is none
    assert ("resolution of the DAC", "product") not in found
    assert ("resolution of the DAC", "backward product") in found
    config.device.lifetime = 100.0
    assert ("leakage", "device") in {(switch.what, switch.part) for switch in switches_of(config)}


def test_a_wider_adc_has_steps_of_the_same_width() -> None:
    config = get("pcm").rpu_config()
    step = resolution(config.forward.out_res, config.forward.out_bound)
    switch = next(s for s in switches_of(config) if s.what == "saturation of the ADC")
    switch.off(config)
    assert resolution(config.forward.out_res, config.forward.out_bound) == step > 0


def outcomes(*accuracies: float) -> list[Outcome]:
    return [
        Outcome([accuracy] * 4, hashlib.sha256(f"{number} {accuracy}".encode()).hexdigest()[:16], IMAGES)
        for number, accuracy in enumerate(accuracies)
    ]


IMAGES = "0" * 16
SWITCH = Switch("drift", "device model", lambda _: None)


def test_a_change_beyond_chance_matters() -> None:
    effect = effect_of(SWITCH, outcomes(0.5, 0.6, 0.7), outcomes(0.6, 0.71, 0.79))
    # Differences 0.10, 0.11, 0.09: mean 0.1, standard error 0.01 / sqrt(3).
    assert effect.change == pytest.approx(0.1)
    assert effect.error == pytest.approx(0.01 / 3**0.5)
    assert (effect.with_it, effect.without) == (pytest.approx(0.6), pytest.approx(0.7))
    assert effect.verdict == "matters"
    assert effect_of(SWITCH, outcomes(0.7, 0.7, 0.7), outcomes(0.5, 0.55, 0.45)).verdict == "matters"
    # 3.5 standard errors of three: within 4.30, the 97.5 % point of Student's t with 2 degrees of freedom.
    assert effect_of(SWITCH, outcomes(0.7, 0.7, 0.7), outcomes(0.5, 0.6, 0.4)).verdict == "within the spread"


def test_a_change_within_chance_is_none() -> None:
    effect = effect_of(SWITCH, outcomes(0.5, 0.6, 0.7), outcomes(0.6, 0.58, 0.72))
    assert effect.verdict == "within the spread"
    equal = effect_of(
        SWITCH,
        outcomes(0.5, 0.5),
        [Outcome([0.5] * 4, "d" * 16, IMAGES), Outcome([0.5] * 4, "e" * 16, IMAGES)],
    )
    assert equal.verdict == "within the spread"  # other outputs, the same accuracy


def test_images_are_a_sample_too() -> None:
    """All chips get the same one of eight images right: sure for these chips, by chance for other images."""
    wrong, right = [0.0] * 8, [1.0] + [0.0] * 7
    with_it, without = (
        [Outcome(scores, digit * 16, IMAGES) for _ in range(5)]
        for scores, digit in ((wrong, "a"), (right, "b"))
    )
    effect = effect_of(SWITCH, with_it, without)
    assert effect.change == pytest.approx(1 / 8)
    assert effect.error == pytest.approx(1 / 8)  # standard deviation of one in eight, over the root of eight
    assert effect.verdict == "within the spread"


def test_seeds_with_images_of_their_own_count_as_seeds() -> None:
    """Four of eight images gained on one seed, none on the other: no image is a sample of its own."""
    with_it = [Outcome([0.0] * 8, "a" * 16, digit * 16) for digit in "12"]
    without = [Outcome([1.0] * 4 + [0.0] * 4, "b" * 16, "1" * 16), Outcome([0.0] * 8, "c" * 16, "2" * 16)]
    effect = effect_of(SWITCH, with_it, without)
    assert (effect.change, effect.error) == (pytest.approx(0.25), pytest.approx(0.25))


def test_the_user_says_what_is_too_little() -> None:
    """A change of 0.09 to 0.11, with an interval of 0.075 to 0.125."""
    changes = outcomes(0.5, 0.6, 0.7), outcomes(0.6, 0.71, 0.79)
    verdicts = [effect_of(SWITCH, *changes, threshold).verdict for threshold in (0.07, 0.1, 0.13)]
    assert verdicts == ["matters", "within the spread", "below the threshold"]


def test_what_to_change_first_costs_most() -> None:
    """A remedy that matters is nothing to be changed."""
    found = [
        effect_of(Switch(name, "device", lambda _: None), outcomes(0.5, 0.5), outcomes(after, after))
        for name, after in (("drift", 0.6), ("faults", 0.8), ("compensation", 0.2), ("resets", 0.5))
    ]
    assert first_to_change(found, 0.0).startswith("What to change first: faults. Without it +30.00 [+30.00")
    assert "nothing stands out" in first_to_change(found[2:], 0.0)


def test_equal_outputs_are_no_effect() -> None:
    effect = effect_of(SWITCH, outcomes(0.5, 0.6), outcomes(0.5, 0.6))
    assert effect.verdict == "NO EFFECT"
    assert effect.note == "at this time nothing has drifted yet"


def test_an_effect_on_one_chip_is_an_effect() -> None:
    effect = effect_of(SWITCH, outcomes(0.5, 0.6), [outcomes(0.5)[0], Outcome([0.6] * 4, "f" * 16, IMAGES)])
    assert effect.verdict == "within the spread"
