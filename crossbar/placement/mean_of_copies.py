"""The mean of the tiles that hold copies of one kernel."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def mean_of_copies(
    weight: Float[Tensor, "tiles out in"],
    kernel_of_tile: Int[Tensor, " tiles"],
    kernels: int,
    exists: Bool[Tensor, "tiles out in"] | None = None,
) -> Float[Tensor, "kernels out in"]:
    """Average the tiles that hold the same kernel.

    Args:
        weight: What each tile holds.
        kernel_of_tile: Which kernel each holds.
        kernels: Number of kernels.
        exists: Which weights have a device; others do not count. All do if None.

    Returns:
        The means; zero where no copy has a device.
    """
    if exists is not None:
        weight = weight * exists
    sums = weight.new_zeros(kernels, *weight.shape[1:]).index_add_(0, kernel_of_tile, weight)
    if exists is None:
        of_each = torch.ones_like(kernel_of_tile)
        return sums / of_each.new_zeros(kernels).index_add_(0, kernel_of_tile, of_each)[:, None, None]
    number = weight.new_zeros(sums.shape).index_add_(0, kernel_of_tile, exists.to(weight))
    return sums / number.clamp(min=1)
