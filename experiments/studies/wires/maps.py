"""The voltage that reaches each device of an array through resistive wires, with every word line driven."""

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from crossbar import solve_nodes
from crossbar.tiles.tile_array import TileArray
from devices.conversion import convert_tiles
from devices.units import Ohm

from .layouts import analog_layers

_MOST_BYTES: Final = 1 << 30  # assumed: fits beside everything else on a small machine
_BYTES_PER_NUMBER: Final = 8
_SIEMENS: Final = 1e-6


@final
@dataclass(frozen=True)
class VoltageMap:
    """The voltage across each device of one array, relative to that of the drivers.

    Attributes:
        layer: Name of the layer; of its positive arrays it is the one with the largest sum of conductances.
        is_unrolled: Whether a whole local layer lies in this array.
        ohm: Resistance of a segment.
        voltage: (bit_lines, word_lines).
    """

    layer: str
    is_unrolled: bool
    ohm: Ohm
    voltage: Tensor


@torch.no_grad()
def voltage_maps(model: nn.Module, ohm: Ohm, *, is_unrolled: bool = False) -> list[VoltageMap]:
    """Compute the map of every layer whose arrays are small enough to keep all that is needed for it.

    Args:
        model: On tiles; its trained weights are laid out over devices without noise.
        ohm: Resistance of a segment of every line.
        is_unrolled: Whether its local layers are unrolled.
    """
    maps = []
    for name, layer in analog_layers(model).items():
        array = layer.tile_array
        if 2 * array.out_size**2 * array.in_size * _BYTES_PER_NUMBER <= _MOST_BYTES:
            conductance = _fullest(array)
            volts = torch.ones(1, array.in_size, dtype=torch.float64)
            solution = solve_nodes(conductance, volts, ohm, ohm)
            across = solution.word_line_voltages - solution.bit_line_voltages
            maps.append(VoltageMap(name, is_unrolled, ohm, across[0]))
    return maps


def _fullest(array: TileArray) -> Tensor:
    """Return the conductances of the positive array that conducts best, in S."""
    layout = convert_tiles(array.rpu_config.noise_model.g_converter, array.weight.detach(), array.populated)
    g = layout.g_target[0].double() * _SIEMENS
    if array.populated is not None:
        g = g.masked_fill(~array.populated, 0.0)
    return g[int(g.sum(dim=(1, 2)).argmax())]
