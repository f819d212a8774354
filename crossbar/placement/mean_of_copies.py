"""The mean of the tiles that hold copies of one kernel."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def mean_of_copies(
    weight: Float[Tensor, "tiles out in"], kernel_of_tile: Int[Tensor, " tiles"], kernels: int
) -> Float[Tensor, "kernels out in"]:
    """Average the tiles that hold the same kernel."""
    sums = weight.new_zeros(kernels, *weight.shape[1:]).index_add_(0, kernel_of_tile, weight)
    return sums / torch.bincount(kernel_of_tile, minlength=kernels)[:, None, None]
