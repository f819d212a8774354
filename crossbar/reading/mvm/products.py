"""Products of many tiles at once, in the faster memory order."""

import torch
from torch import Tensor

from ..memory_order import FEW_VECTORS, goes_last


def product(x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply (tiles, batch, in) by (tiles, out, in): (tiles, batch, out), in the faster memory order.

    Args:
        x: Vectors.
        weight: Weights.
        out: Memory for the products in that order; fresh if None.
    """
    if not goes_last(x.shape[1]):
        return torch.bmm(x, weight.transpose(1, 2), out=out)
    out = None if out is None else out.transpose(1, 2)
    return torch.bmm(weight, x.transpose(1, 2), out=out).transpose(1, 2)


def room_for_product(x: Tensor, weight: Tensor) -> Tensor:
    """Return memory for the products of all tiles, in the order in which `product` writes them."""
    tiles, batch, _ = x.shape
    outputs = weight.shape[1]
    if not goes_last(batch):
        return x.new_empty(tiles, batch, outputs)
    return x.new_empty(tiles, outputs, batch).transpose(1, 2)


def outer_sum(grad: Tensor, x: Tensor) -> Tensor:
    """Sum the outer products of a batch: (tiles, batch, out), (tiles, batch, in) to (tiles, out, in)."""
    if x.shape[2] < FEW_VECTORS <= grad.shape[2]:
        return torch.bmm(x.transpose(1, 2), grad).transpose(1, 2).contiguous()  # as the weights lie
    return torch.bmm(grad.transpose(1, 2), x)
