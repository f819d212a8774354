"""Symmetry points, against where aihwkit's own devices go when pulses up and down alternate.

Without cycle-to-cycle noise a device settles into stepping up and down between two weights. Where steps up shrink
with the weight and steps down grow, as here, the point at which both are equal lies between these two: had it not,
both pulses would push to the same side. Devices come there like exp(-2 slope step pairs), the slopes being 0.4 or
more: exp(-9.6) after 3000 pairs of pulses of 0.004, some 4e-5 of the range, which is the margin: a hundredth of a
step.
"""

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile

from devices.pulsed import from_hidden
from devices.pulsed.symmetry import symmetry_points

STEP = 0.004
MARGIN = 0.01 * STEP
COMMON = {"dw_min": STEP, "dw_min_std": 0.0, "dw_min_dtod": 0.2, "up_down_dtod": 0.1, "construction_seed": 7}
DEVICES = [
    LinearStepDevice(
        gamma_up=0.6, gamma_down=0.5, gamma_up_dtod=0.1, gamma_down_dtod=0.1, mult_noise=True, **COMMON
    ),
    LinearStepDevice(gamma_up=0.6, gamma_down=0.5, mult_noise=False, **COMMON),
    SoftBoundsDevice(**COMMON),
    SoftBoundsReferenceDevice(reference_std=0.05, w_max_dtod=0.1, w_min_dtod=0.1, **COMMON),
    ExpStepDevice(A_up=0.5, A_down=0.4, gamma_up=1.0, gamma_down=1.2, a=1.0, b=0.1, **COMMON),
    PowStepDevice(pow_gamma=1.0, **COMMON),
    # Bounds far from the reference: beyond one, aihwkit takes a root of a negative number.
    PowStepReferenceDevice(reference_std=0.05, pow_gamma=1.0, w_max_dtod=0.1, w_min_dtod=0.1, **COMMON),
    PiecewiseStepDevice(piecewise_up=[1.6, 1.2, 0.7, 0.3], piecewise_down=[0.2, 0.9, 1.1, 1.9], **COMMON),
]


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: type(device).__name__)
def test_alternating_pulses_lead_there(device):
    update = UpdateParameters(
        pulse_type=PulseType.DETERMINISTIC_IMPLICIT,
        desired_bl=1,
        update_management=False,
        update_bl_management=False,
        fixed_bl=True,
    )
    tile = AnalogTile(12, 12, SingleRPUConfig(device=device, update=update))
    tile.set_learning_rate(STEP)
    ones = torch.ones(1, 12)
    for _ in range(3000):
        tile.update(ones, -ones)
        high = tile.get_weights()[0].clone()
        tile.update(ones, ones)
    low = tile.get_weights()[0]
    array = from_hidden(device, [tile.get_hidden_parameters()], [low])
    points = symmetry_points(array)[0]
    known = points.isfinite()
    assert known.float().mean() > 0.5
    assert (points - low)[known].min() > -MARGIN
    assert (high - points)[known].min() > -MARGIN
    # A device whose steps are nowhere equal between its bounds is driven to one of them.
    reference = torch.zeros_like(low) if array.reference is None else array.reference[0]
    room = torch.minimum(array.max_bound[0] - high - reference, low + reference - array.min_bound[0])
    assert (room[~known] < MARGIN).all()


def test_constant_steps_have_none():
    tile = AnalogTile(3, 3, SingleRPUConfig(device=ConstantStepDevice()))
    array = from_hidden(ConstantStepDevice(), [tile.get_hidden_parameters()], [tile.get_weights()[0]])
    assert symmetry_points(array).isnan().all()
