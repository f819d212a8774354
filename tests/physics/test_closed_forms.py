"""Closed forms of a training step in place, against ledgers that were counted."""

import pytest
import torch
from torch import nn

from crossbar import LocallyConnected2d, convert_to_analog, record_events
from crossbar.aihwkit.adapter import AnalogSGD, SingleRPUConfig
from crossbar.cost.closed_forms import Step, bytes_of_gradients, bytes_of_maps, bytes_of_updates, shares
from crossbar.cost.events import PHASES
from devices.aihwkit_adapter import ConstantStepDevice


def config(max_input_size):
    made = SingleRPUConfig(device=ConstantStepDevice())
    made.update.update_management = made.update.update_bl_management = False
    made.mapping.max_input_size = max_input_size
    return made


@pytest.mark.parametrize(
    "placement", ["free", "time_multiplexed", "replicated(tiles=25)", "blocks(rows=2,cols=2)"]
)
@pytest.mark.parametrize("max_input_size", [512, 10])
@pytest.mark.parametrize("images", [1, 5])
@pytest.mark.parametrize("passes_on", [False, True])
def test_all_events_of_a_step(placement, max_input_size, images, passes_on):
    torch.manual_seed(0)
    digital = nn.Sequential(LocallyConnected2d(2, 4, 3, 7, bias=False, placement=placement))
    model = convert_to_analog(digital, config(max_input_size))
    optimizer = AnalogSGD(model.parameters(), lr=1e3)  # all lines pulse in every slot
    x = torch.ones(images, 2, 7, 7, requires_grad=passes_on)
    with record_events(model) as ledger:
        y = model(x)
        (y * 1e3).sum().backward()
        optimizer.step()
    counted = ledger.layers["0"]
    expected = Step(images=images, passes_on=passes_on).events(counted.shape)
    for phase in PHASES:
        assert dict(counted.counts[phase]) == dict(expected.counts[phase]), phase


def test_shares_are_as_equal_as_it_goes():
    assert shares(10, 4) == [2, 3, 2, 3]


def test_one_process_receives_nothing():
    assert bytes_of_maps(25, 4, 8, 1) == bytes_of_updates(200, 22, 1) == bytes_of_gradients(72, 1) == 0
