"""Whether trained weights have been changed since they were last looked at, by whatever means."""

import numpy as np
import torch
from torch import Tensor, nn

from ...reading.fused_loops import as_rows, find_differences


class Settled(nn.Module):
    """A copy of the weights as they were left: the only evidence that copies, files and processes carry with them.

    torch's version counter of a tensor starts anew in a copy, and does not see what is written through `.data`.
    """

    kept: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", None, persistent=False)

    @torch.no_grad()
    def keep(self, weight: Tensor | None) -> None:
        """Remember these weights; none, if nobody will ask."""
        if weight is None or not _have_one_kind(self.kept, weight):
            self.kept = None if weight is None else weight.detach().clone()
        else:
            self.kept.copy_(weight)  # type: ignore[union-attr]

    def holds(self, weight: Tensor) -> bool:
        """Tell whether these weights are those that were kept, to the last bit."""
        return self.kept is not None and are_identical(self.kept, weight.detach())


def are_identical(first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors are of one kind and hold the same bits.

    Every pass of a clipped layer or a programmed chip asks this, so it goes over memory as fast as that gives both,
    and stops at the first difference. Nothing cheaper sees everything: a version counter misses `.data`,
    `detach().data` and numpy's view of it, a checksum may be equal by chance.
    """
    if not _have_one_kind(first, second):
        return False
    if first.is_meta:
        return True
    rows = as_rows(first, second)
    if rows is None:
        return torch.equal(first, second)
    differ = np.empty(len(first), dtype=np.bool_)
    find_differences(*(values.view(np.int32) for values in rows), differ)
    return not differ.any()


def _have_one_kind(first: Tensor | None, second: Tensor) -> bool:
    return first is not None and (first.shape, first.dtype, first.device) == (
        second.shape,
        second.dtype,
        second.device,
    )
