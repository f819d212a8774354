"""Watching layers and products that are computed digitally."""

from typing import Any

import torch
from torch import Tensor, nn

from ...cost.events import LayerEvents
from ...layers.attention import ScaledDotProduct
from .existing import ExistingParts
from .shapes import products_of, shape_of

ALREADY = "the model is being recorded already: leave the other `record_events` first"


class DigitalWatch:
    """Counts the multiplications of a digital layer."""

    def __init__(self, layer: nn.Module) -> None:
        if any(
            isinstance(getattr(hook, "__self__", None), DigitalWatch)
            for hook in layer._forward_hooks.values()
        ):
            raise RuntimeError(ALREADY)
        self.events = LayerEvents(shape=shape_of(layer))
        self._existing = ExistingParts(layer, self.events.shape)
        self._handle = layer.register_forward_hook(self._after_forward)

    def stop(self) -> None:
        """Stop counting."""
        self._handle.remove()

    def _after_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        products = products_of(layer, self.events.shape, inputs[0], y)
        count_software(self.events, self._existing.of(products).weights, inputs[0], layer.training)


class ProductWatch:
    """Counts the multiplications of scores and weighted sums of an attention."""

    def __init__(self, layer: ScaledDotProduct) -> None:
        self.events = LayerEvents(shape=shape_of(layer))
        self._handle = layer.register_forward_hook(self._after_forward)

    def stop(self) -> None:
        """Stop counting."""
        self._handle.remove()

    def _after_forward(self, layer: nn.Module, inputs: tuple[Any, ...], outputs: object) -> None:
        q, k, v = inputs[:3]
        # Each of (batch, heads, queries) is multiplied with all keys, and each score with all values.
        macs = q.shape[:3].numel() * k.shape[2] * (q.shape[3] + v.shape[3])
        self.events.add("forward", digital_macs=macs)
        if layer.training and torch.is_grad_enabled() and q.requires_grad:
            self.events.add("backward", digital_macs=2 * macs)


def count_software(events: LayerEvents, macs: int, x: Tensor, is_training: bool) -> None:
    """Count what a layer computes digitally, forward and, if gradients are wanted, backward."""
    events.add("forward", digital_macs=macs)
    if is_training and torch.is_grad_enabled():
        events.add("gradient", digital_macs=macs)
        if x.requires_grad:
            events.add("backward", digital_macs=macs)
