"""A network that starts with what another one has learned, its kernels shared among other locations.

    w_k = mean of w(l) over all locations l that kernel k serves

where w(l) is the kernel that served location l before. Shared among more locations than before, a kernel starts as
the mean of those that it replaces, as synchronising copies would leave it; among fewer, all that replace it start as
it. What is absent in the new network stays so. Nothing is aligned first: outputs of two locations that learned the
same feature under different numbers are averaged with others. Biases likewise; layers without locations are taken as
they are.
"""

import torch
from torch import Tensor, nn

from crossbar.layers.locally_connected import LocallyConnected
from crossbar.placement.mean_of_copies import mean_of_copies
from crossbar.placement.placement import Placement


@torch.no_grad()
def take_weights(network: nn.Module, trained: nn.Module) -> None:
    """Give a network the weights of a trained one.

    Args:
        network: Digital, with its own placements; changed in place.
        trained: The digital network that has learned: the same layers, placed in any way.

    Raises:
        ValueError: If the networks are not made of the same layers.
    """
    learned = dict(trained.named_modules())
    for name, layer in network.named_modules():
        if list(layer.children()):
            continue
        source = learned.get(name)
        if source is None:
            raise _other_network(f"has no layer {name!r}")
        if isinstance(layer, _WITH_KERNELS) and isinstance(source, _WITH_KERNELS):
            _take_kernels(name, layer, source)
            continue
        values, own = source.state_dict(), layer.state_dict()
        _check_shapes(name, own, values)
        layer.load_state_dict(values)
    own_names = dict(network.named_modules())
    leftover = [name for name in learned if name not in own_names]
    if leftover:
        raise _other_network(f"has a layer {leftover[0]!r} that this one lacks")


_WITH_KERNELS = (LocallyConnected, nn.modules.conv._ConvNd)


def _take_kernels(name: str, layer: nn.Module, source: nn.Module) -> None:
    """Set the kernels of a layer to the means of those that served their locations."""
    mine, theirs = _parameters(layer), _parameters(source)
    _check_shapes(name, {key: value[0] for key, value in mine.items()}, {k: v[0] for k, v in theirs.items()})
    to, by = _placement(layer), _placement(source)
    for key, value in mine.items():
        kernels = theirs[key]
        if to is None:  # a convolution has one kernel for all locations
            served = torch.zeros(len(kernels) if by is None else by.locations, dtype=torch.long)
        else:
            served = to.kernel_of_location
        at_location = (
            kernels.expand(len(served), *kernels.shape[1:]) if by is None else kernels[by.kernel_of_location]
        )
        matrices = at_location.reshape(len(served), value.shape[1], -1)
        value.copy_(mean_of_copies(matrices, served, len(value)).reshape(value.shape))
    if isinstance(layer, LocallyConnected):  # what is absent stays so
        layer.connect(layer.connections)
        layer.populate(layer.populated)


def _parameters(layer: nn.Module) -> dict[str, Tensor]:
    """Return weight and bias with the number of kernels first."""
    held: dict[str, Tensor] = dict(layer.named_parameters())
    return held if isinstance(layer, LocallyConnected) else {key: value[None] for key, value in held.items()}


def _placement(layer: nn.Module) -> Placement | None:
    return layer.placement if isinstance(layer, LocallyConnected) else None


def _check_shapes(name: str, mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    shapes, others = ({key: tuple(v.shape) for key, v in values.items()} for values in (mine, theirs))
    if shapes != others:
        raise _other_network(
            f"has {others or 'no weights'} in {name!r} where this one has {shapes or 'none'}"
        )


def _other_network(what: str) -> ValueError:
    return ValueError(
        f"`start_from` must be a run of the same network, placed in any way, but that of the run {what}. Name its "
        "--model."
    )
