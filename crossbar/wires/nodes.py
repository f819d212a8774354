"""Every voltage and current of an array with resistive wires."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .lines import Conductance, Drivers, Resistance, Sense, check_conductance, check_voltages, lines_of
from .reduction import Stage, reduce


class CrossbarSolution(NamedTuple):
    """Every voltage and current of an array.

    Attributes:
        currents: Into the sense nodes, in A, `(*tiles, inputs, bit_lines)`.
        word_line_voltages: At the word line's side of each device, in V, `(*tiles, inputs, bit_lines, word_lines)`.
        bit_line_voltages: At its bit line's side, likewise.
        device_currents: Through each device, from word to bit line, in A, likewise.
    """

    currents: Tensor
    word_line_voltages: Tensor
    bit_line_voltages: Tensor
    device_currents: Tensor


def solve_nodes(
    conductance: Conductance,
    voltages: Float[Tensor, "*tiles inputs word_lines"],
    word_line_resistance: Resistance,
    bit_line_resistance: Resistance,
    *,
    source_resistance: Resistance = 0.0,
    sense_resistance: Resistance = 0.0,
    drivers: Drivers = "left",
    sensed: Sense = "bottom",
) -> CrossbarSolution:
    """Compute the voltage at every node of an array with resistive wires, and the current through every device.

    Keeps two matrices for every word line: 2 bit_lines^2 * word_lines numbers for each tile.

    Args:
        conductance: Of the devices, in S, `(..., bit_lines, word_lines)`.
        voltages: At the drivers, in V, `(..., inputs, word_lines)`.
        word_line_resistance: This and all others as in `effective_conductance`.
        bit_line_resistance: Of a segment of a bit line, in ohm.
        source_resistance: Of a driver, in ohm.
        sense_resistance: Between a bit line and virtual ground, in ohm.
        drivers: Where word lines are driven.
        sensed: Where bit lines are sensed.

    Raises:
        TypeError: If something is no floating-point tensor.
        ValueError: If a shape does not fit, or a number is negative or not finite.
    """
    check_conductance(conductance)
    check_voltages(voltages, conductance)
    word, bit = lines_of(
        conductance,
        word_line_resistance,
        bit_line_resistance,
        source_resistance,
        sense_resistance,
        drivers,
        sensed,
    )
    g, v = conductance.double(), voltages.double()
    kept: list[Stage] = []
    reduce(g, word, bit, v, kept)
    # Back from the virtual ground behind the last resistance, up to the first word line.
    at_bit_line = torch.zeros_like(kept[-1].currents)
    nodes, drops = [], []
    for line, stage in reversed(list(enumerate(kept))):
        current = stage.currents - at_bit_line @ stage.admittance
        at_bit_line = at_bit_line + stage.below[..., None, :] * current
        nodes.append(at_bit_line)
        drops.append((v[..., line, None] - at_bit_line) @ stage.ladder.mT)
    b, u = (torch.stack(values[::-1], dim=-1) for values in (nodes, drops))
    through = g[..., None, :, :] * u
    return CrossbarSolution(*(x.to(voltages.dtype) for x in (through.sum(dim=-1), b + u, b, through)))
