"""What the catalogue says about its devices, and what it refuses."""

import math
import re

import pytest
import torch

from devices import catalogue, derive_seed, get, program
from devices.aihwkit_adapter import WeightModifierType, WeightNoiseType

every_device = pytest.mark.parametrize("name", catalogue("inference"))


def test_names() -> None:
    assert catalogue("inference") == [
        "pcm",
        "pcm-custom-drift",
        "pcm-hermes",
        "pcm-hermes-single",
        "reram-wan2022",
        "reram-cmo",
        "state-independent",
        "ideal",
    ]


@pytest.mark.parametrize(("wrong", "close"), [("pmc", "pcm"), ("reram-wan", "reram-wan2022"), ("PCM", "pcm")])
def test_an_unknown_name_is_answered_with_the_closest(wrong: str, close: str) -> None:
    with pytest.raises(ValueError, match=rf"`name` must be in the catalogue.* is '{wrong}'.*{close}"):
        get(wrong)


@every_device
def test_the_noise_model_is_fresh_and_has_the_stated_window(name: str) -> None:
    device = get(name)
    model = device.noise_model()
    assert model is not device.noise_model()
    assert model.g_converter.g_max == model.g_max == device.g_max
    assert model.g_converter.g_min == device.g_min


@every_device
@pytest.mark.parametrize("time", [0.0, 0.5, 1.0, 3600.0, 86400.0, 172800.0, 3e8, 1e9])
def test_stated_times_are_those_of_the_trajectory(name: str, time: float) -> None:
    device = get(name)
    tiles = program(device.noise_model(), torch.eye(2)[None], seed=derive_seed(0))
    assert tiles.valid_times == device.valid_times
    if device.valid_at(time):
        device.check_time(time)
        assert tiles.drifted_weights(time).isfinite().all()
    else:
        for ask in (device.check_time, tiles.drifted_weights, tiles.conductances):
            with pytest.raises(ValueError, match=rf"`time` must .* is {re.escape(f'{time:g}')} s"):
                ask(time)
        with pytest.raises(ValueError, match=rf"`time` must .* is {re.escape(f'{time:g}')} s"):
            tiles.read_weights(time, rng=torch.Generator())


def test_wan_is_refused_between_its_times() -> None:
    with pytest.raises(ValueError, match=r"measured times \(1, 86400, 172800 s\), but is 60 s"):
        get("reram-wan2022").check_time(60.0)
    assert [get("reram-wan2022").valid_at(t) for t in (0, 1, 86400, 172800, 2)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_cmo_is_refused_before_its_law_begins() -> None:
    with pytest.raises(ValueError, match=r"`time` must be 0 or lie in \[1, 3.15576e\+08\] s, but is 0.5 s"):
        get("reram-cmo").check_time(0.5)


@every_device
@pytest.mark.parametrize("time", [-1.0, math.nan, math.inf])
def test_no_time_at_all(name: str, time: float) -> None:
    with pytest.raises(ValueError, match=f"`time` must be finite and at least 0 s, but is {time:g} s"):
        get(name).check_time(time)


@every_device
def test_configuration_for_hardware_aware_training(name: str) -> None:
    device = get(name)
    config = device.rpu_config(weight_noise=0.07)
    assert config.noise_model == device.noise_model()
    assert config.modifier.type == WeightModifierType.ADD_NORMAL
    assert config.modifier.std_dev == 0.07
    assert config.modifier.rel_to_actual_wmax
    assert config.mapping.learn_out_scaling
    assert config.pre_post.input_range.enable
    assert config.forward.out_noise == 0.04
    assert device.rpu_config().modifier.std_dev == 0.1
    assert device.rpu_config() is not device.rpu_config()


def test_short_term_read_noise_follows_the_sources() -> None:
    forward = {name: get(name).rpu_config().forward for name in catalogue("inference")}
    for name in ("pcm", "pcm-hermes", "pcm-hermes-single"):
        assert (forward[name].w_noise, forward[name].w_noise_type) == (0.0175, WeightNoiseType.PCM_READ)
    for name in ("reram-wan2022", "reram-cmo"):
        assert (forward[name].w_noise, forward[name].w_noise_type) == (
            0.01,
            WeightNoiseType.ADDITIVE_CONSTANT,
        )
    assert (forward["ideal"].w_noise, forward["ideal"].w_noise_type) == (0.0, WeightNoiseType.NONE)


@pytest.mark.parametrize("noise", [-0.1, math.nan])
def test_negative_weight_noise_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match=f"`weight_noise` must be at least 0, but is {noise}"):
        get("pcm").rpu_config(weight_noise=noise)


def test_hermes_counts_its_devices() -> None:
    assert get("pcm-hermes").noise_model().num_devices == 2
    assert get("pcm-hermes-single").noise_model().num_devices == 1


def test_cmo_names_an_acceptance_range_of_the_table() -> None:
    model = get("reram-cmo").noise_model()
    assert model.acceptance_range == 0.2
    # 10 nS at 9 µS to 100 nS at 88.2 µS: the span that the paper's abstract is about ("down to 10 nS").
    offset, slope = model.coeff_dict[model.acceptance_range]
    assert abs(offset + slope * 9.0 - 0.010) < 0.001
    assert abs(offset + slope * 88.2 - 0.100) < 0.01
