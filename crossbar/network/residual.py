"""How equal shared kernels really are: copies of one kernel, and the kernels of all locations of a layer."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from devices.units import Dimensionless

from ..layers.locally_connected import LocallyConnected
from ..layers.placed_layer import PlacedLayer
from ..placement.mean_of_copies import mean_of_copies
from ..tiles.tile_array import TileArray


@dataclass(frozen=True)
class CopiesResidual:
    """How far copies that are meant to hold the same kernel differ.

    Attributes:
        rms: Root mean square of the difference of a copy from the mean of all copies, relative to the root mean
            square of the mean weights. NaN if all weights are zero.
        largest: The largest difference, relative to the same.
        signal_to_noise: Of the weights over the copies; see `weight_signal_to_noise`.
    """

    rms: Dimensionless
    largest: Dimensionless
    signal_to_noise: Dimensionless


@dataclass(frozen=True)
class LayerSharing:
    """How equal the kernels of a layer's locations are.

    Attributes:
        copies: Difference between copies of one kernel, or None if no kernel has copies.
        signal_to_noise: Of the weights over all locations; see `weight_signal_to_noise`. Infinite if one tile, or one
            digital kernel, serves all of them.
    """

    copies: CopiesResidual | None
    signal_to_noise: Dimensionless


@torch.no_grad()
def copies_residual(array: TileArray) -> CopiesResidual | None:
    """Compare the copies of every kernel, as evaluation reads them: programmed and aged devices, if there are any.

    Args:
        array: The tiles.

    Returns:
        The differences in the network's weights, drift compensation included; None if no kernel has copies.
    """
    index = array.kernel_of_tile
    if index is None or int(torch.bincount(index).max()) < 2:
        return None
    weight = weights_as_read(array).double()
    exists = array.tile_population()
    mean = mean_of_copies(weight, index, array.kernels, exists)
    expected = mean[index] if exists is None else mean[index] * exists
    difference = weight - expected
    variance = mean_of_copies(difference.square(), index, array.kernels, exists)
    # Absent devices have weight zero: they are in neither sum, and both have as many terms.
    size = expected.square().sum().sqrt()
    number = difference.numel() if exists is None else int(exists.sum())
    return CopiesResidual(
        float(difference.square().sum().sqrt() / size),
        float(difference.abs().max() / size) * number**0.5,
        _mean_ratio(mean.square(), variance),
    )


@torch.no_grad()
def model_sharing(model: nn.Module) -> dict[str, LayerSharing]:
    """Say of every layer with locations how equal its kernels are, as evaluation reads them.

    Args:
        model: Analog or digital.

    Returns:
        By the name of the layer.
    """
    sharing: dict[str, LayerSharing] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LocallyConnected):
            weight, copies = layer.existing_weight().flatten(2), None
            placed = layer.placement
            index = placed.tile_of_location if layer.copies_differ else placed.kernel_of_location
        elif isinstance(layer, PlacedLayer):
            weight = kernels_of_tiles(layer, weights_as_read(layer.tile_array))
            index = layer.placement.tile_of_location
            copies = copies_residual(layer.tile_array)
        else:
            continue
        counts = torch.bincount(index, minlength=len(weight))
        sharing[name] = LayerSharing(copies, weight_signal_to_noise(weight, counts))
    return sharing


@torch.no_grad()
def weight_signal_to_noise(
    weights: Float[Tensor, "locations out in"], counts: Int[Tensor, " locations"] | None = None
) -> Dimensionless:
    """Return how equal the kernels of all locations are: mean over locations squared over their variance.

    Averaged over the weights of a kernel: (1/nm) sum_ij <w_ij>^2 / <(w_ij - <w_ij>)^2>, as R. Pogodin et al., NeurIPS
    2021, have it. About 1/L for independent kernels around zero, infinite for equal ones. Weights that are zero
    everywhere do not count.

    Args:
        weights: The kernel of every location.
        counts: How many locations each kernel stands for; one if None.

    Example:
        >>> weight_signal_to_noise(torch.tensor([1.0, 3.0]).reshape(2, 1, 1))
        4.0
    """
    if counts is None:
        counts = torch.ones(len(weights), dtype=torch.long)
    weights, share = weights.double(), counts.to(weights.device).double()[:, None, None]
    # Sums of equal weights are exact in float64: equal kernels have no variance at all, not one of the last bit.
    mean = (share * weights).sum(dim=0) / share.sum()
    variance = (share * (weights - mean).square()).sum(dim=0) / share.sum()
    return _mean_ratio(mean.square(), variance)


def weights_as_read(array: TileArray) -> Float[Tensor, "tiles out in"]:
    """Return the network's weights as evaluation reads them: digital scales and drift compensation included.

    Args:
        array: The tiles.
    """
    scales = array.scales()
    scales = scales if array.kernel_of_tile is None else scales[array.kernel_of_tile]
    if array.reading is None:
        return array.target_weights() * scales[..., None]
    weight = array.reading.weight * scales[..., None]
    return weight if array.reading.factor is None else weight * array.reading.factor.transpose(1, 2)


def kernels_of_tiles(
    layer: PlacedLayer, weight: Float[Tensor, "tiles out in"]
) -> Float[Tensor, "placed outs ins"]:
    """Join the blocks of what every tile of a placement holds, and lay its groups one below the other.

    Args:
        layer: The layer.
        weight: Of its physical tiles, or of its kernels.
    """
    joined = layer.blocks.join(weight)
    return joined.unflatten(0, (-1, layer.groups)).flatten(1, 2)


def _mean_ratio(signal: Tensor, noise: Tensor) -> Dimensionless:
    """Return the mean of signal / noise where there is either."""
    is_there = (signal > 0) | (noise > 0)
    return float((signal[is_there] / noise[is_there]).mean())
