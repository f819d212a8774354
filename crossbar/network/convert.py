"""Turn a digital model into an analog one."""

from typing import Any

from torch import nn

from devices import Faults

from ..aihwkit.adapter import DEFAULT_CONVERSION_MAP, aihwkit_convert_to_analog
from ..layers.analog_convolution import AnalogConv2d, AnalogLocallyConnected2d
from ..layers.analog_layer import AnalogLayer
from ..layers.analog_linear import AnalogLinear
from ..layers.locally_connected import LocallyConnected2d
from ..tiles.tile_array import Backend
from ..wires.parameters import WireParameters
from .faulty_devices import break_devices
from .replacing import place_anew

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
    faults: Faults | None = None,
    wires: WireParameters | None = None,
    wires_every: int = 20,
) -> nn.Module:
    """Put the weights of a digital model onto analog tiles; the model itself stays as it is.

    `LocallyConnected2d` keeps its placement, `nn.Conv2d` becomes one time-multiplexed tile, `nn.Linear` one
    location.

    Args:
        model: The digital model.
        rpu_config: aihwkit configuration, of inference or training, for every layer.
        input_size: Shape of one input, without batch, for example (1, 28, 28). Only `placement` needs it.
        placement: Where to deploy the kernels of convolutions and locally connected layers instead, for example
            "replicated(tiles=16)"; see `replace_placement`.
        backend: "batched" or "aihwkit", the slow reference.
        faults: How many of the devices fail that are trained in place; see `break_devices`. Those of devices that are
            programmed are given to `program_chip`.
        wires: Word and bit lines with resistance, for every tile; ideal ones if None. See `TileArray.use_wires`.
        wires_every: Training passes between two computations of what the wires take.

    Returns:
        The analog model.

    Raises:
        ValueError: If a placement is given without `input_size`, or does not fit a layer, or faults are given where
            no devices are trained in place.

    Example:
        >>> import torch
        >>> from crossbar.aihwkit.adapter import InferenceRPUConfig
        >>> digital = nn.Sequential(LocallyConnected2d(1, 2, 3, 8), nn.Flatten(), nn.Linear(72, 10))
        >>> analog = convert_to_analog(digital, InferenceRPUConfig())
        >>> type(analog[0]).__name__, analog(torch.zeros(1, 1, 8, 8)).shape
        ('AnalogLocallyConnected2d', torch.Size([1, 10]))
    """
    analog: nn.Module = aihwkit_convert_to_analog(model, rpu_config, conversion_map=dict(CONVERSION_MAP))
    if placement is not None:
        if input_size is None:
            raise ValueError("`input_size` must be given together with `placement`, but is None.")
        analog = place_anew(analog, placement, input_size)
    if faults is not None:
        break_devices(analog, faults)
    for module in analog.modules():
        if isinstance(module, AnalogLayer):
            module.tile_array.use_backend(backend)
            module.tile_array.use_wires(wires, every=wires_every)
    return analog
