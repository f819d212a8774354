"""In which memory order a product leaves its results, and which of its vectors come first."""

from typing import Final

import torch
from torch import Tensor

# torch's CPU product is about 3 times slower with fewer than 16 numbers (one AVX-512 register) in the last axis
# of its result. Longer batches go there, which is also where the patches of an image have them.
FEW_VECTORS: Final = 16


def goes_last(vectors: int) -> bool:
    """Tell whether the vectors lie innermost in memory in what a product computes of so many of them."""
    return vectors >= FEW_VECTORS


def like(values: Tensor, vectors: int) -> Tensor:
    """Return memory for another number of vectors, in the order in which torch lays out (tiles, vectors, n)."""
    strides = torch.empty_like(values).stride()
    order = sorted(range(3), key=lambda axis: -strides[axis])
    sizes = (values.shape[0], vectors, values.shape[2])
    whole = values.new_empty([sizes[axis] for axis in order])
    return whole.permute([order.index(axis) for axis in range(3)])


def product_like(values: Tensor, vectors: int) -> Tensor:
    """Return memory for another number of vectors, as a product of so many would leave (tiles, vectors, n)."""
    tiles, _, size = values.shape
    if goes_last(vectors):
        return values.new_empty(tiles, size, vectors).transpose(1, 2)
    return values.new_empty(tiles, vectors, size)


def first_of(chosen: Tensor, number: int) -> Tensor:
    """Return which vectors of each tile are chosen, (tiles, number); after them some that are not.

    Args:
        chosen: (tiles, vectors).
        number: The most that are chosen of any tile, or more.
    """
    return chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :number]
