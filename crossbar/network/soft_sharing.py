"""Soft sharing: kernels of neighbouring locations are pulled together while they learn, or all at once in a sleep.

A location's neighbours are those beside it along each axis of the output map: right, left, above and below. Which
kernels meet there, the placement says: with `free` every location's with those around it, with `blocks` those on both
sides of a border, with `interleaved` those of the pattern. The bias of a kernel is one of its weights here.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from devices.units import Dimensionless

from ..layers.locally_connected import LocallyConnected
from ..layers.placed_layer import PlacedLayer
from ..learning.synchronisation import BYTES, SyncCounts, count_synchronisation, rewrite
from ..placement.mean_of_copies import mean_of_copies
from ..placement.placement import Placement
from ..reading.noise import NoiseStream
from ..tiles.tile_array import TileArray
from .named_refusals import refuse_spread_layers

Local = LocallyConnected | PlacedLayer


def neighbour_penalty(model: nn.Module, strength: Dimensionless) -> Float[Tensor, ""]:
    """Return a penalty on differences between the kernels of neighbouring locations, to be added to the loss.

        strength / 2 * mean over all pairs of neighbouring locations and all weights of (w_i - w_j)^2

    summed over the layers with locations. A layer whose locations all share one kernel costs nothing. In a layer of
    L locations and P weights in a kernel, a weight is pulled towards the mean of its four neighbours with about
    2 strength / (L P) times the distance.

    In hardware-aware training the kernels are compared in the network's weights, and the gradient is scaled as that
    of the layer's own product: a step of plain SGD moves the network's weights as it would in a digital layer.
    Learned output scales are taken as they are. Where devices are written to targets, the targets are compared and
    pulled.

    Args:
        model: Digital, or an analog model in hardware-aware training or trained by write-verify.
        strength: How strongly; 0 for no penalty.

    Raises:
        ValueError: If the strength is negative, or a layer learns in place, where no penalty reaches the pulses.
    """
    if strength < 0:
        raise ValueError(f"`strength` must be at least 0, but is {strength}. Use 0 for no soft sharing.")
    refuse_spread_layers(model, "pulled together")
    penalty = torch.zeros(())
    for name, layer in _layers(model):
        cells = layer.tile_array.cells if isinstance(layer, PlacedLayer) else None
        if cells is not None and cells.digital_target() is None:
            raise ValueError(
                f"`model` must be trained in software for a penalty on its weights, but layer {name!r} learns in "
                "place. Use `sleep` there."
            )
        pairs, counts, locations = _neighbours(layer.placement)
        kernels = _kernels(layer)
        penalty = penalty.to(kernels.device)
        if len(pairs):
            pairs, counts = pairs.to(kernels.device), counts.to(kernels)
            difference = kernels[pairs[:, 0]] - kernels[pairs[:, 1]]
            penalty = penalty + strength / 2 * (counts @ difference.square().mean(dim=1)) / locations
    return penalty


@torch.no_grad()
def sleep(model: nn.Module, factor: Dimensionless, reach: int | None = None, *, seed: int) -> None:
    """Move every kernel towards the mean of its neighbourhood, as a phase of sleep between phases of learning.

        w_k <- w_k + factor (mean over the neighbourhood of k - w_k)

    The neighbourhood of a location are all those at most `reach` rows and columns away, and it itself; that of a
    kernel, those of its locations together. (R. Pogodin et al., NeurIPS 2021, let a whole map converge.)

    Trained numbers, digital or hardware-aware, are set, as by a step of an optimizer. Devices that learn in place are
    read and written to their new weights by the write-verify loop, which the ledger counts as a synchronisation;
    their biases are numbers. Of compounds the slow devices are written, if they alone are what an MVM reads.

    Args:
        model: Digital or analog.
        factor: How far, from 0 for not at all to 1 for all the way.
        reach: Rows and columns to each side; the whole map if None.
        seed: Names the noise of reading and writing devices.

    Raises:
        ValueError: If the factor lies outside [0, 1], the reach is negative, or several devices of a cell add up to
            the weight, so that it cannot be written.
    """
    if not 0 <= factor <= 1:
        raise ValueError(
            f"`factor` must lie in [0, 1], but is {factor}. Use 1 to go all the way to the mean."
        )
    if reach is not None and reach < 0:
        raise ValueError(f"`reach` must be at least 0 locations, but is {reach}. Use None for the whole map.")
    if factor == 0:
        return
    refuse_spread_layers(model, "moved by sleep")
    for name, layer in _layers(model):
        if layer.placement.kernels > 1:
            move = factor * _towards_neighbours(layer.placement, reach)
            _sleep_layer(layer, move, NoiseStream(seed, "sleep", name))


def _sleep_layer(layer: Local, move: Float[Tensor, "kernels kernels"], noise: NoiseStream) -> None:
    """Add move @ kernels to the kernels."""
    if isinstance(layer.bias, Tensor):
        layer.bias.add_(move.to(layer.bias) @ layer.bias)
    if not isinstance(layer, PlacedLayer):
        layer.weight.add_(torch.einsum("kj,j...->k...", move.to(layer.weight), layer.weight))
        return
    array = layer.tile_array
    array.settle()
    scales, index = array.scales()[..., None], array.kernel_of_tile
    blocks = array.kernels // len(move)  # of each kernel: its groups, and the tiles of each

    def moved(weight: Tensor) -> Tensor:
        """Move kernels that are given in units of the largest conductance, (kernels, out, in)."""
        network = (weight * scales).unflatten(0, (-1, blocks))
        return weight + torch.einsum("kj,j...->k...", move.to(weight), network).flatten(0, 1) / scales

    def moved_tiles(weight: Tensor) -> Tensor:
        """Move the kernels of tiles, and with each of them its copies."""
        if index is None:
            return moved(weight)
        return moved(mean_of_copies(weight, index, array.kernels, array.tile_population()))[index]

    if array.in_situ is None:
        array.weight.copy_(moved(array.weight))
        array.settle()
        return
    counts = rewrite(array.in_situ.cells, moved_tiles, array.in_situ.write_verify, noise=noise)
    array.forget_changed()
    array.show_devices()
    count_synchronisation(array.events, counts + _exchange(array, move))


def _exchange(array: TileArray, move: Float[Tensor, "kernels kernels"]) -> SyncCounts:
    """Count what kernels send each other: around a ring where all need the same mean, else to each neighbour."""
    kernels, numbers = len(move), array.out_size * array.in_size * array.kernels // len(move)
    needed = int((move != 0).sum()) - kernels
    if needed == kernels * (kernels - 1):
        return SyncCounts(
            allreduce_bytes=2 * (kernels - 1) * numbers * BYTES, allreduce_adds=(kernels - 1) * numbers
        )
    return SyncCounts(allreduce_bytes=needed * numbers * BYTES, allreduce_adds=needed * numbers)


def _layers(model: nn.Module) -> Iterator[tuple[str, Local]]:
    """Iterate over the layers with locations and their names."""
    for name, module in model.named_modules():
        if isinstance(module, LocallyConnected | PlacedLayer):
            yield name, module


def _kernels(layer: Local) -> Float[Tensor, "kernels weights"]:
    """Return the network's kernels with their biases, differentiably."""
    if not isinstance(layer, PlacedLayer):
        weight = layer.weight
    else:
        array = layer.tile_array
        array.settle()
        scales = array.scales().detach()[..., None]
        target = None if array.cells is None else array.cells.digital_target()
        if target is not None:
            weight = _of_targets(array, target, scales)
            return _with_bias(layer, layer.blocks.join(weight), layer.bias_of_kernels)
        # The value w * scale, with the derivative 1 / scale: what the product gives a step of plain SGD.
        steps = (array.weight - array.weight.detach()) / scales
        weight = layer.blocks.join(array.weight.detach() * scales + steps)
    bias = layer.bias_of_kernels if isinstance(layer, PlacedLayer) else layer.bias
    return _with_bias(layer, weight, bias)


def _with_bias(layer: Local, weight: Tensor, bias: Tensor | None) -> Float[Tensor, "kernels weights"]:
    flat = weight.reshape(layer.placement.kernels, -1)  # the groups of a kernel together
    return flat if bias is None else torch.cat([flat, bias], dim=1)


def _of_targets(
    array: TileArray, target: Float[Tensor, "tiles out in"], scales: Float[Tensor, "kernels out 1"]
) -> Float[Tensor, "kernels out in"]:
    """Return the targets of a write-verify loop as the network's weights; their gradient awaits the next update."""
    index, cells = array.kernel_of_tile, array.cells
    assert cells is not None
    if index is not None:
        target = mean_of_copies(target, index, array.kernels)
    weight = (target * scales).requires_grad_()

    def keep(gradient: Tensor) -> None:
        pull = gradient / scales
        cells.pull_target(pull if index is None else pull[index])

    weight.register_hook(keep)
    return weight


def _neighbours(placement: Placement) -> tuple[Int[Tensor, "pairs 2"], Int[Tensor, " pairs"], int]:
    """Return pairs of different kernels that meet on the map, how often, and the number of pairs of locations."""
    kernel = placement.kernel_of_location.reshape(placement.output_size)
    beside = [
        torch.stack([kernel.narrow(axis, first, length - 1).flatten() for first in (0, 1)], dim=1)
        for axis, length in enumerate(kernel.shape)
    ]
    every = torch.cat(beside).sort(dim=1).values
    pairs, counts = every[every[:, 0] != every[:, 1]].unique(dim=0, return_counts=True)
    return pairs, counts, len(every)


def _towards_neighbours(placement: Placement, reach: int | None) -> Float[Tensor, "kernels kernels"]:
    """Return the matrix that turns kernels into their distances from the means of their neighbourhoods."""
    is_served = torch.nn.functional.one_hot(placement.kernel_of_location, placement.kernels).double()
    near = torch.ones(placement.locations, placement.locations, dtype=torch.float64)
    if reach is not None:
        axes = [torch.arange(length) for length in placement.output_size]
        place = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
        apart = (place[:, None] - place).abs().amax(dim=2)
        near = (apart <= reach).double()
    shares = is_served.T @ near @ is_served
    return shares / shares.sum(dim=1, keepdim=True) - torch.eye(placement.kernels, dtype=torch.float64)
