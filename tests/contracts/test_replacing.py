"""Trained kernels on other tiles: the same network, or a refusal that names layer and tile."""

import re

import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig, TorchInferenceRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.pre_post import InputRangeParameter
from aihwkit.simulator.presets import StandardHWATrainingPreset
from torch import nn

from crossbar import (
    AnalogConv2d,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    convert_to_analog,
    program_chip,
)
from crossbar.network.replacing import replace_placement

X = torch.rand(4, 1, 9, 8, generator=torch.Generator().manual_seed(0))
INPUT = (1, 9, 8)


def ideal():
    config = TorchInferenceRPUConfig()
    config.forward.is_perfect = True
    config.mapping.max_input_size, config.mapping.max_output_size = 20, 2  # both layers split, unevenly
    config.mapping.learn_out_scaling = True
    return config


def network(local=None):
    """A convolution, or a local layer with some placement, and another convolution."""
    torch.manual_seed(0)
    first = nn.Conv2d(1, 3, 3) if local is None else LocallyConnected2d(1, 3, 3, (9, 8), placement=local)
    return nn.Sequential(first, nn.Tanh(), nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(100, 4))


CONV_TARGETS = ["time_multiplexed", "replicated", "replicated(tiles=3)", "free", "blocks(rows=2,cols=3)",
                "interleaved(period=2)", "random(tiles=3)", "random(tiles=3,redraw=True)"]  # fmt: skip


@pytest.mark.parametrize("target", CONV_TARGETS)
def test_a_convolution_goes_everywhere(target):
    """Sums of 30 products of numbers up to 1, in another order: 30 * 2**-24 each, two layers."""
    digital = network()
    analog = convert_to_analog(digital, ideal(), INPUT, placement=target).eval()
    assert torch.allclose(analog(X), digital(X), atol=1e-5, rtol=0)
    layer = analog[0]
    assert layer.placement.spec.startswith(target.partition("(")[0])
    expected = AnalogConv2d if layer.placement.kernels == 1 else AnalogLocallyConnected2d
    assert isinstance(layer, expected)
    weight = layer.get_weights()[0].reshape(-1, 3, 1, 3, 3)
    torch.testing.assert_close(weight, digital[0].weight.expand_as(weight), rtol=2**-21, atol=0)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("blocks(rows=2,cols=2)", "free"),
        ("blocks(rows=1,cols=2)", "blocks(rows=2,cols=2)"),
        ("interleaved(period=2)", "free"),
        ("replicated(tiles=2)", "free"),
        ("free", "free"),
        ("random(tiles=3)", "free"),
    ],
)
def test_finer_placements_keep_the_function(source, target):
    torch.manual_seed(0)
    digital = nn.Sequential(LocallyConnected2d(1, 3, 3, (9, 8), placement=source), nn.Tanh())
    analog = convert_to_analog(digital, ideal()).eval()
    with torch.no_grad():
        analog[0].tile_array.out_scaling_alpha.uniform_(0.5, 2.0)
        analog[0].bias.normal_()
    before = analog(X)
    placed = replace_placement(analog, target, INPUT)
    assert torch.allclose(placed(X), before, atol=1e-5, rtol=0)
    assert placed[0].placement.spec.startswith(target)
    assert analog[0].placement.spec.startswith(source.rstrip(")"))
    torch.testing.assert_close(analog(X), before, rtol=0, atol=0)


def test_free_kernels_of_a_convolution_are_independent():
    analog = convert_to_analog(network(), ideal(), INPUT, placement="free")
    weight = analog[0].tile_array.weight
    assert analog[0].placement.kernels == 42
    assert weight.requires_grad
    assert len(weight) == 42 * 2  # three outputs, two to a tile
    analog(X)[:, 0].sum().backward()
    assert len({float(g) for g in weight.grad.reshape(42, 2, -1)[:, 0, 0]}) == 42


def two_copies(config):
    return AnalogLocallyConnected2d(1, 3, 3, (9, 8), placement="replicated(tiles=2)", rpu_config=config)


def refused(source, target):
    analog = convert_to_analog(network(source), ideal())
    with pytest.raises(ValueError, match="`placement` must") as caught:
        replace_placement(analog, target, INPUT)
    return str(caught.value)


def test_a_placement_that_would_mix_trained_kernels_is_refused():
    message = refused("blocks(rows=1,cols=2)", "blocks(rows=1,cols=3)")
    assert "layer '0'" in message
    assert "tile 1 is to hold one kernel for locations of 2, trained kernels 0, 1." in message
    assert "'blocks(rows=1,cols=2)'" in message
    # Each tile alone would serve one trained kernel, but all are to be copies.
    assert re.search(
        r"layer '0'.* tile 0 .* locations of 42, trained kernels 0, 1, 2, 3, \.\.\.",
        refused("free", "replicated"),
    )
    assert "with 'random(tiles=3,redraw=True,seed=0)' every tile" in refused(
        "free", "random(tiles=3,redraw=True)"
    )
    assert "with 'random(tiles=3,redraw=True,seed=0)' every tile" in refused(
        "random(tiles=3,redraw=True)", "free"
    )


def test_a_placement_that_does_not_fit_names_the_layer():
    with pytest.raises(
        ValueError, match=r"layer '2', \(5, 4\): `tiles` of 'replicated' must lie in \[1, 20\]"
    ):
        convert_to_analog(network(), ideal(), INPUT, placement="replicated(tiles=40)")
    with pytest.raises(
        ValueError, match="`model` must have an analog convolution or locally connected layer"
    ):
        replace_placement(nn.Linear(8, 8), "free", INPUT)
    with pytest.raises(ValueError, match="`input_size` must be given"):
        convert_to_analog(network(), ideal(), placement="free")


def test_input_ranges_go_with_the_locations():
    config = StandardHWATrainingPreset()
    analog = nn.Sequential(
        AnalogLocallyConnected2d(1, 3, 3, (9, 8), placement="replicated(tiles=2)", rpu_config=config)
    )
    with torch.no_grad():
        analog[0].tile_array.input_range.copy_(torch.tensor([2.0, 5.0]))
    placed = replace_placement(analog, "free", INPUT)
    assert placed[0].tile_array.input_range.tolist() == [2.0, 5.0] * 21
    assert isinstance(placed[0].tile_array.input_range, nn.Parameter)
    assert replace_placement(analog, "time_multiplexed", INPUT)[0].tile_array.input_range.tolist() == [5.0]


def test_the_representation_stays_and_the_chip_is_a_new_one():
    analog = nn.Sequential(AnalogConv2d(1, 3, 3, rpu_config=StandardHWATrainingPreset()))
    with torch.no_grad():
        analog[0].tile_array.weight.mul_(0.7)  # trained: the largest is no longer at full conductance
    program_chip(analog, seed=0, compensation="per_tile")
    placed = replace_placement(analog, "replicated(tiles=4)", INPUT)[0].tile_array
    assert torch.equal(placed.weight, analog[0].tile_array.weight)
    assert torch.equal(placed.mapping_scales, analog[0].tile_array.mapping_scales)
    assert not placed.is_programmed
    assert placed.compensation == "per_tile"
    placed.program(seed=1)
    assert not torch.equal(placed.reading.weight[0], placed.reading.weight[1])


@pytest.mark.parametrize("target", ["free", "time_multiplexed", "replicated(tiles=3,sync_every=2)"])
def test_devices_that_learn_in_place_start_at_the_trained_weights(target):
    config = SingleRPUConfig(device=ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0))
    config.mapping.weight_scaling_omega = 0.5  # within the bounds of 0.6
    config.pre_post.input_range = InputRangeParameter(enable=True, init_value=3.0)
    analog = nn.Sequential(
        AnalogLocallyConnected2d(1, 3, 3, (9, 8), placement="replicated(tiles=2)", rpu_config=config)
    )
    array = analog[0].tile_array
    with torch.no_grad():
        array.cells.array.weight[0] += 0.01
        array.cells.array.weight[1] -= 0.03
    array.post_update_step()
    before = analog[0].get_weights()[0]
    placed = replace_placement(analog, target, INPUT)
    weight = placed[0].get_weights()[0]
    torch.testing.assert_close(weight, before.expand_as(weight), rtol=0, atol=2**-22)
    scales = placed[0].tile_array.mapping_scales
    assert torch.equal(scales, array.mapping_scales.expand_as(scales))
    assert (placed[0].tile_array.input_range == 3.0).all()


def test_layers_are_placed_by_name():
    """The first pattern that fits counts; layers that none fits stay where they are, the model computes the same."""
    digital = network()
    analog = convert_to_analog(digital, ideal(), INPUT, placement={"0": "replicated(tiles=3)"}).eval()
    assert [analog[i].placement.spec for i in (0, 2)] == [
        "replicated(tiles=3,sync_every=0)",
        "time_multiplexed",
    ]
    assert torch.allclose(analog(X), digital(X), atol=1e-5, rtol=0)
    again = replace_placement(analog, {"2": "free", "*": "blocks(rows=2,cols=3)"}, INPUT).eval()
    assert [again[i].placement.spec for i in (0, 2)] == ["blocks(rows=2,cols=3)", "free"]
    assert torch.allclose(again(X), digital(X), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"conv*": "free"}, r"`placement` must name layers by patterns \('0', '2'\), but 'conv\*' fits none"),
        (
            {"*": "free", "2": "blocks(rows=2,cols=3)"},
            "'2' fits only those that an earlier pattern has taken",
        ),
    ],
)
def test_patterns_without_effect_are_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        convert_to_analog(network(), ideal(), INPUT, placement=wanted)
