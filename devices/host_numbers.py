"""Numbers by which the host decides what to do next, such as counters: they stay with it as a module moves to a GPU.

A schedule that asked a GPU for its counters would wait there for all work that came before, at every step.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self, override


class HostNumbers(nn.Module):
    """A module some of whose buffers are such numbers; they are saved and loaded like all others.

    Attributes:
        host_numbers: Their names.
    """

    host_numbers: ClassVar[tuple[str, ...]] = ()

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert all tensors but these numbers, as `to` does."""
        kept = {name: self._buffers[name] for name in self.host_numbers if name in self._buffers}
        super()._apply(fn, recurse)
        self._buffers.update(kept)
        return self


def value_of(counter: Tensor, place: int | None = None) -> int:
    """Return where a counter stands.

    Args:
        counter: One counter, or several.
        place: Which of several.
    """
    values: Any = counter.tolist()  # unlike `int`, no operation of torch, which could be traced
    value: int = values if place is None else values[place]
    return value


def zero_count() -> Tensor:
    """Return a counter that stands at zero."""
    return torch.zeros((), dtype=torch.int64)
