"""What fabrication promises apart from its laws, and what it refuses."""

import pytest
import torch
from aihwkit.simulator.configs.compounds import VectorUnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    IdealDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
)

from devices.pulsed import fabricate, granularity_of
from devices.pulsed.device_array import DeviceArray


def same(one: DeviceArray, other: DeviceArray, *names: str) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


ALL = ("max_bound", "min_bound", "scale_up", "scale_down")


def test_a_seed_names_the_devices() -> None:
    arrays = [fabricate(ConstantStepDevice(), 2, 3, 4, seed=seed) for seed in (0, 0, 1)]
    assert same(arrays[0], arrays[1], *ALL)
    assert not any(same(arrays[0], arrays[2], name) for name in ALL)


def test_one_more_spread_leaves_the_others_alone() -> None:
    plain = fabricate(ConstantStepDevice(), 2, 3, 4, seed=0)
    more = fabricate(ConstantStepDevice(lifetime=9.0, diffusion=0.1, reset=0.1), 2, 3, 4, seed=0)
    sloped = fabricate(LinearStepDevice(), 2, 3, 4, seed=0)
    assert same(plain, more, *ALL)
    assert same(plain, sloped, *ALL)
    assert plain.decay_scale is None
    assert more.decay_scale is not None


def test_the_global_stream_stands_still() -> None:
    before = torch.get_rng_state()
    fabricate(ConstantStepDevice(corrupt_devices_prob=0.5), 2, 3, 4, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_description_is_copied() -> None:
    device = ConstantStepDevice()
    array = fabricate(device, 1, 2, 2, seed=0)
    device.dw_min_std = 77.0
    assert array.device.dw_min_std == 0.3


def test_a_pulse_response_becomes_soft_bounds() -> None:
    """It runs twice as fast as stated, in aihwkit as well: half of `p_max` noise-free pulses cross the range."""
    device = SoftBoundsPmaxDevice(p_max=200, alpha=0.01, range_min=-0.7, range_max=0.5)
    device.w_min_dtod = device.w_max_dtod = device.dw_min_dtod = device.up_down_dtod = 0.0
    array = fabricate(device, 1, 1, 1, seed=0)
    assert type(array.device) is SoftBoundsDevice
    assert array.shape_up is not None
    weight = array.min_bound.double()
    assert weight.item() == pytest.approx(-0.7)
    for _ in range(100):
        weight = weight + array.scale_up + array.shape_up * weight
    # The stated response is exponential, and pulses are its steps: their paths are no farther apart than this.
    assert abs(weight.item() - 0.5) < 1.2 * 0.01 / 2


def test_the_symmetry_point_of_a_power_law_is_where_steps_are_equal() -> None:
    device = PowStepReferenceDevice(pow_gamma=1.5, subtract_symmetry_point=True, up_down=0.2, dw_min=0.01)
    array = fabricate(device, 1, 10, 10, seed=0)
    assert array.reference is not None
    assert array.shape_up is not None
    assert array.shape_down is not None
    span = array.max_bound - array.min_bound
    up = array.scale_up * ((array.max_bound - array.reference) / span) ** array.shape_up
    down = array.scale_down * ((array.reference - array.min_bound) / span) ** array.shape_down
    # It rests where the difference no longer moves a float32 of that size.
    assert ((up - down).abs() < 1e-6).all()


@pytest.mark.parametrize("device", [IdealDevice(), VectorUnitCell(), "reram"], ids=lambda d: type(d).__name__)
def test_what_no_pulse_moves_is_refused(device: object) -> None:
    name = type(device).__name__
    with pytest.raises(TypeError, match=f"`device` must be one of ConstantStepDevice, .*, but is a {name}"):
        fabricate(device, 1, 2, 2, seed=0)
    with pytest.raises(TypeError, match="`device` must be one of"):
        granularity_of(device)


@pytest.mark.parametrize("bounds", [{"w_min": 0.1, "w_max": 0.5}, {"w_min": -0.5, "w_max": -0.1}])
def test_a_range_without_zero_is_refused(bounds: dict[str, float]) -> None:
    text = rf"`w_min` <= 0 <= `w_max`, but they are {bounds['w_min']} and {bounds['w_max']}"
    with pytest.raises(ValueError, match=text):
        fabricate(ConstantStepDevice(**bounds), 1, 2, 2, seed=0)


@pytest.mark.parametrize("direction", ["reverse_up", "reverse_down"])
def test_reverse_slopes_with_additive_noise_are_refused(direction: str) -> None:
    with pytest.raises(ValueError, match=r"must have `mult_noise=True` if it has `reverse_up`.*but is False"):
        fabricate(LinearStepDevice(mult_noise=False, **{direction: True}), 1, 2, 2, seed=0)


@pytest.mark.parametrize(("up", "down"), [([1.0, 2.0], [1.0]), ([], [])])
def test_nodes_that_do_not_match_are_refused(up: list[float], down: list[float]) -> None:
    with pytest.raises(ValueError, match=f"at least one, but has {len(up)} and {len(down)}"):
        fabricate(PiecewiseStepDevice(piecewise_up=up, piecewise_down=down), 1, 2, 2, seed=0)
