"""Soft sharing and sleep: what they do to kernels, against sums over the map written out location by location."""

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig, TorchInferenceRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from torch import nn

from crossbar import AnalogConv2d, AnalogLocallyConnected2d, LocallyConnected2d
from crossbar.network.soft_sharing import neighbour_penalty, sleep

MANY = ["free", "blocks(rows=2,cols=3)", "interleaved(period=2)", "random(tiles=5)"]
ONE = ["time_multiplexed", "replicated(tiles=4)", "blocks(rows=1,cols=1)"]
ROWS, COLUMNS = 5, 4


def value(penalty):
    return float(penalty.detach())


def digital(placement, bias=True):
    torch.manual_seed(0)
    return LocallyConnected2d(1, 3, 2, (ROWS + 1, COLUMNS + 1), placement=placement, bias=bias)


def aware(placement):
    """On two uneven tiles for each kernel, with scales of their own."""
    config = TorchInferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.max_output_size = 2
    config.mapping.weight_scaling_columnwise = True
    config.mapping.learn_out_scaling = config.mapping.out_scaling_columnwise = True
    analog = AnalogLocallyConnected2d.from_digital(digital(placement), config)
    with torch.no_grad():
        analog.tile_array.out_scaling_alpha.uniform_(0.5, 2.0)
    return analog


def network_kernels(layer):
    """(locations, weights) with the bias, as float64."""
    weight, bias = (
        (layer.weight, layer.bias) if isinstance(layer, LocallyConnected2d) else layer.get_weights()
    )
    kernels = weight.flatten(1) if bias is None else torch.cat([weight.flatten(1), bias], dim=1)
    return kernels.detach().double()[layer.placement.kernel_of_location]


def penalty_by_hand(layer, strength):
    kernels = network_kernels(layer).reshape(ROWS, COLUMNS, -1)
    squares = [
        ((kernels[i, j] - kernels[row, column]) ** 2).mean()
        for i in range(ROWS)
        for j in range(COLUMNS)
        for row, column in ((i + 1, j), (i, j + 1))
        if row < ROWS and column < COLUMNS
    ]
    assert len(squares) == 2 * ROWS * COLUMNS - ROWS - COLUMNS
    return strength / 2 * float(sum(squares)) / len(squares)


@pytest.mark.parametrize("make", [digital, aware])
@pytest.mark.parametrize("placement", MANY)
def test_the_penalty_is_the_mean_over_the_map(placement, make):
    layer = make(placement)
    assert value(neighbour_penalty(nn.Sequential(layer), 3.0)) == pytest.approx(
        penalty_by_hand(layer, 3.0), rel=1e-5
    )
    assert penalty_by_hand(layer, 3.0) > 0.01


@pytest.mark.parametrize("placement", ONE)
def test_one_kernel_costs_nothing(placement):
    model = nn.Sequential(digital(placement), nn.Conv2d(3, 3, 2))
    assert value(neighbour_penalty(model, 5.0)) == 0.0


def test_layers_add_up_and_dense_layers_do_not_count():
    layers = [digital("free"), digital("blocks(rows=2,cols=2)", bias=False)]
    model = nn.Sequential(*layers, nn.Linear(3, 3), AnalogConv2d(3, 3, 2))
    expected = sum(penalty_by_hand(layer, 2.0) for layer in layers)
    assert value(neighbour_penalty(model, 2.0)) == pytest.approx(expected, rel=1e-5)
    assert value(neighbour_penalty(model, 0.0)) == 0.0


@pytest.mark.parametrize("placement", MANY)
def test_the_gradient_equals_finite_differences(placement):
    """Quadratic in each weight: the central difference is exact, up to float64."""
    layer = digital(placement).double()
    neighbour_penalty(layer, 7.0).backward()
    for parameter in (layer.weight, layer.bias):
        gradient = torch.zeros_like(parameter)
        with torch.no_grad():
            for i in range(parameter.numel()):
                ends = []
                for step in (1e-3, -2e-3):
                    parameter.view(-1)[i] += step
                    ends.append(value(neighbour_penalty(layer, 7.0)))
                parameter.view(-1)[i] += 1e-3
                gradient.view(-1)[i] = (ends[0] - ends[1]) / 2e-3
        assert torch.allclose(parameter.grad, gradient, rtol=0, atol=1e-11)
        assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("placement", ["free", "blocks(rows=2,cols=3)"])
def test_plain_sgd_makes_the_step_of_the_digital_layer(placement):
    """With gradients in units of the largest conductance: dw = -lr g / scale**2 * scale."""
    layer, reference = aware(placement), digital(placement)
    with torch.no_grad():
        weight, bias = layer.get_weights()
        reference.weight.copy_(weight)
        reference.bias.copy_(bias)
    for each in (layer, reference):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.5)
        neighbour_penalty(each, 20.0).backward()
        optimizer.step()
    after, before = layer.get_weights()[0], weight
    assert torch.allclose(after, reference.weight, atol=1e-6)
    assert (after - before).abs().max() > 0.01
    assert torch.allclose(layer.get_weights()[1], reference.bias, atol=1e-6)


def test_a_strong_penalty_makes_a_convolution():
    layer = digital("free")
    mean = network_kernels(layer).mean(0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.2)
    strength = (
        20 * 15.0
    )  # locations times weights: about 0.4 of the distance to four neighbours with every step
    for _ in range(300):
        optimizer.zero_grad()
        neighbour_penalty(layer, strength).backward()
        optimizer.step()
    assert torch.allclose(network_kernels(layer), mean.expand(20, -1), atol=1e-4)


def asleep_by_hand(layer, factor, reach):
    """Average over windows, then over the locations of a kernel, weighted by how many each has in its window."""
    kernels, owner = network_kernels(layer), layer.placement.kernel_of_location.tolist()
    result = kernels.clone()
    for kernel in set(owner):
        total, number = 0.0, 0
        for place in [place for place in range(ROWS * COLUMNS) if owner[place] == kernel]:
            for other in range(ROWS * COLUMNS):
                rows = abs(place // COLUMNS - other // COLUMNS)
                columns = abs(place % COLUMNS - other % COLUMNS)
                if reach is None or max(rows, columns) <= reach:
                    total, number = total + kernels[other], number + 1
        for place in range(ROWS * COLUMNS):
            if owner[place] == kernel:
                result[place] += factor * (total / number - kernels[place])
    return result


@pytest.mark.parametrize("make", [digital, aware])
@pytest.mark.parametrize("placement", MANY)
@pytest.mark.parametrize(("factor", "reach"), [(1.0, None), (0.3, None), (1.0, 1), (0.5, 2), (1.0, 0)])
def test_kernels_move_towards_the_mean_of_their_neighbourhood(placement, factor, reach, make):
    layer = make(placement)
    expected = asleep_by_hand(layer, factor, reach)
    sleep(nn.Sequential(layer), factor, reach, seed=0)
    assert torch.allclose(network_kernels(layer), expected, atol=1e-6)


@pytest.mark.parametrize("placement", MANY)
def test_a_whole_sleep_makes_all_kernels_equal_to_their_mean(placement):
    layer = digital(placement)
    mean = network_kernels(layer).mean(0)
    sleep(layer, 1.0, seed=0)
    assert torch.allclose(network_kernels(layer), mean.expand(20, -1), atol=1e-6)


@pytest.mark.parametrize("make", [digital, aware])
def test_a_factor_of_zero_and_one_kernel_change_nothing(make):
    for placement, factor in (("free", 0.0), *((name, 1.0) for name in ONE)):
        layer = make(placement)
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        sleep(nn.Sequential(layer), factor, seed=0)
        assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_impossible_settings_are_refused():
    layer = digital("free")
    with pytest.raises(ValueError, match=r"`strength` must be at least 0, but is -1\.0"):
        neighbour_penalty(layer, -1.0)
    for factor in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"`factor` must lie in \[0, 1\], but is {factor}"):
            sleep(layer, factor, seed=0)
    with pytest.raises(ValueError, match="`reach` must be at least 0 locations, but is -1"):
        sleep(layer, 1.0, -1, seed=0)
    in_situ = AnalogLocallyConnected2d(1, 3, 2, 5, rpu_config=SingleRPUConfig(device=ConstantStepDevice()))
    with pytest.raises(ValueError, match=r"layer '1' learns in place\. Use `sleep`"):
        neighbour_penalty(nn.Sequential(layer, in_situ), 1.0)
