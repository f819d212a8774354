"""A GPU without values: torch's fake tensors, on a torch device that need not be there."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from crossbar import NoiseStream, TileArray
from crossbar.learning.unit_cells import UnitCells
from devices.host_numbers import HostNumbers
from devices.pulsed import DeviceArray


@contextmanager
def on_fake_device(model: nn.Module, torch_device: str) -> Iterator[None]:
    """Replace all tensors of a model by fake ones on a torch device, and compute with such.

    What the host draws to seed its streams stays the host's: no GPU is asked for it.
    """
    mode, drawn = (
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.Generator(),
    )  # of no effect: nothing is filled

    def fake(values: Tensor) -> Tensor:
        plain = mode.from_tensor(values.detach())
        with mode:
            moved = plain.to(torch_device)
            return nn.Parameter(moved, values.requires_grad) if isinstance(values, nn.Parameter) else moved

    for cells in (module for module in model.modules() if isinstance(module, UnitCells)):
        assert cells.granularity > 0  # known to the host from the start
    for module in model.modules():
        if isinstance(module, DeviceArray):
            module._apply(fake, recurse=False)  # which also knows the size of a step
            continue
        kept = module.host_numbers if isinstance(module, HostNumbers) else ()
        for tensors in (module._parameters, module._buffers):
            moved = {name: fake(values) for name, values in tensors.items() if values is not None}
            # An optimizer finds the devices by their context, which has no values.
            tensors.update(
                {name: values for name, values in moved.items() if name not in (*kept, "analog_ctx")}
            )
    with mode:
        for array in (module for module in model.modules() if isinstance(module, TileArray)):
            array.keep_settled()  # as after `model.to`
    with (
        mode,
        patch.object(NoiseStream, "generator", lambda *_: drawn),
        patch.object(torch, "Generator", lambda **_: drawn),
        # torch's mode does not know this one.
        patch.object(torch, "binomial", lambda trials, *_, **__: torch.empty_like(trials)),
        patch("devices.pulsed.update.draw_seeds", _some_seeds),
        patch("devices.pulsed.pulse_trains.draw_seeds", _some_seeds),
    ):
        yield


def _some_seeds(number: int, _: torch.Generator) -> list[int]:
    return list(range(number))
