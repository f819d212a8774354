"""All networks by name: those of the paper, and some that everybody knows, as they are and with free kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import nn

from .lenet import dense, lenet
from .networks import NETWORKS
from .networks import build as build_of_paper
from .placing import FREE, ONE_TILE, place_convolutions
from .resnet import resnet20, small_vgg
from .vision_transformer import VisionTransformer


@final
@dataclass(frozen=True)
class KnownNetwork:
    """What is known of a network before it is built.

    Attributes:
        image_shape: Channels, height and width of an input image.
        placement: Where the kernels of its convolutions live unless something else is asked for.
        has_locations: Whether it has convolutions, that can be placed otherwise.
        build: Builds it with its convolutions; None for the networks of the paper.
    """

    image_shape: tuple[int, int, int]
    placement: str
    has_locations: bool = True
    build: Callable[[], nn.Module] | None = None


_MNIST: Final = (1, 28, 28)
_CIFAR: Final = (3, 32, 32)

CATALOGUE: Final[dict[str, KnownNetwork]] = {
    **{name: KnownNetwork(shape.image_shape, shape.placement) for name, shape in NETWORKS.items()},
    "lenet_mnist": KnownNetwork(_MNIST, ONE_TILE, build=lenet),
    "lenet_mnist_free": KnownNetwork(_MNIST, FREE, build=lenet),
    "dense_mnist": KnownNetwork(_MNIST, ONE_TILE, has_locations=False, build=dense),
    "resnet20_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=resnet20),
    "resnet20_cifar10_free": KnownNetwork(_CIFAR, FREE, build=resnet20),
    "vgg_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=small_vgg),
    "vgg_cifar10_free": KnownNetwork(_CIFAR, FREE, build=small_vgg),
    "vit_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=VisionTransformer),
    "vit_cifar10_free": KnownNetwork(_CIFAR, FREE, build=VisionTransformer),
}


def build(name: str, placement: str | None = None) -> nn.Module:
    """Build a network by name, digital.

    Args:
        name: One of `CATALOGUE`.
        placement: Where the kernels of every local layer or convolution live, in place of the network's own: for
            example "blocks(rows=2,cols=2)".

    Returns:
        The network; it maps images (batch, channels, height, width) to scores (batch, classes). Its weights come from
        torch's global stream: call `initialise` for weights that a seed determines.

    Raises:
        ValueError: If there is no such network, or a layer cannot have this placement.

    Example:
        >>> build("lenet_mnist_free")[0].output_size
        (28, 28)
    """
    if name not in CATALOGUE:
        raise ValueError(
            f"`name` must be one of {', '.join(sorted(CATALOGUE))}, but is {name!r}. Choose one."
        )
    known = CATALOGUE[name]
    if known.build is None:
        return build_of_paper(name, placement)
    network = known.build()
    wanted = placement or known.placement
    if not known.has_locations:
        if wanted != known.placement:
            raise ValueError(
                f"`placement` must be left out for {name}, but is {wanted!r}: it has no convolutions. Leave it out."
            )
        return network
    place_convolutions(network, wanted, torch.zeros(1, *known.image_shape))
    return network
