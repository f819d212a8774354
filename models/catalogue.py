"""All networks by name: those of the paper, and some that everybody knows, as they are and with free kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import nn

from .char_lstm import CharLSTM
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
        image_shape: Channels, height and width of an input image; None if it reads sequences of tokens, of any
            length, and has an output for every class at each position.
        placement: Where the kernels of its convolutions live unless something else is asked for.
        why_not_placed: Why its kernels cannot be placed otherwise; None if they can.
        build: Builds it with its convolutions, one that reads tokens for their number and that of classes; None for
            the networks of the paper.
    """

    image_shape: tuple[int, int, int] | None
    placement: str
    why_not_placed: str | None = None
    build: Callable[..., nn.Module] | None = None

    @property
    def reads_tokens(self) -> bool:
        """Whether its inputs are sequences of tokens, and no images."""
        return self.image_shape is None


_MNIST: Final = (1, 28, 28)
_CIFAR: Final = (3, 32, 32)
_OF_STEPS: Final = (
    "its steps follow one another in time and share their weights, so that one tile serves all of them; there are no "
    "locations side by side that could have tiles of their own"
)

CATALOGUE: Final[dict[str, KnownNetwork]] = {
    **{name: KnownNetwork(shape.image_shape, shape.placement) for name, shape in NETWORKS.items()},
    "lenet_mnist": KnownNetwork(_MNIST, ONE_TILE, build=lenet),
    "lenet_mnist_free": KnownNetwork(_MNIST, FREE, build=lenet),
    "dense_mnist": KnownNetwork(_MNIST, ONE_TILE, "it has no convolutions", build=dense),
    "resnet20_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=resnet20),
    "resnet20_cifar10_free": KnownNetwork(_CIFAR, FREE, build=resnet20),
    "vgg_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=small_vgg),
    "vgg_cifar10_free": KnownNetwork(_CIFAR, FREE, build=small_vgg),
    "vit_cifar10": KnownNetwork(_CIFAR, ONE_TILE, build=VisionTransformer),
    "vit_cifar10_free": KnownNetwork(_CIFAR, FREE, build=VisionTransformer),
    "char_lstm": KnownNetwork(None, ONE_TILE, _OF_STEPS, build=CharLSTM),
}


def build(name: str, placement: str | None = None, tokens: tuple[int, int] | None = None) -> nn.Module:
    """Build a network by name, digital.

    Args:
        name: One of `CATALOGUE`.
        placement: Where the kernels of every local layer or convolution live, in place of the network's own: for
            example "blocks(rows=2,cols=2)".
        tokens: Numbers of different tokens and of classes, for a network that reads tokens; those for images have ten
            classes.

    Returns:
        The network; it maps images (batch, channels, height, width) to scores (batch, classes), or tokens (batch,
        positions) to (batch, positions, classes). Its weights come from torch's global stream: call `initialise` for
        weights that a seed determines.

    Raises:
        ValueError: If there is no such network, a layer cannot have this placement, or it reads tokens and their
            number is not known.

    Example:
        >>> build("lenet_mnist_free")[0].output_size
        (28, 28)
    """
    if name not in CATALOGUE:
        raise ValueError(
            f"`name` must be one of {', '.join(sorted(CATALOGUE))}, but is {name!r}. Choose one."
        )
    known = CATALOGUE[name]
    if tokens is not None and not known.reads_tokens:
        raise ValueError(
            f"`tokens` must be left out for {name}, but are {tokens}: it reads images. Leave them out."
        )
    if known.build is None:
        return build_of_paper(name, placement)
    wanted = placement or known.placement
    if known.why_not_placed is not None and wanted != known.placement:
        raise ValueError(
            f"`placement` must be left out for {name}, but is {wanted!r}: {known.why_not_placed}. Leave it out."
        )
    if known.image_shape is None:
        if tokens is None:
            raise ValueError(
                f"`tokens` must be given for {name}, but is None. Count the different tokens and classes."
            )
        return known.build(*tokens)
    network = known.build()
    if known.why_not_placed is None:
        place_convolutions(network, wanted, torch.zeros(1, *known.image_shape))
    return network
