"""The exact matrix that wires turn an array of linear devices into."""

from jaxtyping import Float
from torch import Tensor

from .lines import Conductance, Drivers, Lines, Resistance, Sense, check_conductance, check_voltages, lines_of
from .reduction import reduce


def effective_conductance(
    conductance: Conductance,
    word_line_resistance: Resistance,
    bit_line_resistance: Resistance,
    *,
    source_resistance: Resistance = 0.0,
    sense_resistance: Resistance = 0.0,
    drivers: Drivers = "left",
    sensed: Sense = "bottom",
) -> Conductance:
    """Compute the matrix that wires turn an array of linear devices into.

    Exact up to rounding (about 1e-14 of the largest entry of a column), for any number of tiles at once, and
    differentiable in the conductances and the resistances.

    Args:
        conductance: Of the devices, in S, `(..., bit_lines, word_lines)`; 0 where a device is open or absent.
        word_line_resistance: Of each segment of a word line, in ohm: a number, or one for each word line,
            `(..., word_lines)`. The first segment lies between the driver and the first device.
        bit_line_resistance: Of each segment of a bit line, in ohm: a number, or one for each bit line,
            `(..., bit_lines)`. The last segment lies between the last device and the sense node.
        source_resistance: Between a driver and its word line, in ohm, likewise.
        sense_resistance: Between a bit line and virtual ground, in ohm, likewise.
        drivers: "left": word lines are driven at the end of the first bit line. "both": at both ends.
        sensed: "bottom": bit lines are sensed beyond the last word line. "both": at both ends.

    Returns:
        In S, of the shape and dtype of `conductance`, computed in float64: the sensed currents are
        `voltages @ effective_conductance.mT`.

    Raises:
        TypeError: If the conductances are no floating-point numbers.
        ValueError: If a shape does not fit, or a number is negative or not finite.

    Example:
        >>> import torch
        >>> effective_conductance(torch.tensor([[1.0]]), 1.0, 2.0)  # 1 S in series with 1 and 2 ohm
        tensor([[0.2500]])
    """
    check_conductance(conductance)
    word, bit = lines_of(
        conductance,
        word_line_resistance,
        bit_line_resistance,
        source_resistance,
        sense_resistance,
        drivers,
        sensed,
    )
    return _effective(conductance.double(), word, bit).to(conductance.dtype)


def solve_crossbar(
    conductance: Conductance,
    voltages: Float[Tensor, "*tiles inputs word_lines"],
    word_line_resistance: Resistance,
    bit_line_resistance: Resistance,
    *,
    source_resistance: Resistance = 0.0,
    sense_resistance: Resistance = 0.0,
    drivers: Drivers = "left",
    sensed: Sense = "bottom",
) -> Float[Tensor, "*tiles inputs bit_lines"]:
    """Compute the currents that an array with resistive wires delivers.

    For many reads of one array keep its `effective_conductance`. For the voltage at every device: `solve_nodes`.

    Args:
        conductance: Of the devices, in S, `(..., bit_lines, word_lines)`.
        voltages: At the drivers, in V, `(..., inputs, word_lines)`.
        word_line_resistance: This and all others as in `effective_conductance`.
        bit_line_resistance: Of a segment of a bit line, in ohm.
        source_resistance: Of a driver, in ohm.
        sense_resistance: Between a bit line and virtual ground, in ohm.
        drivers: Where word lines are driven.
        sensed: Where bit lines are sensed.

    Returns:
        Into the sense nodes, in A, `(..., inputs, bit_lines)`, in the dtype of the voltages.

    Raises:
        TypeError: If something is no floating-point tensor.
        ValueError: If a shape does not fit, or a number is negative or not finite.

    Example:
        >>> import torch
        >>> solve_crossbar(torch.tensor([[1.0]]), torch.tensor([[0.2]]), 1.0, 2.0)
        tensor([[0.0500]])
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
    v = voltages.double()
    bits, words = conductance.shape[-2:]
    if bits <= words and v.shape[-2] < words:  # cheaper than one volt on each word line at a time
        return reduce(conductance.double(), word, bit, v).to(voltages.dtype)
    return (v @ _effective(conductance.double(), word, bit).mT).to(voltages.dtype)


def _effective(g: Tensor, word: Lines, bit: Lines) -> Tensor:
    if g.shape[-2] <= g.shape[-1]:
        return reduce(g, word, bit).mT
    # By reciprocity the transposed array: turned by half a turn, so that drivers stand where sense nodes stood.
    return reduce(g.mT.flip(-2, -1), bit.flipped(), word.flipped()).flip(-2, -1)
