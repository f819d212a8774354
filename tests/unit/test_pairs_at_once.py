"""Pairs that receive a small batch in one compiled call get the same numbers as step by step.

And a refresh in loops finds and writes what the refresh in torch does, where reads, pulses and resets have no noise.
"""

from copy import deepcopy
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs import UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import OneSidedUnitCell
from aihwkit.simulator.configs.devices import SoftBoundsDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters

from crossbar.learning import OneSidedCells, make_cells
from crossbar.learning.one_sided import cells as module
from crossbar.learning.one_sided.refresh_in_torch import reset_full
from crossbar.reading.noise import NoiseStream

TILES, OUT, IN = 3, 4, 7


def pairs(std: float = 0.3, **settings: Any) -> OneSidedCells:
    device = SoftBoundsDevice(dw_min=0.01, dw_min_std=std, w_min=0.0, w_max=0.4, reset_std=0.0)
    cell = OneSidedUnitCell(
        unit_cell_devices=[device], refresh_upper_thres=0.5, refresh_lower_thres=0.2, **settings
    )
    cell.refresh_forward.is_perfect = True
    made = make_cells(UnitCellRPUConfig(device=cell), TILES, OUT, IN, seed=0)
    assert isinstance(made, OneSidedCells)
    return made


def learn(cells: OneSidedCells, batch: int, steps: int = 4) -> None:
    rng = torch.Generator().manual_seed(1)
    for step in range(steps):
        x, d = torch.randn(TILES, batch, IN, generator=rng), torch.randn(TILES, batch, OUT, generator=rng)
        cells.update(x, d, 0.1, noise=NoiseStream(0, step))


@pytest.mark.parametrize("rule", ["every-batch", "when-full"])
@pytest.mark.parametrize("batch", [1, 5])
def test_a_small_batch_in_one_call_is_that_in_many(
    batch: int, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = pairs(refresh_every=1)
    at_once.use_refresh(rule)
    in_steps = deepcopy(at_once)
    learn(at_once, batch)
    monkeypatch.setattr(module, "is_small", lambda x, d: False)
    learn(in_steps, batch)
    for name, values in at_once.state_dict().items():
        assert torch.equal(values, in_steps.state_dict()[name]), name
    assert at_once.weights().abs().max() > 0.1
    assert at_once.own_refreshes() == in_steps.own_refreshes()


def test_a_refresh_in_loops_is_that_in_torch() -> None:
    update = UpdateParameters(pulse_type=PulseType.DETERMINISTIC_IMPLICIT)
    in_loops = pairs(0.0, refresh_every=0, refresh_update=update)
    learn(in_loops, 20)
    for array in (in_loops.plus, in_loops.minus):
        array.count_pulses()
    in_torch = deepcopy(in_loops)
    due = torch.tensor([True, False, True])
    noise = NoiseStream(0, "refresh")
    found = in_loops._reset_full_in_loops(noise, due)
    expected = reset_full((in_torch.plus, in_torch.minus), in_torch.cell, in_torch.periphery, due, noise)
    assert found is not None
    assert torch.equal(found, expected)
    assert int(found.sum()) > 10
    assert int(found[1].sum()) == 0
    for mine, theirs in ((in_loops.plus, in_torch.plus), (in_loops.minus, in_torch.minus)):
        assert torch.equal(mine.weight, theirs.weight)
        assert torch.equal(mine.pulses(), theirs.pulses())
        assert mine.slots == theirs.slots
        assert int(theirs.pulses().sum()) > 30
