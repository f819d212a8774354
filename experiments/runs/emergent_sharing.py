"""How alike the kernels of neighbouring locations are: approximate weight sharing that emerges by itself.

The measure of Ott et al., Neural Networks 126 (2020): the kernels of a layer lie on the grid of its output locations
and are divided by the norm of the whole layer. The distance between one and those on the square ring around it is
averaged over the ring and over all places whose ring lies on the grid.

A kernel is that of all output channels of a location together, as the paper's 0.109 at the start of a training tells:
independent entries of variance s^2 give sqrt(2 n) s between two kernels of n entries, and sqrt(L n) s for the norm of
L locations. Their quotient is sqrt(2 / 169) = 0.1088 for the 13 x 13 locations of the paper's first layer; single
filters of its 32 channels would give 0.0192.

The Euclidean distance also changes when kernels only grow to different lengths, without turning to each other. What
it would be for kernels as long as these at right angles tells the two apart; the cosine distance sees no lengths.
"""

import math
from typing import Final, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossbar import LocallyConnected2d
from crossbar.layers.placed_layer import PlacedLayer
from crossbar.network.residual import kernels_of_tiles, weight_signal_to_noise, weights_as_read
from devices.units import Dimensionless

DISTANCES: Final = (1, 4)  # of the rings, in locations (Ott et al.)
EUCLIDEAN: Final = "euclidean"
SNR: Final = "snr"


@final
class KernelDistances(NamedTuple):
    """Means over the pairs of a kernel and one of its square ring.

    Attributes:
        euclidean: Of kernels divided by the norm of all of them together.
        cosine: 1 minus the cosine, over those pairs that have a direction each (a kernel whose inputs are all absent
            has none).
        orthogonal: What `euclidean` would be if kernels as long as these stood at right angles.
    """

    euclidean: Dimensionless
    cosine: Dimensionless
    orthogonal: Dimensionless


def kernel_distances(kernels: Float[Tensor, "rows columns entries"], distance: int) -> KernelDistances | None:
    """Return how far a kernel and those of its square ring lie apart.

    Args:
        kernels: Of every location.
        distance: Of the ring, in locations along the farther of both axes (Chebyshev).

    Returns:
        The distances; None if the grid is too small for any ring, or no pair has directions.
    """
    rows, columns, _ = kernels.shape
    inner_rows, inner_columns = rows - 2 * distance, columns - 2 * distance
    if inner_rows < 1 or inner_columns < 1:
        return None
    kernels = kernels.double() / kernels.double().norm()
    directions = torch.nn.functional.normalize(kernels, dim=2)
    lengths = kernels.norm(dim=2)
    has_direction = lengths > 0
    inner = slice(distance, rows - distance), slice(distance, columns - distance)
    euclidean, orthogonal, cosine = [], [], []
    for down in range(-distance, distance + 1):
        for right in range(-distance, distance + 1):
            if max(abs(down), abs(right)) != distance:
                continue
            there = (
                slice(distance + down, distance + down + inner_rows),
                slice(distance + right, distance + right + inner_columns),
            )
            euclidean.append((kernels[inner] - kernels[there]).norm(dim=2).mean())
            orthogonal.append(torch.hypot(lengths[inner], lengths[there]).mean())
            both = has_direction[inner] & has_direction[there]
            cosine.append((1 - (directions[inner] * directions[there]).sum(dim=2))[both])
    if not any(len(values) for values in cosine):
        return None
    return KernelDistances(
        euclidean=float(torch.stack(euclidean).mean()),
        cosine=float(torch.cat(cosine).mean()),
        orthogonal=float(torch.stack(orthogonal).mean()),
    )


def expected_at_start(locations: int) -> Dimensionless:
    """Return the Euclidean distance of independent kernels of many entries: sqrt(2 / locations)."""
    return math.sqrt(2 / locations)


@torch.no_grad()
def sharing_of(model: nn.Module) -> dict[str, dict[str, Dimensionless]]:
    """Measure how alike the kernels of every layer with kernels of its own at each location are.

    Args:
        model: Digital, or on tiles: then what evaluation reads counts, programmed and aged devices if there are any.

    Returns:
        For each such layer: "euclidean 1", "cosine 1", "orthogonal 1", the same for 4 if its map is large enough, and
        "snr", the weights' signal-to-noise ratio over the locations. See `KernelDistances`.
    """
    found: dict[str, dict[str, Dimensionless]] = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, LocallyConnected2d | PlacedLayer) or layer.placement.name != "free":
            continue
        if layer.dimensions != 2:  # the rings of the paper lie on images
            continue
        weight = _weights(layer)
        rows, columns = layer.output_size
        kernels = weight.reshape(rows, columns, -1)
        measures: dict[str, Dimensionless] = {}
        for distance in DISTANCES:
            found_here = kernel_distances(kernels, distance)
            if found_here is not None:
                measures.update({f"{key} {distance}": value for key, value in found_here._asdict().items()})
        measures[SNR] = weight_signal_to_noise(weight.reshape(len(weight), 1, -1))
        found[name] = measures
    return found


def _weights(layer: LocallyConnected2d | PlacedLayer) -> Tensor:
    """Return the kernels of all locations, (locations, ...), in the network's units."""
    if isinstance(layer, PlacedLayer):
        return kernels_of_tiles(layer, weights_as_read(layer.tile_array))
    return layer.weight.detach()
