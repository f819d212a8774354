"""Turn a digital model into an analog one."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .aihwkit_adapter import DEFAULT_CONVERSION_MAP, aihwkit_convert_to_analog
from .analog_convolution import AnalogConv2d, AnalogLocallyConnected2d, PlacedLayer
from .analog_layer import AnalogLayer
from .analog_linear import AnalogLinear
from .locally_connected import LocallyConnected2d
from .tile_array import Backend

CONVERSION_MAP: dict[type[nn.Module], type[nn.Module]] = {
    **DEFAULT_CONVERSION_MAP,
    LocallyConnected2d: AnalogLocallyConnected2d,
    nn.Conv2d: AnalogConv2d,
    nn.Linear: AnalogLinear,
}
"""Which digital layer becomes which analog one; also for aihwkit's own `convert_to_analog(conversion_map=...)`."""


def convert_to_analog(
    model: nn.Module,
    rpu_config: Any,
    input_size: tuple[int, ...] | None = None,
    *,
    placement: str | None = None,
    backend: Backend = "batched",
) -> nn.Module:
    """Put the weights of a digital model onto analog tiles; the model itself stays as it is.

    `LocallyConnected2d` keeps its placement, `nn.Conv2d` becomes one time-multiplexed tile, `nn.Linear` one
    location.

    Args:
        model: The digital model.
        rpu_config: aihwkit configuration, of inference or training, for every layer.
        input_size: Shape of one input, without batch, for example (1, 28, 28). Only `placement` needs it.
        placement: Where to deploy the kernels of the convolutions instead of on one time-multiplexed tile, for
            example "replicated(tiles=16)". Placements with one kernel only: a trained kernel stays one.
        backend: "batched" or "aihwkit", the slow reference.

    Returns:
        The analog model.

    Raises:
        ValueError: If a placement is given without `input_size`, or does not fit a layer.

    Example:
        >>> from crossbar.aihwkit_adapter import InferenceRPUConfig
        >>> digital = nn.Sequential(LocallyConnected2d(1, 2, 3, 8), nn.Flatten(), nn.Linear(72, 10))
        >>> analog = convert_to_analog(digital, InferenceRPUConfig())
        >>> type(analog[0]).__name__, analog(torch.zeros(1, 1, 8, 8)).shape
        ('AnalogLocallyConnected2d', torch.Size([1, 10]))
    """
    analog: nn.Module = aihwkit_convert_to_analog(model, rpu_config, conversion_map=dict(CONVERSION_MAP))
    if placement is not None:
        if input_size is None:
            raise ValueError("`input_size` must be given together with `placement`, but is None.")
        _place_anew(analog, placement, input_size)
    for module in analog.modules():
        if isinstance(module, AnalogLayer):
            module.tile_array.use_backend(backend)
    return analog


def _place_anew(analog: nn.Module, placement: str, input_size: tuple[int, ...]) -> None:
    """Replace every one-kernel convolution by one with another placement, in place."""
    sizes = _map_sizes(analog, input_size)
    for name, layer in list(analog.named_modules()):
        if not isinstance(layer, PlacedLayer) or layer.placement.kernels != 1:
            continue
        g, size = layer.geometry, sizes[name]
        layer_class: Any = type(layer)
        placed: PlacedLayer = layer_class(
            g.in_channels,
            g.out_channels,
            g.kernel_size,
            size,
            g.stride,
            g.padding,
            g.dilation,
            layer.bias is not None,
            placement,
            layer.tile_array.rpu_config,
        )
        if placed.placement.kernels != 1:
            raise ValueError(
                f"`placement` must have one kernel to deploy a trained convolution, but {placement!r} has "
                f"{placed.placement.kernels} for layer {name!r}. Use 'time_multiplexed' or 'replicated(...)'."
            )
        placed.set_weights(*layer.get_weights())
        parent, _, child = name.rpartition(".")
        setattr(analog.get_submodule(parent), child, placed.train(layer.training))


@torch.no_grad()
def _map_sizes(analog: nn.Module, input_size: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Send one empty image through the model and note the height and width that each convolution sees."""
    sizes: dict[str, tuple[int, int]] = {}
    handles = [
        layer.register_forward_pre_hook(partial(_note_size, sizes, name))
        for name, layer in analog.named_modules()
        if isinstance(layer, PlacedLayer)
    ]
    was_training = analog.training
    try:
        analog.eval()(torch.zeros(1, *input_size))
    finally:
        analog.train(was_training)
        for handle in handles:
            handle.remove()
    return sizes


def _note_size(
    sizes: dict[str, tuple[int, int]], name: str, layer: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    height, width = inputs[0].shape[-2:]
    sizes[name] = (height, width)
