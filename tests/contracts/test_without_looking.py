"""What a GPU computes without asking the host is what the CPU computes, which looks and leaves out what is in vain.

With devices and pulses without chance both must come to the same weights. Looking is forbidden here on the CPU; the
compiled loops, which no GPU has, are left out.
"""

import pytest
import torch
from aihwkit.simulator.configs import (
    ChoppedTransferCompound,
    ConstantStepDevice,
    DynamicTransferCompound,
    LinearStepDevice,
    OneSidedUnitCell,
    TransferCompound,
    UnitCellRPUConfig,
)
from aihwkit.simulator.parameters.enums import PulseType

from crossbar import NoiseStream
from crossbar.learning import make_cells
from crossbar.learning.tiki_taka.running_maxima import RunningMaxima

# Where rules ask whether they may look.
ASKING = (
    "devices.parts.may_look",
    "devices.pulsed.update.may_look",
    "crossbar.learning.tiki_taka.choppers.may_look",
    "crossbar.learning.tiki_taka.transfer_cells.may_look",
    "crossbar.learning.one_sided.cells.may_look",
    "crossbar.learning.one_sided.refresh_in_torch.may_look",
)
CERTAIN = {"dw_min": 0.01, "dw_min_std": 0.0, "dw_min_dtod": 0.0, "up_down_dtod": 0.0}
CERTAIN |= {"w_max_dtod": 0.0, "w_min_dtod": 0.0}
STEP = ConstantStepDevice(**CERTAIN)
# Steps that fall with the weight: of a pair the fuller device is told from the other.
PAIR = LinearStepDevice(
    **(CERTAIN | {"dw_min": 0.05, "w_min": 0.0, "w_max": 0.5, "gamma_up": 0.1, "gamma_down": 0.1}),
    gamma_up_dtod=0.0,
    gamma_down_dtod=0.0,
    reset_std=0.0,
)


def compound(kind, **settings):
    made = kind(unit_cell_devices=[STEP, STEP], transfer_every=1, **settings)
    made.transfer_update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
    made.transfer_forward.is_perfect = True
    return made


def pairs():
    cell = OneSidedUnitCell(
        unit_cell_devices=[PAIR, PAIR], refresh_every=1, refresh_upper_thres=0.5, refresh_lower_thres=0.2
    )
    cell.refresh_forward.is_perfect = True
    cell.refresh_update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
    return cell


RULES = {
    "Tiki-Taka v1": lambda: compound(TransferCompound, fast_lr=0.1),
    "chopped": lambda: compound(
        ChoppedTransferCompound, fast_lr=0.1, in_chop_prob=0.3, in_chop_random=False, out_chop_prob=0.0
    ),
    "AGAD": lambda: compound(DynamicTransferCompound, fast_lr=0.1, in_chop_prob=0.3, in_chop_random=False),
    "pairs": pairs,
}


def trained(rule, *, is_told=False):
    config = UnitCellRPUConfig(device=RULES[rule]())
    config.update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
    cells = make_cells(config, 3, 4, 5, seed=0)
    if hasattr(cells, "at_once"):
        cells.at_once = None
    else:
        cells._settings, cells._known = None, tuple(array.step_size for array in (cells.plus, cells.minus))
    if is_told:
        cells.use_refresh("when-full")
    rng = torch.Generator().manual_seed(1)
    for array in cells.device_arrays().values():
        array.count_pulses()
    for step in range(12):
        x, d = torch.randn(3, 4, 5, generator=rng), torch.randn(3, 4, 4, generator=rng)
        cells.update(x, d, 0.1, noise=NoiseStream(0, step))
    return cells


@pytest.mark.parametrize(("rule", "is_told"), [*((rule, False) for rule in RULES), ("pairs", True)], ids=str)
def test_a_rule_that_may_not_look_learns_the_same(rule, is_told, monkeypatch):
    with monkeypatch.context() as patched:
        for asked in ASKING:
            patched.setattr(asked, lambda *_: False)
        blind = trained(rule, is_told=is_told)
    seeing = trained(rule, is_told=is_told)
    moved = seeing.weights().abs().amax()
    assert moved > 0.02
    for (name, one), other in zip(seeing.state_dict().items(), blind.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    if rule == "pairs":
        assert seeing.own_refreshes().pairs > 0
        assert seeing.own_refreshes() == blind.own_refreshes()


def test_running_means_follow_without_the_loop(monkeypatch):
    rng = torch.Generator().manual_seed(2)
    means = RunningMaxima(3, momentum=0.9), RunningMaxima(3, momentum=0.9)
    for _ in range(3):
        x, d = torch.randn(3, 6, 5, generator=rng), torch.randn(3, 6, 4, generator=rng)
        x[1, :2] = 0  # a mean that has not begun, and vectors that leave it
        rates = means[0].follow_rates(x, d, 0.3)
        with monkeypatch.context() as patched:
            patched.setattr("crossbar.learning.tiki_taka.running_maxima.may_look", lambda *_: False)
            blind = means[1].follow_rates(x, d, 0.3)
        assert torch.allclose(rates, blind, rtol=1e-6, atol=0)
        for one, other in zip(means[0].buffers(), means[1].buffers(), strict=True):
            assert torch.allclose(one, other, rtol=1e-6, atol=0)
