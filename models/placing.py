"""The same network with its convolutions placed otherwise: every location its own kernel, or anything in between."""

from typing import Final

import torch
from torch import Tensor, nn

from crossbar import LocallyConnected1d, LocallyConnected2d, LocallyConnected3d
from crossbar.layer_patterns import by_layer, parse_choices

ONE_TILE: Final = "time_multiplexed"
FREE: Final = "free"
_Size = tuple[int, ...]


def place_convolutions(network: nn.Module, placement: str, example: Tensor) -> dict[str, str]:
    """Give the convolutions of a network kernels placed otherwise; the network is changed in place.

    Every kernel starts as the convolution's, so the network computes at first what it did before. Its input sizes are
    those of one pass of an example. With "time_multiplexed" convolutions stay what they are.

    Args:
        network: The digital network.
        placement: Where kernels live, for example "free" or "replicated(tiles=4)", or by name pattern of the layers:
            "0=free,2.*=replicated(tiles=4)"; what fits no pattern stays on one tile.
        example: A batch that the network takes.

    Returns:
        By name, why a layer with locations keeps its own kernels; empty if all are placed.

    Raises:
        ValueError: If there is no such placement, or it does not fit the output map of a layer; names the layer.
    """
    sizes = _map_sizes(network, example)
    remarks: dict[str, str] = {}
    modules = dict(network.named_modules())
    names = [name for name, layer in modules.items() if isinstance(layer, nn.modules.conv._ConvNd)]
    asked = parse_choices(placement, argument="placement")
    wanted = by_layer(asked, names, argument="placement", otherwise=ONE_TILE)
    if set(wanted.values()) <= {ONE_TILE, f"{ONE_TILE}()"}:
        return remarks
    for name, layer in modules.items():
        if wanted.get(name) in (ONE_TILE, f"{ONE_TILE}()"):
            continue
        if isinstance(layer, LocallyConnected1d | LocallyConnected2d | LocallyConnected3d):
            remarks[name] = f"keeps its own placement, {layer.placement.spec}"
        elif isinstance(layer, nn.modules.conv._ConvNd):
            why = _why_not(layer, sizes.get(name, set()))
            if why is not None:
                remarks[name] = f"stays one kernel: {why}"
                continue
            (size,) = sizes[name]
            try:
                placed = _placed(layer, size, wanted[name])
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from error
            if not name:
                raise ValueError(
                    "`network` must have its layers inside it, but is a single one. Use nn.Sequential."
                )
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, placed)
    return remarks


_TWINS: Final[dict[type[nn.Module], type[LocallyConnected1d | LocallyConnected2d | LocallyConnected3d]]] = {
    nn.Conv1d: LocallyConnected1d,
    nn.Conv2d: LocallyConnected2d,
    nn.Conv3d: LocallyConnected3d,
}


def _why_not(layer: nn.modules.conv._ConvNd, sizes: set[_Size]) -> str | None:
    """Return why a convolution cannot be placed otherwise; None if it can."""
    if type(layer) not in _TWINS:
        return f"a {type(layer).__name__} has no locally connected counterpart"
    if not sizes:
        return "a pass of an example does not reach it"
    return None if len(sizes) == 1 else "it is used for maps of several sizes"


@torch.no_grad()
def _placed(layer: nn.modules.conv._ConvNd, size: _Size, placement: str) -> nn.Module:
    placed = _TWINS[type(layer)](
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=layer.bias is not None,
        placement=placement,
        groups=layer.groups,
        padding_mode=layer.padding_mode,
    ).to(layer.weight.device)
    placed.weight.copy_(layer.weight.expand_as(placed.weight))
    if layer.bias is not None and placed.bias is not None:
        placed.bias.copy_(layer.bias.expand_as(placed.bias))
    return placed.train(layer.training)


@torch.no_grad()
def _map_sizes(network: nn.Module, example: Tensor) -> dict[str, set[_Size]]:
    """Send an example through a network, and note the size of the map that each convolution sees."""
    sizes: dict[str, set[_Size]] = {}
    handles = []
    for name, layer in network.named_modules():
        if type(layer) in _TWINS:
            axes = len(layer.kernel_size)

            def note(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name, axes: int = axes) -> None:
                sizes.setdefault(name, set()).add(tuple(inputs[0].shape[-axes:]))

            handles.append(layer.register_forward_pre_hook(note))
    was_training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return sizes
