"""Groups of channels: outputs that see the inputs of their own group only, on tiles of their own.

A grouped convolution is a matrix with one block for each group on its diagonal. Every block gets a tile, so that no
device stands for a zero beside them; how such small kernels then share a physical array, packing says.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def split_channels(
    vectors: Float[Tensor, "tiles vectors inputs"], groups: int
) -> Float[Tensor, "tiles_of_groups vectors inputs_of_a_group"]:
    """Give every group's tile the inputs of its channels; no copy while the vectors lie innermost in memory."""
    if groups == 1:
        return vectors
    return vectors.unflatten(2, (groups, -1)).transpose(1, 2).flatten(0, 1)


def join_channels(
    outputs: Float[Tensor, "tiles_of_groups vectors outputs_of_a_group"], groups: int
) -> Float[Tensor, "tiles vectors outputs"]:
    """Put the outputs of all groups side by side; no copy while the vectors lie innermost in memory."""
    if groups == 1:
        return outputs
    return outputs.unflatten(0, (-1, groups)).transpose(1, 2).flatten(2)


def for_each_group(index: Int[Tensor, " tiles"], groups: int) -> Int[Tensor, " tiles_of_groups"]:
    """Return an index for the tiles of all groups: entry t * groups + g stands for group g of entry t.

    Example:
        >>> for_each_group(torch.tensor([0, 0, 1]), 2)
        tensor([0, 1, 0, 1, 2, 3])
    """
    return (index[:, None] * groups + torch.arange(groups, device=index.device)).flatten()
