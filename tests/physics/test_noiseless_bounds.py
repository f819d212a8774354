"""Devices without noise end where their steps lead, and stop at their bounds, whichever engine counts the pulses."""

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice, LinearStepDevice, SoftBoundsDevice

from crossbar import AnalogLinear

STEP, PULSES = 0.01, 5


def layer_of(device, engine):
    """Every slot of both lines holds a pulse, so that each vector sends five to every device."""
    config = SingleRPUConfig(device=device)
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.0
    config.update.desired_bl, config.update.fixed_bl = PULSES, True
    config.update.update_management = config.update.update_bl_management = False
    torch.manual_seed(0)
    layer = AnalogLinear(4, 3, bias=False, rpu_config=config)
    layer.set_weights(torch.linspace(-0.5, 0.5, 12).reshape(3, 4))
    layer.tile_array.in_situ.engine = engine
    return layer


@pytest.mark.parametrize("kind", [ConstantStepDevice, LinearStepDevice, SoftBoundsDevice])
@pytest.mark.parametrize("vectors", [1, 30], ids=["away from bounds", "into the bound"])
def test_both_engines_end_at_the_same_weights(kind, vectors):
    """Before a run's noise was left in its place, devices without noise that came near a bound were thrown by it."""
    none = dict.fromkeys(("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0)
    ends = []
    for engine in ("exact", "aggregated"):
        layer = layer_of(kind(dw_min=STEP, w_max=0.6, w_min=-0.6, up_down=0.0, **none), engine)
        optimizer = AnalogSGD(layer.parameters(), lr=1.01 * PULSES * STEP)
        for _ in range(2):
            optimizer.zero_grad()
            (-layer(torch.ones(vectors, 4))).sum().backward()
            optimizer.step()
        ends.append(layer.get_weights()[0])
    exact, aggregated = ends
    # Affine steps are summed as a series whose rest is below 0.1 % of a step, for each of at most 60 vectors.
    assert (exact - aggregated).abs().max() <= 60 * PULSES * STEP * 1e-3
    assert exact.max() <= 0.6
    if kind is ConstantStepDevice:
        expected = (torch.linspace(-0.5, 0.5, 12).reshape(3, 4) + 2 * vectors * PULSES * STEP).clamp(max=0.6)
        assert aggregated == pytest.approx(expected, abs=1e-5)
