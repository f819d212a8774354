"""In which floating-point type tiles compute: float32, or float64 where a model has been doubled."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ..aihwkit.adapter import AnalogContext


def keeping_precision(move: Callable[[Tensor], Tensor], *, is_in_situ: bool) -> Callable[[Tensor], Tensor]:
    """Return how a module's tensors are moved and converted, with conductances left in float32 or better.

    A network in half precision has less precise numbers between its layers; its tiles hold what they held, and so a
    model that goes to half precision and back is the same. Devices that are trained in place are float32 always.

    Args:
        move: What `nn.Module.to`, `double`, `half` and their like do with a tensor.
        is_in_situ: Whether the devices are trained in place.
    """
    allowed = (torch.float32,) if is_in_situ else (torch.float32, torch.float64)

    def keep(values: Tensor) -> Tensor:
        plain = values.data if isinstance(values, AnalogContext) else values
        moved = move(plain)
        if moved.dtype == plain.dtype or not plain.is_floating_point() or moved.dtype in allowed:
            return moved
        return plain.to(moved.device)

    return keep


def exact_products(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which `torch.autocast` does not shorten the numbers of an analog product."""
    kind = x.device.type
    is_shortened = kind in ("cpu", "cuda") and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_shortened else nullcontext()
