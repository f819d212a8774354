"""The networks, digital; `crossbar.convert_to_analog` puts them on tiles."""

from .catalogue import CATALOGUE, KnownNetwork, build
from .networks import (
    NETWORKS,
    NetworkShape,
    cnn_cifar10,
    cnn_digits,
    cnn_mnist,
    draw_absent_weights,
    draw_connections,
    fcn_cifar10,
    fcn_digits,
    fcn_mnist,
    initialise,
)

__all__ = [
    "CATALOGUE",
    "NETWORKS",
    "KnownNetwork",
    "NetworkShape",
    "build",
    "cnn_cifar10",
    "cnn_digits",
    "cnn_mnist",
    "draw_absent_weights",
    "draw_connections",
    "fcn_cifar10",
    "fcn_digits",
    "fcn_mnist",
    "initialise",
]


def __dir__() -> list[str]:
    """Show the public names, and no submodules."""
    return sorted(__all__)
