"""Passes go over some tiles at a time, which bounds what they need in between and changes no number."""

import pytest
import torch

from crossbar import TileArray
from crossbar.aihwkit.adapter import (
    AnalogMVType,
    BoundManagementType,
    InferenceRPUConfig,
    StandardHWATrainingPreset,
    WeightModifierType,
)
from crossbar.reading.parts import parts_of, parts_of_at_most
from helpers.memory import most_bytes

TILES, OUT, IN = 70, 6, 9


def clipping():
    config = StandardHWATrainingPreset()
    config.forward.out_bound = 0.3
    config.mapping.learn_out_scaling = True
    return config


def drawn_in_turns():
    config = StandardHWATrainingPreset()
    config.forward.inp_noise = 0.02
    return config


def frozen_spread():
    config = StandardHWATrainingPreset()
    config.forward.out_noise_std, config.forward.v_offset_std = 0.2, 0.01
    config.forward.out_nonlinearity, config.forward.w_noise = 0.1, 0.0
    return config


def separate():
    config = StandardHWATrainingPreset()
    config.forward.mv_type, config.forward.w_read_asymmetry_dtod = AnalogMVType.POS_NEG_SEPARATE, 0.1
    return config


def repeating():
    config = InferenceRPUConfig()
    config.forward.out_bound, config.forward.bound_management = 0.5, BoundManagementType.ITERATIVE
    return config


CONFIGURATIONS = [StandardHWATrainingPreset, clipping, drawn_in_turns, frozen_spread, separate, repeating]


def numbers(make_config, batch, gradient):
    """Return all that two training steps and an evaluation compute."""
    rng = torch.Generator().manual_seed(0)
    array = TileArray(TILES, OUT, IN, make_config(), gradient=gradient, seed=1)
    array.set_kernels(torch.rand(TILES, OUT, IN, generator=rng) - 0.5)
    found = []
    for _ in range(2):
        x = (2 * torch.rand(TILES, batch, IN, generator=rng) - 0.5).requires_grad_()
        y = array.train()(x)
        y.square().sum().backward()
        grads = [parameter.grad for parameter in array.parameters()]
        found += [y, x.grad, *(grad for grad in grads if grad is not None)]
    with torch.no_grad():
        return [*found, array.eval()(x)]


@pytest.mark.parametrize("gradient", ["aihwkit", "exact"])
@pytest.mark.parametrize("batch", [1, 17])
@pytest.mark.parametrize("make_config", CONFIGURATIONS)
def test_no_number_depends_on_how_many_tiles_are_computed_at_a_time(make_config, batch, gradient):
    with parts_of_at_most(2**40):
        whole = numbers(make_config, batch, gradient)
    with parts_of_at_most(1):
        assert len(parts_of(TILES, 1, torch.zeros(()))) == 4
        parts = numbers(make_config, batch, gradient)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("tiles", [1, 16, 31, 32, 47, 48, 1000])
def test_parts_are_all_tiles_and_none_is_smaller_than_sixteen(tiles):
    with parts_of_at_most(1):
        parts = parts_of(tiles, 5, torch.zeros(()))
    assert torch.cat([torch.arange(tiles)[part] for part in parts]).equal(torch.arange(tiles))
    assert len(parts) == max(tiles // 16, 1)
    assert all(part.stop - part.start >= min(tiles, 16) for part in parts)


def test_a_budget_must_be_positive():
    with pytest.raises(ValueError, match="`number` must be positive, but is 0"), parts_of_at_most(0):
        pass


def test_a_training_pass_needs_less_than_six_times_the_weights():
    tiles, out, inputs, batch = 2000, 32, 9, 8
    array = TileArray(tiles, out, inputs, StandardHWATrainingPreset())
    assert StandardHWATrainingPreset().modifier.type == WeightModifierType.NONE
    array.set_kernels(torch.rand(tiles, out, inputs) - 0.5)
    x = torch.rand(tiles, batch, inputs)

    def train():
        array.zero_grad()
        array.train()(x).sum().backward()

    weights, outputs, voltages = tiles * out * inputs * 4, tiles * batch * out * 4, tiles * batch * inputs * 4
    budget = 2**18
    with parts_of_at_most(budget):
        train()
        array.zero_grad()
        most = most_bytes(train)
    # Outputs before and after the digital scales, or outputs and the weights' gradient; inputs in units of the DAC
    # and their gradient; scales and factors of every bit line; and what one part needs, forward or backward.
    needed = max(2 * outputs, outputs + weights + voltages) + voltages + 4 * outputs // batch + 2 * budget
    assert most < needed
    held = sum(values.nbytes for values in [*array.parameters(), *array.buffers()])
    assert held + needed < 6 * weights
