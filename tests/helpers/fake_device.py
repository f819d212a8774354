"""A GPU without values: torch's fake tensors, on a torch device that need not be there."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from crossbar import NoiseStream, TileArray


@contextmanager
def on_fake_device(model: nn.Module, torch_device: str) -> Iterator[None]:
    """Replace all tensors of a model by fake ones on a torch device, and compute with such."""
    mode, drawn = (
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.Generator(),
    )  # of no effect: nothing is filled

    def fake(values: Tensor) -> Tensor:
        plain = mode.from_tensor(values.detach())
        with mode:
            moved = plain.to(torch_device)
            return nn.Parameter(moved, values.requires_grad) if isinstance(values, nn.Parameter) else moved

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            moved = {name: fake(values) for name, values in tensors.items() if values is not None}
            # An optimizer finds the devices by their context, which has no values.
            tensors.update({name: values for name, values in moved.items() if name != "analog_ctx"})
    with mode:
        for array in (module for module in model.modules() if isinstance(module, TileArray)):
            array.keep_settled()  # as after `model.to`
    with mode, patch.object(NoiseStream, "generator", lambda *_: drawn):
        yield
