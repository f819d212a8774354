"""The power response of Wu et al. (2025), and what aihwkit's stock device makes of the same settings."""

import pytest
import torch

from devices.aihwkit_adapter import PowStepDevice
from devices.pulsed import fabricate
from experiments.studies.published.reproductions.mnist_on_devices import device_of
from experiments.studies.published.tables import load_table

TAU, STATES = 0.7, 1200


def steps(device, w, *, is_up):
    device.dw_min_dtod = device.up_down_dtod = 0.0
    array = fabricate(device, 1, 1, len(w), seed=0)
    return array.steps(torch.tensor(w).reshape(1, 1, -1), is_up)[0].flatten(), float(array.granularity)


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_a_step_is_that_of_the_paper_and_the_stock_device_has_more_states(gamma):
    assert load_table("soft-bounds").settings["power"]["states"] == STATES
    size, w = 2 * TAU / STATES, [-0.7, -0.35, 0.0, 0.35, 0.7]
    for is_up, sign in ((True, -1.0), (False, 1.0)):
        found, granularity = steps(device_of(f"power {gamma:g}", TAU, STATES), w, is_up=is_up)
        expected = size * torch.tensor([(1 + sign * value / TAU) for value in w]).clamp(min=0) ** gamma
        # In float32; a power of a rounded distance near a bound loses half of its digits.
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3 * size)
        assert granularity == pytest.approx(size, rel=1e-6)
        stock = PowStepDevice(
            pow_gamma=gamma,
            pow_gamma_dtod=0.0,
            w_max=TAU,
            w_min=-TAU,
            w_max_dtod=0.0,
            w_min_dtod=0.0,
            dw_min=size,
        )
        of_stock, finer = steps(stock, w, is_up=is_up)
        torch.testing.assert_close(of_stock, expected / 2**gamma, rtol=1e-5, atol=1e-3 * size)
        assert finer == pytest.approx(size / 2**gamma, rel=1e-6)
