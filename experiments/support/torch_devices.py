"""Where torch computes: the CPU, or a GPU that is there."""

import torch
from torch import nn


def check_torch_device(name: str) -> None:
    """Refuse a torch device that does not exist, or not here.

    Raises:
        ValueError: If so.
    """
    try:
        kind = torch.device(name).type
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`torch_device` must be one that torch can use here, but is {name!r}: {reason} Use cpu."
        ) from error
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"`torch_device` must be cpu or cuda, but is {name!r}. Use cpu.")


def torch_device_of(model: nn.Module) -> torch.device:
    """Return where a model's parameters lie."""
    return next(model.parameters()).device
