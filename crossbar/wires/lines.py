"""The resistances of the parallel lines of an array, and the refusal of what is none."""

from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from devices.units import Ohm

Conductance: TypeAlias = Float[Tensor, "*tiles bit_lines word_lines"]
Drivers: TypeAlias = Literal["left", "both"]
Sense: TypeAlias = Literal["bottom", "both"]
Resistance: TypeAlias = Ohm | Tensor


class Lines(NamedTuple):
    """Parallel lines.

    Attributes:
        segment: Resistance of a segment of each line, in ohm.
        end: Resistance beyond its last segment, in ohm.
        both: Whether both ends are in use.
    """

    segment: Tensor
    end: Tensor
    both: bool

    def flipped(self) -> "Lines":
        """Number the lines from the other side."""
        return Lines(self.segment.flip(-1), self.end.flip(-1), self.both)


def lines_of(
    conductance: Tensor,
    word_line_resistance: Resistance,
    bit_line_resistance: Resistance,
    source_resistance: Resistance,
    sense_resistance: Resistance,
    drivers: str,
    sensed: str,
) -> tuple[Lines, Lines]:
    """Return the word lines and the bit lines of arrays.

    Raises:
        ValueError: If a resistance is negative, not finite or of the wrong shape, or an end has another name.
    """
    check_ends(drivers, sensed)
    bits, words = conductance.shape[-2:]
    return (
        Lines(
            _resistances("word_line_resistance", word_line_resistance, conductance, words),
            _resistances("source_resistance", source_resistance, conductance, words),
            drivers == "both",
        ),
        Lines(
            _resistances("bit_line_resistance", bit_line_resistance, conductance, bits),
            _resistances("sense_resistance", sense_resistance, conductance, bits),
            sensed == "both",
        ),
    )


# Below it, a resistance times any conductance leaves no trace in float64, but its reciprocal loses digits (at 1e-306
# ohm) or overflows (at 1e-309): such a line is ideal.
SMALLEST_RESISTANCE: Ohm = 1e-200


def _resistances(name: str, value: Resistance, conductance: Tensor, lines: int) -> Tensor:
    """Return a resistance for every line, in float64."""
    tensor = torch.as_tensor(value, dtype=torch.float64, device=conductance.device)
    if not bool((torch.isfinite(tensor) & (tensor >= 0)).all()):
        raise ValueError(
            f"`{name}` must be 0 ohm or more and finite, but is {_worst(tensor)}. "
            "An open line is an array without it: set its conductances to 0."
        )
    if bool((tensor < SMALLEST_RESISTANCE).any()):
        tensor = tensor.where(tensor >= SMALLEST_RESISTANCE, 0.0)
    try:
        return tensor.expand(*conductance.shape[:-2], lines)
    except RuntimeError:
        raise ValueError(
            f"`{name}` must be a number or have the shape (..., {lines}), one for each line, but has "
            f"{tuple(tensor.shape)}. Give one resistance for each line."
        ) from None


def check_conductance(conductance: Tensor) -> None:
    """Refuse what no array has.

    Raises:
        TypeError: If the conductances are no floating-point numbers.
        ValueError: If there is no line, or a number is negative or not finite.
    """
    if not conductance.is_floating_point():
        raise TypeError(
            f"`conductance` must be a floating-point tensor, but is {conductance.dtype}. Convert it: `.double()`."
        )
    if conductance.dim() < 2 or 0 in conductance.shape[-2:]:
        raise ValueError(
            "`conductance` must have the shape (..., bit_lines, word_lines), but has "
            f"{tuple(conductance.shape)}. Add the missing dimension."
        )
    if not bool((torch.isfinite(conductance) & (conductance >= 0)).all()):
        raise ValueError(
            f"`conductance` must be 0 S or more and finite, but is {_worst(conductance)}. "
            "Give both arrays of a differential pair, one after the other; 0 is an open device."
        )


def check_voltages(voltages: Tensor, conductance: Tensor) -> None:
    """Refuse voltages that do not fit an array.

    Raises:
        TypeError: If they are no floating-point numbers.
        ValueError: If there is not one for each word line.
    """
    if not voltages.is_floating_point():
        raise TypeError(
            f"`voltages` must be a floating-point tensor, but is {voltages.dtype}. Convert it: `.double()`."
        )
    if voltages.dim() < 2 or voltages.shape[-1] != conductance.shape[-1]:
        raise ValueError(
            f"`voltages` must have the shape (..., inputs, {conductance.shape[-1]}), one for each word line, but has "
            f"{tuple(voltages.shape)}. The conductances are (..., bit_lines, word_lines)."
        )


def check_ends(drivers: str, sensed: str) -> None:
    """Refuse ends that lines do not have.

    Raises:
        ValueError: If an end has another name.
    """
    for name, value, choices in (
        ("drivers", drivers, ("left", "both")),
        ("sensed", sensed, ("bottom", "both")),
    ):
        if value not in choices:
            raise ValueError(
                f"`{name}` must be {' or '.join(map(repr, choices))}, but is {value!r}. Choose one."
            )


def _worst(values: Tensor) -> float:
    """Return a number that makes a tensor unfit, for a message."""
    unfit = values.flatten()[~(torch.isfinite(values) & (values >= 0)).flatten()]
    return float(unfit[0])
