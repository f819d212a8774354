"""From the network's weights to conductances: the mapping onto their range, and the way into a training read."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from devices.units import Dimensionless

from ...reading.noise import NoiseStream
from ...reading.parts import in_parts, not_finite, parts_of
from .constraints import largest_of
from .modifiers import modify_weights


def map_weights(
    weight: Float[Tensor, "kernels out in"], omega: Dimensionless, columnwise: bool
) -> tuple[Float[Tensor, "kernels out in"], Float[Tensor, "kernels out"]]:
    """Map weights onto the conductance range.

    Args:
        weight: The network's weights.
        omega: What the largest weight of each kernel is mapped to; 0 for no scaling.
        columnwise: Whether each bit line has its own scale.

    Returns:
        Weights in units of the largest conductance, and the digital scale of every bit line.
    """

    def mapped(part: slice) -> tuple[Tensor, Tensor]:
        some = weight[part]
        scales = some.new_ones(some.shape[:2])
        if omega:
            dims = (2,) if columnwise else (1, 2)
            scales = (largest_of(some, dims).view(len(some), -1) / omega).expand_as(scales)
            scales = torch.where(scales > 0, scales, torch.ones_like(scales))
        return some / scales[..., None], scales

    whole, scales = in_parts(mapped, parts_of(len(weight), 3 * weight[0].numel(), weight))
    assert whole is not None
    assert scales is not None
    return whole, scales


class WeightForReading(torch.autograd.Function):
    """Kernels to tiles, through the weight modifier; straight through backward."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        kernel_of_tile: Tensor | None,
        population: Tensor | None,
        modifier: Any,
        noise: NoiseStream,
    ) -> Tensor:
        """Copy (kernels, out, in) to (tiles, out, in); modified if there is a modifier; zero without a device."""
        ctx.kernels, ctx.index, ctx.population = len(weight), kernel_of_tile, population
        tiles = weight if ctx.index is None else weight[ctx.index]
        if population is not None:
            tiles = tiles * population
        if modifier is None:
            return tiles.view_as(tiles)
        modified = modify_weights(tiles, modifier, noise)
        return modified if population is None else modified * population

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Sum the gradients of all copies of a kernel that have a device."""
        grad = grads[0] if ctx.population is None else grads[0] * ctx.population
        if ctx.index is not None:
            grad = grad.new_zeros(ctx.kernels, *grad.shape[1:]).index_add_(0, ctx.index, grad)
        return grad, None, None, None, None


def check_kernels(weight: Tensor, shape: tuple[int, int, int]) -> None:
    """Refuse weights that are not finite, or not (kernels, out, in) as expected.

    Raises:
        ValueError: If so.
    """
    if tuple(weight.shape) != shape:
        raise ValueError(
            f"`weight` must have the shape {shape} (kernels, out, in), but has {tuple(weight.shape)}."
        )
    if not_finite(weight):
        raise ValueError("`weight` must be finite, but contains NaN or infinity.")
