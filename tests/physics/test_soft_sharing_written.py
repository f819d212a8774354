"""Soft sharing of kernels that a write-verify loop writes: the penalty moves the targets in the digital memory."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from crossbar import LocallyConnected2d, convert_to_analog, neighbour_penalty
from crossbar.aihwkit.adapter import AnalogSGD, PulseType, SingleRPUConfig
from crossbar.learning.write_verify_config import write_verify_config
from devices import get

STRENGTH, RATE, STEPS = 5.0, 0.05, 3


def written(digital, rpu_config, write_every=1):
    torch.manual_seed(1)
    return convert_to_analog(digital, write_verify_config(rpu_config, write_every=write_every))


def steps(model, optimizer, images, strength=STRENGTH):
    for _ in range(STEPS):
        optimizer.zero_grad()
        (model(images).square().mean() + neighbour_penalty(model, strength)).backward()
        optimizer.step()


@pytest.fixture
def ideal():
    """Weights that are numbers, without noise in DAC and ADC, and mapped: a scale for each kernel."""
    config = SingleRPUConfig()
    config.update.pulse_type = PulseType.NONE
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.6
    return config


@pytest.mark.parametrize("placement", ["free", "blocks(rows=2,cols=2)", "interleaved(period=2)"])
@pytest.mark.parametrize("largest", [512, 4])
def test_with_ideal_devices_it_is_digital_training(ideal, placement, largest):
    """Also where kernels are split over several tiles. float32, 3 steps of numbers up to about 1: 1e-6 at most."""
    ideal.mapping.max_input_size = largest
    torch.manual_seed(0)
    digital = LocallyConnected2d(2, 3, 2, 5, placement=placement)
    images = torch.randn(6, 2, 5, 5)
    analog = written(digital, ideal)
    before = digital.weight.detach().clone()
    optimizer = AnalogSGD(analog.parameters(), lr=RATE)
    optimizer.regroup_param_groups(analog)
    steps(analog, optimizer, images)
    plain = deepcopy(digital)
    steps(plain, torch.optim.SGD(plain.parameters(), lr=RATE), images, strength=0.0)
    steps(digital, torch.optim.SGD(digital.parameters(), lr=RATE), images)
    weight, bias = analog.get_weights()
    torch.testing.assert_close(weight, digital.weight.detach(), rtol=0, atol=2e-6)
    torch.testing.assert_close(bias, digital.bias.detach(), rtol=0, atol=2e-6)
    # The penalty moved them, and not only the data.
    moved = (digital.weight - plain.weight).abs().max()
    assert moved > 1e-3
    assert (before - plain.weight).abs().max() > 1e-3


def test_the_penalty_waits_for_the_next_update_only():
    """Between writes it moves the targets; the devices stay until they are written."""
    torch.manual_seed(0)
    digital = LocallyConnected2d(1, 2, 2, 4)
    analog = written(digital, get("ecram").training_config(), write_every=2)
    optimizer = AnalogSGD(analog.parameters(), lr=RATE)
    optimizer.regroup_param_groups(analog)
    cells = analog.tile_array.cells
    target, weight = cells.target.clone(), cells.weights().clone()
    (analog(torch.zeros(1, 1, 4, 4)).sum() + neighbour_penalty(analog, STRENGTH)).backward()
    pull = cells.pull.clone()
    optimizer.step()
    torch.testing.assert_close(cells.target, target - RATE * pull)
    assert torch.equal(cells.weights(), weight)
    assert cells.pull is None
    optimizer.zero_grad()
    analog(torch.zeros(1, 1, 4, 4)).sum().backward()
    moved = cells.target.clone()
    optimizer.step()
    assert torch.equal(cells.target, moved)


def test_copies_feel_the_same_pull(ideal):
    """One kernel has no neighbours."""
    torch.manual_seed(0)
    analog = written(nn.Sequential(LocallyConnected2d(1, 2, 2, 4, placement="replicated(tiles=3)")), ideal)
    assert neighbour_penalty(analog, STRENGTH) == 0
