"""Tables of the layers with locations: which analog one stands for which digital one, and by dimensions."""

from typing import Final

from torch import nn

from .analog_convolution import AnalogConv1d, AnalogConv2d, AnalogConv3d
from .analog_locally_connected import (
    AnalogLocallyConnected,
    AnalogLocallyConnected1d,
    AnalogLocallyConnected2d,
    AnalogLocallyConnected3d,
)
from .analog_transposed import AnalogConvTranspose1d, AnalogConvTranspose2d, AnalogConvTranspose3d
from .locally_connected import LocallyConnected1d, LocallyConnected2d, LocallyConnected3d

ANALOG_OF_DIGITAL: Final[dict[type[nn.Module], type[nn.Module]]] = {
    LocallyConnected1d: AnalogLocallyConnected1d,
    LocallyConnected2d: AnalogLocallyConnected2d,
    LocallyConnected3d: AnalogLocallyConnected3d,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.ConvTranspose1d: AnalogConvTranspose1d,
    nn.ConvTranspose2d: AnalogConvTranspose2d,
    nn.ConvTranspose3d: AnalogConvTranspose3d,
}
"""Which digital layer becomes which analog one."""

LOCALLY_CONNECTED: Final[dict[int, type[AnalogLocallyConnected]]] = {
    layer.dimensions: layer
    for layer in (AnalogLocallyConnected1d, AnalogLocallyConnected2d, AnalogLocallyConnected3d)
}
"""Layers whose locations need not share a kernel, by number of dimensions."""
