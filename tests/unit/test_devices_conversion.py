"""Conversion of many tiles at once equals aihwkit's conversion tile by tile."""

import pytest
import torch
from torch import Tensor

from devices import generator
from devices.aihwkit_adapter import (
    BaseConductanceConverter,
    CustomPairConductanceConverter,
    DualPairConductanceConverter,
    NPairConductanceConverter,
    SingleDeviceConductanceConverter,
    SinglePairConductanceConverter,
)
from devices.conversion import convert_tiles


class OwnConverter(SinglePairConductanceConverter):
    """Looks at the mean of a tile, which no unit range could foresee."""

    def convert_to_conductances(self, weights: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        mean = weights.mean()
        conductances, parameters = super().convert_to_conductances(weights - mean)
        return conductances, {**parameters, "mean": mean}

    def convert_back_to_weights(self, conductances: list[Tensor], params: dict[str, Tensor]) -> Tensor:
        return super().convert_back_to_weights(conductances, params) + params["mean"]


CONVERTERS = [
    SinglePairConductanceConverter(),
    SinglePairConductanceConverter(g_max=40.0, g_min=4.0),
    NPairConductanceConverter([1.0, 2.0, 4.0]),
    DualPairConductanceConverter([1.0, 3.0], g_min=1.0),
    CustomPairConductanceConverter([1.0], [[0.0, 0.0, 25.0], [25.0, 0.0, 0.0]]),
    SingleDeviceConductanceConverter(),
    OwnConverter(),
]
every_converter = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda c: type(c).__name__)
EPS = torch.finfo(torch.float32).eps


def tiles() -> Tensor:
    scales = torch.tensor([1.0, 1e-3, 300.0])[:, None, None]
    return torch.randn(3, 8, 5, generator=generator(0, "tiles")) * scales


@every_converter
def test_conductances_are_those_of_each_tile_alone(converter: BaseConductanceConverter) -> None:
    together = convert_tiles(converter, tiles()).g_target
    for tile, weights in enumerate(tiles()):
        alone, _ = converter.convert_to_conductances(weights)
        alone = [alone] if isinstance(alone, Tensor) else alone
        for g, g_alone in zip(together, alone, strict=True):
            # Scaling first and then converting rounds a few times more, by eps / 2 of the largest weight in
            # µS each, which is up to 7 g_max for three pairs of significances 1, 2 and 4.
            assert (g[tile] - g_alone).abs().max() <= 4 * EPS * 7 * converter.g_max


@every_converter
def test_the_way_back(converter: BaseConductanceConverter) -> None:
    weights = tiles()
    conversion = convert_tiles(converter, weights)
    error = (conversion.to_weights(conversion.g_target) - weights).abs().amax((1, 2))
    # At most 16 roundings by eps / 2, of g_max where the weights use g_max - g_min of it, and of the range of
    # the tile, which for a single device and a shifted tile is twice its largest weight.
    stretch = converter.g_max / (converter.g_max - converter.g_min)
    assert (error <= 8 * EPS * 2 * stretch * weights.abs().amax((1, 2))).all()


@every_converter
def test_every_tile_reaches_g_max(converter: BaseConductanceConverter) -> None:
    highest = torch.stack(convert_tiles(converter, tiles()).g_target).amax((0, 2, 3))
    assert (highest / converter.g_max - 1).abs().max() <= 4 * EPS


@pytest.mark.parametrize("converter", CONVERTERS[:-1], ids=lambda c: type(c).__name__)
def test_a_tile_of_zeros_does_no_harm(converter: BaseConductanceConverter) -> None:
    weights = torch.zeros(2, 3, 4)
    weights[1] = tiles()[0, :3, :4]
    conversion = convert_tiles(converter, weights)
    disturbed = conversion.to_weights([g + 1.0 for g in conversion.g_target[:1]] + conversion.g_target[1:])
    assert disturbed.isfinite().all()
    assert (disturbed[0].abs() < 1e-6).all()
    assert (disturbed[1] - weights[1]).abs().min() > 1e-3


def test_a_constant_tile_on_single_devices_keeps_noise_in_proportion() -> None:
    conversion = convert_tiles(SingleDeviceConductanceConverter(), torch.full((1, 2, 2), -0.5))
    assert torch.equal(conversion.to_weights(conversion.g_target), torch.full((1, 2, 2), -0.5))
    up = conversion.to_weights([g + (88.199997 - 9.0) for g in conversion.g_target])
    assert (up - 0.0).abs().max() <= 4 * EPS  # the whole window is as wide as the weight is large


def test_absent_devices_do_not_set_the_range() -> None:
    weights = torch.tensor([[[0.5, 1.0, 0.0]]])
    populated = torch.tensor([[[True, True, False]]])
    converter = SingleDeviceConductanceConverter(g_max=90.0, g_min=10.0)
    (g,) = convert_tiles(converter, weights, populated).g_target
    assert g[0, 0, :2].tolist() == [10.0, 90.0]
    (g,) = convert_tiles(converter, weights).g_target
    assert g[0, 0].tolist() == [50.0, 90.0, 10.0]
