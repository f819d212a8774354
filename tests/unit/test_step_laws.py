"""Step laws: by hand at a few points, compiled and torch versions against each other, and the slope of steps.

That the compiled laws are aihwkit's is tested in tests/references, pulse for pulse.
"""

import math
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    VectorUnitCell,
)
from numba import njit
from torch import Tensor

from devices.pulsed import DeviceArray, Law, fabricate, law_of
from devices.pulsed.laws import curved_steps, step

PAPER_EXP = {
    "a": 0.244,
    "b": 0.2425,
    "A_up": 0.00081,
    "A_down": 0.36833,
    "gamma_up": 12.44625,
    "gamma_down": 12.78785,
}
QUADRATIC = {
    "pow_gamma": 2.0,
    "pow_gamma_dtod": 0.0,
    "dw_min": 0.001,
    "dw_min_dtod": 0.0,
    "up_down_dtod": 0.0,
    "w_max": 1.0,
    "w_min": -1.0,
    "w_max_dtod": 0.0,
    "w_min_dtod": 0.0,
}
DEVICES = {
    "constant": ConstantStepDevice(),
    "linear": LinearStepDevice(gamma_up=0.3, gamma_down=0.2),
    "linear, additive": LinearStepDevice(gamma_up=0.3, gamma_down=0.2, mult_noise=False),
    "soft bounds": SoftBoundsDevice(),
    "soft bounds, reference": SoftBoundsReferenceDevice(reference_std=0.1, mult_noise=True),
    "soft bounds, reference, additive": SoftBoundsReferenceDevice(reference_std=0.1, mult_noise=False),
    "exponential": ExpStepDevice(**PAPER_EXP),
    "exponential, more noise": ExpStepDevice(dw_min_std_add=0.02, dw_min_std_slope=0.1, **PAPER_EXP),
    "power": PowStepDevice(pow_gamma=1.5),
    "power, reference": PowStepReferenceDevice(pow_gamma=0.7, reference_std=0.1),
    "piecewise, one node": PiecewiseStepDevice(piecewise_up=[0.8], piecewise_down=[1.2]),
    "piecewise": PiecewiseStepDevice(piecewise_up=[1.0, 0.8, 0.3], piecewise_down=[0.4, 0.9, 1.2]),
}


@njit  # type: ignore[untyped-decorator]
def compiled_steps(
    law: Any,
    w: Any,
    is_up: Any,
    scale: Any,
    shape: Any,
    mx: Any,
    mn: Any,
    constants: Any,
    nodes: Any,
    f: Any,
    g: Any,
) -> None:
    for k in range(len(w)):
        f[k], g[k] = step(law, w[k], is_up, scale[k], shape[k], mx[k], mn[k], constants, nodes)


def compiled(devices: DeviceArray, w: Tensor, is_up: bool) -> tuple[Tensor, Tensor]:
    """Apply the compiled law to all devices of an array, where they would stand at `w`."""
    scale, shape, nodes = of_direction(devices, is_up)
    f, g = torch.empty(w.numel()), torch.empty(w.numel())
    tensors = (w, scale, scale if shape is None else shape, devices.max_bound, devices.min_bound)
    w_, scale_, shape_, mx, mn = (tensor.flatten().numpy() for tensor in tensors)
    compiled_steps(
        int(devices.law),
        w_,
        is_up,
        scale_,
        shape_,
        mx,
        mn,
        devices.constants.numpy(),
        nodes.numpy(),
        f.numpy(),
        g.numpy(),
    )
    return f.view_as(w), g.view_as(w)


def of_direction(devices: DeviceArray, is_up: bool) -> tuple[Tensor, Tensor | None, Tensor]:
    if is_up:
        return devices.scale_up, devices.shape_up, devices.nodes_up
    return devices.scale_down, devices.shape_down, devices.nodes_down


def one(device: PulsedDevice, w: float, is_up: bool, **hidden: float) -> tuple[float, float]:
    """Return step and noise of one device: steps 0.01 up, 0.02 down, bounds -0.5 and 1; both ways of computing."""
    devices = fabricate(device, 1, 1, 1, seed=1)
    for name, value in {
        "scale_up": 0.01,
        "scale_down": 0.02,
        "max_bound": 1.0,
        "min_bound": -0.5,
        **hidden,
    }.items():
        getattr(devices, name).fill_(value)
    where = torch.full((1, 1, 1), w)
    f, g = (float(value) for value in compiled(devices, where, is_up))
    assert [float(value) for value in devices.steps(where, is_up)] == pytest.approx(
        [f, g], rel=1e-5, abs=1e-9
    )
    return f, g


class TestLawsByHand:
    def test_constant(self) -> None:
        assert one(ConstantStepDevice(dw_min_std=0.3), 0.4, True) == pytest.approx((0.01, 0.003))
        assert one(ConstantStepDevice(dw_min_std=0.3), 0.4, False) == pytest.approx((0.02, 0.006))

    def test_linear(self) -> None:
        slopes = {"shape_up": -0.004, "shape_down": 0.03}
        device = LinearStepDevice(dw_min_std=0.5, mult_noise=True)
        assert one(device, 0.5, True, **slopes) == pytest.approx((0.008, 0.004))
        assert one(device, 0.5, False, **slopes) == pytest.approx((0.035, 0.0175))
        device = LinearStepDevice(dw_min_std=0.5, mult_noise=False)
        assert one(device, 0.5, True, **slopes) == pytest.approx((0.008, 0.005))
        assert one(device, 0.5, False, **slopes) == pytest.approx((0.035, 0.01))

    def test_soft_bounds_with_a_reference(self) -> None:
        device = SoftBoundsReferenceDevice(dw_min_std=0.5, mult_noise=True)
        assert one(device, 0.25, True) == pytest.approx((0.0075, 0.00375))
        assert one(device, 0.25, False) == pytest.approx((0.03, 0.015))
        device = SoftBoundsReferenceDevice(dw_min_std=0.5, mult_noise=False)
        assert one(device, 0.25, True) == pytest.approx((0.0075, 0.005))
        # A bound on the wrong side of zero does not soften.
        assert one(device, 0.25, False, min_bound=0.1) == pytest.approx((0.02, 0.01))
        assert one(device, -0.25, True, max_bound=0.0) == pytest.approx((0.01, 0.005))

    def test_exponential(self) -> None:
        form = {"A_up": 0.1, "A_down": 0.2, "gamma_up": 1.5, "gamma_down": 2.0, "a": 0.75, "b": 0.1}
        z = 2 * 0.3 / 1.5 * 0.75 + 0.1
        up, down = 0.01 * (1 - 0.1 * math.exp(1.5 * z)), 0.02 * (1 - 0.2 * math.exp(-2.0 * z))
        assert one(ExpStepDevice(dw_min_std=0.5, **form), 0.3, True) == pytest.approx((up, 0.5 * up))
        assert one(ExpStepDevice(dw_min_std=0.5, **form), 0.3, False) == pytest.approx((down, 0.5 * down))
        noisy = ExpStepDevice(dw_min_std=0.5, dw_min_std_add=0.04, dw_min_std_slope=0.1, **form)
        assert one(noisy, -0.3, False)[1] == pytest.approx(
            0.5 * (one(noisy, -0.3, False)[0] + 0.04 + 0.1 * 0.3)
        )
        steep = ExpStepDevice(dw_min_std=0.5, **{**form, "A_up": 2.0})
        assert one(steep, 0.3, True) == (0.0, 0.0)  # never backwards

    def test_power(self) -> None:
        device = PowStepDevice(dw_min_std=0.5)
        gammas = {"shape_up": 2.0, "shape_down": 0.5}
        assert one(device, 0.7, True, **gammas) == pytest.approx((0.01 * 0.2**2, 0.005 * 0.2**2))
        assert one(device, 0.1, False, **gammas) == pytest.approx((0.02 * 0.4**0.5, 0.01 * 0.4**0.5))
        assert one(device, 1.1, True, **gammas) == (0.0, 0.0)  # beyond the bound there is no distance left

    def test_piecewise(self) -> None:
        device = PiecewiseStepDevice(
            dw_min_std=0.5, piecewise_up=[1.0, 0.6, 0.2], piecewise_down=[0.5, 1.0, 2.0]
        )
        # 0.625 lies half-way between the middle of the range, 0.25, and its end, 1.
        assert one(device, 0.625, True) == pytest.approx((0.004, 0.002))
        assert one(device, 0.625, False) == pytest.approx((0.03, 0.015))
        assert one(device, 0.25, True)[0] == pytest.approx(0.006)
        assert one(device, 1.0, True)[0] == pytest.approx(0.002)
        assert one(device, -0.5, False)[0] == pytest.approx(0.01)


@pytest.mark.parametrize("name", DEVICES)
def test_compiled_and_torch_laws_agree_everywhere(name: str) -> None:
    devices = fabricate(DEVICES[name], 3, 40, 50, seed=5)
    # Some devices are corrupt: no range, no step.
    devices.max_bound[0, :5] = devices.min_bound[0, :5] = 0.1
    # From beyond the lower bound, where only deviating devices come, to beyond the upper one.
    part = torch.rand(devices.shape, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1
    w = devices.min_bound + part * (devices.max_bound - devices.min_bound)
    w[1, :3], w[1, 3:6] = devices.min_bound[1, :3], devices.max_bound[1, 3:6]
    size = float(devices.scale_up.abs().mean())
    for is_up in (True, False):
        expected, found = compiled(devices, w, is_up), devices.steps(w, is_up)
        for ours, theirs in zip(expected, found, strict=True):
            # Float32: a few roundings of numbers near 1, some 10 times as large inside the steepest exponential.
            assert (ours - theirs).abs().max() < 1e-4 * size
            assert ours.isfinite().all()
    assert expected[0].std() > 0.05 * size


@pytest.mark.parametrize(
    "name", ["exponential", "power", "power, reference", "piecewise", "piecewise, one node"]
)
def test_steps_of_many_devices_at_a_time_agree_with_those_of_one(name: str) -> None:
    devices = fabricate(DEVICES[name], 3, 40, 50, seed=5)
    devices.max_bound[0, :5] = devices.min_bound[0, :5] = 0.1
    part = torch.rand(devices.shape, generator=torch.Generator().manual_seed(1))
    w = devices.min_bound + part * (devices.max_bound - devices.min_bound)
    w[1, :3], w[1, 3:6] = devices.min_bound[1, :3], devices.max_bound[1, 3:6]
    size = float(devices.scale_up.abs().mean())
    for is_up in (True, False):
        scale, shape, _ = of_direction(devices, is_up)
        found = torch.empty(w.numel())
        tensors = (
            w,
            torch.full_like(w, 1.0 if is_up else -1.0),
            scale,
            scale if shape is None else shape,
            devices.max_bound,
            devices.min_bound,
        )
        constants, nodes = devices.constants.numpy(), (devices.nodes_up.numpy(), devices.nodes_down.numpy())
        curved_steps(
            found.numpy(), int(devices.law), *(t.flatten().numpy() for t in tensors), constants, *nodes
        )
        expected = compiled(devices, w, is_up)[0]
        # As between the compiled law and that in torch.
        assert (found.view_as(w) - expected).abs().max() < 1e-4 * size
        assert expected.std() > 0.05 * size


class TestNamesOfLaws:
    def test_every_device_has_its_law(self) -> None:
        assert [law_of(device) for device in DEVICES.values()] == [
            Law.CONSTANT_STEP,
            Law.LINEAR_STEP,
            Law.LINEAR_STEP_ADDITIVE,
            Law.LINEAR_STEP,
            Law.SOFT_BOUNDS_REFERENCE,
            Law.SOFT_BOUNDS_REFERENCE_ADDITIVE,
            Law.EXP_STEP,
            Law.EXP_STEP,
            Law.POW_STEP,
            Law.POW_STEP,
            Law.PIECEWISE_STEP,
            Law.PIECEWISE_STEP,
        ]
        assert law_of(SoftBoundsDevice(mult_noise=False)) == Law.LINEAR_STEP_ADDITIVE
        assert law_of(SoftBoundsPmaxDevice(mult_noise=True)) == Law.LINEAR_STEP

    def test_a_cell_of_several_devices_has_none(self) -> None:
        with pytest.raises(TypeError, match=r"`device` must be one of aihwkit's .* but is VectorUnitCell"):
            law_of(VectorUnitCell(unit_cell_devices=[ConstantStepDevice()]))
