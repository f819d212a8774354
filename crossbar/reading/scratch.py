"""Memory that a product uses again at every read, each thread its own."""

import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """Uninitialised memory by name, used again at every read.

    A fresh block of some megabytes costs more (the system hands it out page by page) than filling it. Every thread
    has blocks of its own, so that a model can be evaluated in several at once. Copies begin without any.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return memory shaped and ordered as other values, until the name is asked for again.

        Args:
            name: Of the memory.
            like: The values.
            dtype: Of the numbers in it; that of the values if None.
        """
        dtype = like.dtype if dtype is None else dtype
        is_flipped = not like.is_contiguous() and like.mT.is_contiguous()
        if not is_flipped and not like.is_contiguous():
            return torch.empty_like(like, dtype=dtype, requires_grad=False)
        kept, size = self._kept.get(name), like.numel()
        if kept is None or len(kept) < size or kept.device != like.device or kept.dtype != dtype:
            # Memory that is made in inference mode could not be written to outside of it.
            with torch.inference_mode(False):
                kept = self._kept[name] = like.new_empty(size, dtype=dtype, requires_grad=False)
        # Parts of unequal size share it.
        return kept[:size].view(like.mT.shape).mT if is_flipped else kept[:size].view(like.shape)

    def __reduce__(self) -> tuple[type["Scratch"], tuple[()]]:
        return Scratch, ()
