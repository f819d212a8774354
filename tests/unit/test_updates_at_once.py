"""A small update in one compiled call is the one that draws trains and sends them in two."""

import copy

import pytest
import torch

from devices.aihwkit_adapter import ExpStepDevice, LinearStepDevice, UpdateParameters
from devices.pulsed import apply_trains, draw_trains, fabricate, pulsed_update

DEVICES = {
    "linear, with noise of writing": LinearStepDevice(write_noise_std=1.0),
    "exponential": ExpStepDevice(),
}


@pytest.mark.parametrize("scale", [1.0, 0.01])  # of which "auto" takes one engine each
@pytest.mark.parametrize("engine", ["auto", "exact", "aggregated"])
@pytest.mark.parametrize("name", DEVICES)
def test_one_call_and_two_give_the_same_numbers(name, engine, scale):
    rng = torch.Generator().manual_seed(0)
    x, d = torch.randn(2, 5, 7, generator=rng), scale * torch.randn(2, 5, 4, generator=rng)
    rates, copies = torch.rand(2, 5, generator=rng), torch.tensor([1, 0, 1])
    update = UpdateParameters(desired_bl=40)
    at_once = fabricate(DEVICES[name], 3, 4, 7, seed=1)
    in_two = copy.deepcopy(at_once)
    mine, other = (torch.Generator().manual_seed(2) for _ in range(2))
    for rate in (0.1, rates):
        pulsed_update(at_once, x, d, rate, update, rng=mine, engine=engine, tile_of_train=copies)
        trains = draw_trains(x, d, rate, float(in_two.granularity), update, rng=other)
        apply_trains(in_two, trains, rng=other, engine=engine, tile_of_train=copies)
        assert torch.equal(at_once.weight, in_two.weight)
        assert torch.equal(at_once.hidden_weight, in_two.hidden_weight)
        assert torch.equal(mine.get_state(), other.get_state())
    assert at_once.weight.abs().max() > 0
