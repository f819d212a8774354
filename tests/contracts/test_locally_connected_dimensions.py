"""Locally connected layers of signals, images and volumes: every placement computes what its definition says."""

import pytest
import torch
from torch import Tensor, nn

import crossbar
from crossbar import convert_to_analog, model_sharing, neighbour_penalty, sleep
from crossbar.aihwkit.adapter import InferenceRPUConfig
from crossbar.placement.connections import present_inputs

SIZES = (5, 6, 4)
PLACEMENTS = ["free", "time_multiplexed", "replicated(tiles=2)", "random(tiles=3)", "interleaved(period=2)"]
BLOCKS = {1: "blocks(cols=2)", 2: "blocks(rows=2,cols=3)", 3: "blocks(planes=2,rows=2,cols=1)"}
CASES = [(axes, spec) for axes in (1, 2, 3) for spec in (*PLACEMENTS, BLOCKS[axes])]


def make(axes: int, placement: str, **options: object) -> nn.Module:
    torch.manual_seed(axes)
    layer: nn.Module = getattr(crossbar, f"LocallyConnected{axes}d")(
        2, 4, 3, SIZES[:axes], padding=1, stride=2, placement=placement, **options
    )
    return layer


def by_definition(layer: nn.Module, x: Tensor) -> Tensor:
    """Convolve with every kernel, and take of each location what its own kernel says."""
    g, axes = layer.geometry, layer.dimensions
    convolve = getattr(nn.functional, f"conv{axes}d")
    maps = [
        convolve(x, weight, bias, g.stride, g.padding, g.dilation, g.groups).flatten(2)
        for weight, bias in zip(layer.weight, layer.bias, strict=True)
    ]
    kernel = layer.placement.kernel_of_location
    return (
        torch.stack(maps)[kernel, :, :, torch.arange(len(kernel))]
        .permute(1, 2, 0)
        .unflatten(2, g.output_size)
    )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("axes", "placement"), CASES)
def test_each_location_has_its_kernel(axes, placement, groups):
    digital = make(axes, placement, groups=groups)
    x = torch.rand(3, 2, *SIZES[:axes]) - 0.5
    expected = by_definition(digital, x)
    assert (digital(x) - expected).abs().max() < 1e-5
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    analog = convert_to_analog(nn.Sequential(digital), config).eval()
    assert type(analog[0]).__name__ == f"AnalogLocallyConnected{axes}d"
    assert analog[0].tile_array.tiles == digital.placement.tiles * groups
    assert (analog(x) - expected).abs().max() < 1e-5
    assert (analog(x[0]) - expected[0]).abs().max() < 1e-5
    analog(x).square().sum().backward()
    digital(x).square().sum().backward()
    array = analog[0].tile_array
    grad = array.weight.grad * array.scales()[..., None]
    assert (grad.reshape(digital.weight.shape) - digital.weight.grad).abs().max() < 1e-4
    assert set(model_sharing(analog)) == {"0"}


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_absent_inputs_have_no_devices(axes):
    connections = torch.rand(2, *SIZES[:axes], generator=torch.Generator().manual_seed(0)) > 0.3
    digital = make(axes, "free", groups=2, connections=connections)
    x = torch.rand(3, 2, *SIZES[:axes])
    assert torch.allclose(digital(x), by_definition(digital, x * connections), atol=1e-5)
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    analog = convert_to_analog(nn.Sequential(digital), config).eval()
    assert torch.allclose(analog(x), digital(x), atol=1e-5)
    populated = analog[0].tile_array.populated
    assert torch.equal(populated.any(dim=1), present_inputs(connections, digital.geometry))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_neighbours_pull_along_every_axis(axes):
    """The penalty, and a sleep over rings of one location, worked out over pairs of locations."""
    digital = make(axes, "free", groups=2)
    size, locations = digital.output_size, digital.placement.locations
    place = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), dim=-1).flatten(0, -2)
    apart = (place[:, None] - place).abs()
    kernels = torch.cat([digital.weight.flatten(1), digital.bias], dim=1)
    pairs = (apart.sum(2) == 1).triu().nonzero()
    differences = (kernels[pairs[:, 0]] - kernels[pairs[:, 1]]).square().mean(1)
    assert neighbour_penalty(digital, 2.0).item() == pytest.approx(differences.mean().item(), rel=1e-5)
    near = (apart.amax(2) <= 1).float()
    expected = kernels + 0.5 * (near @ kernels / near.sum(1, keepdim=True) - kernels)
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    analog = convert_to_analog(nn.Sequential(digital), config)
    sleep(digital, 0.5, reach=1, seed=0)
    sleep(analog, 0.5, reach=1, seed=0)
    assert torch.allclose(digital.weight.flatten(1), expected[:, : -digital.geometry.out_channels], atol=1e-6)
    assert torch.allclose(analog[0].weight, digital.weight, atol=1e-6)
    assert torch.allclose(analog[0].bias, digital.bias, atol=1e-6)
    assert len(near) == locations
