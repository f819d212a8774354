"""The block in which a model's events are counted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ...cost.events import EventLedger
from ...layers.analog_layer import AnalogLayer
from ...layers.attention import ScaledDotProduct
from ...layers.locally_connected import LocallyConnected
from ...layers.map_layer import MapLayer
from ..named_refusals import refuse_foreign_layers
from .analog_watch import AnalogWatch
from .digital_watch import DigitalWatch, ProductWatch
from .shared_images import SharedImages


@contextmanager
def record_events(model: nn.Module, *, is_batched: bool | None = None) -> Iterator[EventLedger]:
    """Count what a model makes happen inside the block.

    Products and pulses in evaluation and in training in place happen on tiles. What hardware-aware or digital
    training computes happens in software: it counts as digital multiplications only. The numbers of a run do not
    change by recording.

    Args:
        model: Analog, digital, or both.
        is_batched: Whether the first dimension of the model's input counts images; None: if it has two dimensions or
            four.

    Devices whose pulses were not counted before forget them at the end: call `count_pulses` of the device arrays
    first if wear is to add up over several blocks.

    Where processes share the images of batches (`spread_images`), every process has the ledger of all images: they
    enter and leave the block together. What they send each other is in it, gradients that are averaged by the best of
    ways (`crossbar.cost.closed_forms`), one exchange for each layer; of layers that are no part of a ledger, nothing.

    Yields:
        The ledger; pulses and wear are entered at the end of the block, unless it ends with an error.

    Raises:
        RuntimeError: If the model is being recorded already.
        ValueError: If the model has analog layers of aihwkit's own, which count nothing.

    Example:
        >>> from crossbar import AnalogLinear
        >>> layer = AnalogLinear(4, 2).eval()
        >>> with record_events(layer) as ledger:
        ...     _ = layer(torch.zeros(3, 4))
        >>> ledger.total("mvms"), ledger.total("adc_conversions")
        (3, 6)
    """
    refuse_foreign_layers(model, "counted by record_events", may_be_spread=True)
    ledger = EventLedger()
    watches: list[AnalogWatch] = []
    with ExitStack() as stack:
        for name, module in model.named_modules():
            kinds = AnalogLayer | LocallyConnected | ScaledDotProduct | nn.Linear | nn.modules.conv._ConvNd
            if isinstance(module, kinds):
                watch = _watch(module)
                ledger.layers[name] = watch.events
                stack.callback(watch.stop)
                if isinstance(watch, AnalogWatch):
                    watches.append(watch)
        stack.callback(_watch_images(model, ledger, is_batched).remove)
        shared = SharedImages(model, ledger) if SharedImages.is_needed(model) else None
        yield ledger
        # Not after an error, of which other processes may know nothing: they would wait for each other.
        if shared is not None:
            shared.enter()
        for watch in watches:
            watch.enter()


def _watch(layer: nn.Module) -> AnalogWatch | DigitalWatch | ProductWatch:
    """Begin to watch a layer."""
    if isinstance(layer, AnalogLayer):
        return AnalogWatch(layer)
    return ProductWatch(layer) if isinstance(layer, ScaledDotProduct) else DigitalWatch(layer)


def _watch_images(model: nn.Module, ledger: EventLedger, is_batched: bool | None) -> RemovableHandle:
    """Count the images that pass through a model; a pass in training, with gradients, is a step."""
    axes = _axes_of_inputs(model)

    def before(model: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0]
        has_batch = x.dim() == axes + 2 or (axes == 2 and x.dim() == 2) if is_batched is None else is_batched
        images = len(x) if has_batch else 1
        if model.training and torch.is_grad_enabled():
            ledger.training_images += images
            ledger.steps += 1
        else:
            ledger.images += images

    return model.register_forward_pre_hook(before)


def _axes_of_inputs(model: nn.Module) -> int:
    """Return how many axes beside batch and channels the inputs of a model have, as its first layer on a map does."""
    for module in model.modules():
        if isinstance(module, MapLayer):
            return module.dimensions
        if isinstance(module, nn.modules.conv._ConvNd):
            return len(module.kernel_size)
    return 2
