"""The arrays that a trained network is laid out over: tiles of a given size, or whole layers unrolled."""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor, nn

from crossbar import AnalogLinear, LocallyConnected2d, seed_noise, tile_arrays
from crossbar.layers.analog_layer import AnalogLayer
from devices import get

from ...data.datasets import Images
from ...runs.evaluation import calibrate
from ...runs.run import Run
from ...runs.run_network import put_on_tiles

# Of the shorter side of an array: a 640 x 640 one takes about 15 s on two cores, and the cost is cubic in this side.
LARGEST_UNROLLED: Final = 640
UNROLLED: Final = "unrolled"


@final
@dataclass(frozen=True)
class Layout:
    """How the layers of a network lie in arrays.

    Attributes:
        name: "tiles" (kernels as placed in the training, split where they are too large) or "unrolled".
        tile_size: Word lines and bit lines of the largest array; 0 for no limit.
    """

    name: str
    tile_size: int = 0

    def __str__(self) -> str:
        """Name it in tables and figures."""
        return "whole layers, unrolled" if self.name == UNROLLED else f"tiles up to {self.tile_size}"


def lay_out(layout: Layout, digital: nn.Module, config: Run, images: Images) -> nn.Module:
    """Put a trained digital network onto tiles with ideal wires, which choose their input ranges from images.

    Args:
        layout: How it lies in arrays.
        digital: The network with its trained weights.
        config: The run's configuration: device, batch size and seed.
        images: Training images.
    """
    ideal = replace(config, wires=None, wires_every=None, tile_size=layout.tile_size or None)
    if layout.name == UNROLLED:
        rpu_config = get(config.device).rpu_config(weight_noise=0.0)
        rpu_config.mapping.max_input_size = rpu_config.mapping.max_output_size = 0
        analog: nn.Module = nn.Sequential(
            OrderedDict(
                (name, _unlimited(layer, rpu_config)) for name, layer in unroll(digital).named_children()
            )
        )
    else:
        analog = put_on_tiles(digital, ideal, weight_noise=0.0)
    return calibrate(analog, config, images)


def unroll(digital: nn.Module) -> nn.Sequential:
    """Return the same network with every local layer as one dense layer from its whole input to its whole output."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in digital.named_children():
        if isinstance(layer, LocallyConnected2d):
            shape = (layer.geometry.out_channels, *layer.output_size)
            layers[name] = nn.Sequential(nn.Flatten(), _dense(layer), nn.Unflatten(1, shape))
        else:
            layers[name] = layer
    return nn.Sequential(layers)


def can_be_unrolled(digital: nn.Module) -> bool:
    """Say whether a network is a chain of locally connected and dense layers, with functions without weights."""
    known = LocallyConnected2d | nn.Linear
    return isinstance(digital, nn.Sequential) and all(
        isinstance(layer, known) or not list(layer.parameters()) for layer in digital.children()
    )


def largest_shorter_side(digital: nn.Module) -> int:
    """Return the shorter side of the largest array that unrolling makes."""
    sides = [0]
    for layer in digital.children():
        if isinstance(layer, LocallyConnected2d):
            g = layer.geometry
            sides.append(min(g.in_channels * math.prod(g.input_size), g.out_channels * g.locations))
        elif isinstance(layer, nn.Linear):
            sides.append(min(layer.in_features, layer.out_features))
    return max(sides)


@torch.no_grad()
def _dense(layer: LocallyConnected2d) -> nn.Linear:
    """Read the matrix of a local layer off its answers to one input at a time."""
    shape = (layer.geometry.in_channels, *layer.geometry.input_size)
    inputs = math.prod(shape)
    nothing = layer(torch.zeros(1, *shape)).flatten()
    answers = layer(torch.eye(inputs).reshape(inputs, *shape)).flatten(1)
    dense = nn.Linear(inputs, len(nothing))
    dense.weight.copy_((answers - nothing).T)
    dense.bias.copy_(nothing)
    return dense


def _unlimited(layer: nn.Module, rpu_config: object) -> nn.Module:
    """Put a layer onto one array of any size, with devices only where a kernel has weights."""
    if isinstance(layer, nn.Linear):
        analog = AnalogLinear.from_digital(layer, rpu_config)
        analog.tile_array.populated = (layer.weight != 0)[None]
        return analog
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*(_unlimited(part, rpu_config) for part in layer))
    return layer


@torch.no_grad()
def inputs_of(model: nn.Module, pixels: Tensor, seed: int) -> dict[int, Tensor]:
    """Return the input vectors of every tile array, by its `id`: (tiles, vectors, in), in its range."""
    seen: dict[int, Tensor] = {}

    def note(array: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[id(array)] = arguments[0].detach()

    handles = [array.register_forward_pre_hook(note) for _, array in tile_arrays(model)]
    seed_noise(model, seed, "wires", "inputs")
    try:
        model(pixels)
    finally:
        for handle in handles:
            handle.remove()
    for _, array in tile_arrays(model):
        if array.input_range is not None:
            limit = array.input_range.detach().abs()[:, None, None]
            seen[id(array)] = (seen[id(array)] / limit).clamp(-1, 1)
    return seen


def analog_layers(model: nn.Module) -> dict[str, AnalogLayer]:
    """Return the analog layers of a model by their names, of an unrolled one by those of its local layers."""
    return {
        name.removesuffix(".1"): layer
        for name, layer in model.named_modules()
        if isinstance(layer, AnalogLayer)
    }
