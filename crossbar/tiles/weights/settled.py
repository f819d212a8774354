"""Whether trained weights have been changed since they were last looked at, by whatever means."""

import numpy as np
import torch
from torch import Tensor, nn

from devices.looking import may_look

from ...reading.fused_loops import as_rows, find_differences
from ...reading.recomputation import version_of


class Settled(nn.Module):
    """A copy of the weights as they were left: the only evidence that copies, files and processes carry with them.

    torch's version counter of a tensor starts anew in a copy, and does not see what is written through `.data`. On a
    GPU, where every look makes the host wait, it is believed all the same, by the tensor that it belongs to; copies
    are compared once. Writing into a tensor on a GPU through `.data` is therefore not noticed.
    """

    kept: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", None, persistent=False)
        self._is_shared = False
        self._seen: tuple[int, int] | None = None

    @torch.no_grad()
    def keep(self, weight: Tensor | None, copy: Tensor | None = None) -> None:
        """Remember these weights; none, if nobody will ask.

        Args:
            weight: The weights.
            copy: What may be a copy of them already, which nobody changes.
        """
        if weight is not None and copy is not None and are_identical(copy, weight.detach()):
            self.kept = copy
        elif weight is None or self._is_shared or not _have_one_kind(self.kept, weight):
            self.kept = None if weight is None else weight.detach().clone()
        else:
            self.kept.copy_(weight)  # type: ignore[union-attr]
        self._is_shared = self.kept is not None and self.kept is copy
        self._seen = None if weight is None else _memory_and_version(weight)

    def holds(self, weight: Tensor) -> bool:
        """Tell whether these weights are those that were kept, to the last bit."""
        if self.kept is None:
            return False
        if may_look(weight):
            return are_identical(self.kept, weight.detach())
        now = _memory_and_version(weight)
        if self._seen is None or self._seen[0] != now[0]:  # a copy
            self._seen = now if are_identical(self.kept, weight.detach()) else None
        return self._seen == now


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


def _memory_and_version(weight: Tensor) -> tuple[int, int]:
    """Return which memory weights lie in, and how often they have been changed there."""
    return weight.untyped_storage()._cdata, version_of(weight)


def _have_one_kind(first: Tensor | None, second: Tensor) -> bool:
    return first is not None and (first.shape, first.dtype, first.device) == (
        second.shape,
        second.dtype,
        second.device,
    )
