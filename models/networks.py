"""One network, with and without weight sharing: the FCN and CNN of Ott, Linstead, LaHaye and Baldi.

Source: "Learning in the machine: To share or not to share?", Neural Networks 126 (2020) 235-249, arXiv
1909.11483; layer sizes from the authors' public settings. Valid padding, a bias at every output, ReLU after
every layer but the last. The networks for the 8 x 8 digits are ours, made small enough to train in seconds.

An FCN ("free convolutional network") gives every image location its own kernel on its own tile. A CNN is the
same network with one kernel per layer on one tile, used location after location. One class serves both, and
every placement in between.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
from torch import nn

from crossbar import LocallyConnected2d
from crossbar.layer_patterns import by_layer, parse_choices
from crossbar.layers.locally_connected import LocallyConnected
from devices.closest import choose
from devices.streams import generator
from devices.units import Dimensionless


@final
@dataclass(frozen=True)
class LocalLayerShape:
    """One local layer: its output channels, the side of its square kernel, and its stride."""

    out_channels: int
    kernel_size: int
    stride: int


@final
@dataclass(frozen=True)
class NetworkShape:
    """A network without its weights.

    Attributes:
        image_shape: Channels, height and width of an input image.
        local_layers: The local layers, from the image inwards.
        dense_sizes: Outputs of the dense layers; the last one is the number of classes.
        placement: Where the kernels of the local layers live (see `crossbar.Placement`).
    """

    image_shape: tuple[int, int, int]
    local_layers: tuple[LocalLayerShape, ...]
    dense_sizes: tuple[int, ...]
    placement: str


_LAYERS: Final = {
    "mnist": (
        (1, 28, 28),
        (LocalLayerShape(32, 3, 2), LocalLayerShape(64, 3, 2), LocalLayerShape(128, 3, 1)),
        (1024, 10),
    ),
    "cifar10": (
        (3, 32, 32),
        (LocalLayerShape(64, 5, 2), LocalLayerShape(128, 5, 2), LocalLayerShape(256, 3, 1)),
        (1024, 10),
    ),
    "digits": ((1, 8, 8), (LocalLayerShape(16, 3, 1), LocalLayerShape(32, 3, 1)), (64, 10)),
}

NETWORKS: Final[dict[str, NetworkShape]] = {
    f"{kind}_{data}": NetworkShape(image_shape, local_layers, dense_sizes, placement)
    for data, (image_shape, local_layers, dense_sizes) in _LAYERS.items()
    for kind, placement in (("fcn", "free"), ("cnn", "time_multiplexed"))
}


def build(name: str, placement: str | None = None) -> nn.Sequential:
    """Build a network by name, digital.

    Args:
        name: One of `NETWORKS`.
        placement: Where the kernels of every local layer live, in place of the network's own: for example
            "blocks(rows=2,cols=2)"; or by name pattern, of which the first that fits counts:
            "local1=free,local*=...". Layers that no pattern fits keep their own.

    Returns:
        The network; it maps images (batch, channels, height, width) to scores (batch, classes). Its layers
        are called `local1`, `local2`, ..., `dense1`, `dense2`, .... Its weights come from torch's global
        stream: call `initialise` for weights that a seed determines.

    Raises:
        ValueError: If there is no such network, or a layer cannot have this placement.

    Example:
        >>> build("fcn_digits").local1.output_size
        (6, 6)
    """
    if name not in NETWORKS:
        raise ValueError(
            f"`name` must be one of {', '.join(sorted(NETWORKS))}, but is {name!r}. {choose(name, NETWORKS)}"
        )
    shape = NETWORKS[name]
    names = [f"local{number}" for number, _ in enumerate(shape.local_layers, start=1)]
    asked = shape.placement if placement is None else parse_choices(placement, argument="placement")
    placements = by_layer(asked, names, argument="placement", otherwise=shape.placement)
    channels, height, width = shape.image_shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (local_name, local) in enumerate(zip(names, shape.local_layers, strict=True), start=1):
        layer = LocallyConnected2d(
            channels,
            local.out_channels,
            local.kernel_size,
            (height, width),
            stride=local.stride,
            placement=placements[local_name],
        )
        layers[local_name] = layer
        layers[f"relu{number}"] = nn.ReLU()
        channels = local.out_channels
        height, width = layer.output_size
    layers["flatten"] = nn.Flatten()
    features = channels * height * width
    for number, size in enumerate(shape.dense_sizes, start=1):
        layers[f"dense{number}"] = nn.Linear(features, size)
        if number < len(shape.dense_sizes):
            layers[f"dense_relu{number}"] = nn.ReLU()
        features = size
    return nn.Sequential(layers)


def draw_connections(model: nn.Module, absent: Dimensionless, seed: int) -> None:
    """Remove a share of the inputs of every local layer: variable connection patterns.

    Ott et al., Neural Networks 126 (2020). Which ones is drawn once for each layer, from a stream that is named after
    it; what is absent for some share is absent for every larger one too. Call it after `initialise`: weights of
    absent inputs become zero.

    Args:
        model: A network of locally connected layers with the placement "free"; changed in place.
        absent: Share of the inputs that are absent, in [0, 1); 0 leaves all.
        seed: The run's seed.

    Raises:
        ValueError: If the share lies outside, or locations of a layer share kernels.
    """
    if not 0 <= absent < 1:
        raise ValueError(f"`absent` must lie in [0, 1), but is {absent}. Give 0.3 for 30 %.")
    if absent == 0:
        return
    for name, layer in model.named_modules():
        if isinstance(layer, LocallyConnected):
            shape = (layer.geometry.in_channels, *layer.geometry.input_size)
            inputs = math.prod(shape)
            order = torch.randperm(inputs, generator=generator(seed, "connections", name))
            connections = torch.ones(inputs, dtype=torch.bool)
            connections[order[: round(absent * inputs)]] = False
            layer.connect(connections.reshape(shape))


Pattern = Literal["own", "common"]
"""Whether every tile lacks weights of its own, or all tiles of a layer lack the same."""


def draw_absent_weights(model: nn.Module, absent: Dimensionless, seed: int, pattern: Pattern = "own") -> None:
    """Remove a share of the weights of every local layer: connection patterns as Ott et al. (2020) describe them.

    Which ones is drawn once for each layer, from a stream that is named after it: so many of all weights that its
    tiles hold, or, with a common pattern, of those of a kernel. What is absent for some share is absent for every
    larger one too. Copies of one kernel lack different weights of it with patterns of their own. Call it after
    `initialise`: absent weights become zero.

    Args:
        model: A network with locally connected layers; changed in place.
        absent: Share of the weights that are absent, in [0, 1); 0 leaves all.
        seed: The run's seed.
        pattern: "own": every tile, and in it every output, has its own; "common": all tiles have the same.

    Raises:
        ValueError: If the share lies outside, or there is no local layer.
    """
    if not 0 <= absent < 1:
        raise ValueError(f"`absent` must lie in [0, 1), but is {absent}. Give 0.3 for 30 %.")
    if absent == 0:
        return
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, LocallyConnected)}
    if not layers:
        raise ValueError(
            "`model` must have a locally connected layer to lack weights, but has none. Choose placement free."
        )
    for name, layer in layers.items():
        kernels, *sizes = layer.weight.shape
        holders = 1 if pattern == "common" else layer.placement.tiles
        weights = holders * math.prod(sizes)
        order = torch.randperm(weights, generator=generator(seed, "absent weights", name))
        populated = torch.ones(weights, dtype=torch.bool)
        populated[order[: round(absent * weights)]] = False
        mask = populated.reshape(holders, *sizes)
        layer.populate(mask.repeat(kernels, *[1] * len(sizes)) if pattern == "common" else mask)


def initialise(model: nn.Module, seed: int) -> None:
    """Draw the weights of a digital network from streams named after its layers.

    The law is torch's: of `Linear` and `Conv2d` uniform in +-1/sqrt(n), weights and biases, n being the number of
    inputs of one output; of recurrent layers n is the size of the state. Drawn once; a layer's draw does not depend
    on the layers around it.

    Args:
        model: A network of locally connected layers, convolutions, `nn.Linear` and recurrent layers; changed in
            place.
        seed: The run's seed.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.RNNBase):
            _initialise_recurrent(layer, generator(seed, "initial weights", name))
        if not isinstance(layer, LocallyConnected | nn.modules.conv._ConvNd | nn.Linear):
            continue
        stream = generator(seed, "initial weights", name)
        kernel = layer.weight[0] if isinstance(layer, LocallyConnected) else layer.weight
        inputs = kernel[0].numel()
        bound = 1 / math.sqrt(inputs)
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=stream)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=stream)


@torch.no_grad()
def _initialise_recurrent(layer: nn.RNNBase, stream: torch.Generator) -> None:
    bound = 1 / math.sqrt(layer.hidden_size)
    for parameter in layer.parameters():
        parameter.uniform_(-bound, bound, generator=stream)


def fcn_mnist(placement: str | None = None) -> nn.Sequential:
    """Build the paper's MNIST network without sharing: maps of 169, 36 and 16 locations."""
    return build("fcn_mnist", placement)


def cnn_mnist(placement: str | None = None) -> nn.Sequential:
    """Build the paper's MNIST network with one kernel per layer."""
    return build("cnn_mnist", placement)


def fcn_cifar10(placement: str | None = None) -> nn.Sequential:
    """Build the paper's CIFAR-10 network without sharing: maps of 196, 25 and 9 locations."""
    return build("fcn_cifar10", placement)


def cnn_cifar10(placement: str | None = None) -> nn.Sequential:
    """Build the paper's CIFAR-10 network with one kernel per layer."""
    return build("cnn_cifar10", placement)


def fcn_digits(placement: str | None = None) -> nn.Sequential:
    """Build a small network without sharing for 8 x 8 digits: maps of 36 and 16 locations."""
    return build("fcn_digits", placement)


def cnn_digits(placement: str | None = None) -> nn.Sequential:
    """Build the small network for 8 x 8 digits with one kernel per layer."""
    return build("cnn_digits", placement)
