"""What a row of a pulse measurement did: pulse up, pulse down, or only a reading.

Stations write signs (1, -1, 0), running numbers with or without a sign, voltages, or words.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from typing_extensions import final

from ..units import Dimensionless, Volts
from .complaints import Complaints

_WORDS: Final = {
    1: (
        "up",
        "u",
        "set",
        "pot",
        "potentiation",
        "ltp",
        "p",
        "+",
        "inc",
        "increase",
        "positive",
        "pos",
        "plus",
        "auf",
    ),
    -1: (
        "down",
        "d",
        "reset",
        "dep",
        "depression",
        "ltd",
        "-",
        "dec",
        "decrease",
        "negative",
        "neg",
        "minus",
        "ab",
    ),
    0: ("read", "r", "verify", "none", "", "measure", "meas", "init", "initial", "start", "lesen"),
}
_DIRECTION_OF: Final = {word: direction for direction, words in _WORDS.items() for word in words}
_HIGHEST_READ: Final = (
    0.5  # V, and part of the next higher voltage: below, a single level counts as reading; assumed
)
_SAME: Final = 0.02  # relative, by which identical pulses may differ as measured; assumed

Kind = Literal["signs", "numbers", "signed numbers", "voltages", "words"]


@final
@dataclass(frozen=True)
class Directions:
    """What a column of directions says.

    Attributes:
        kind: What stands in it.
        directions: 1, -1 or 0 of each row; None where only running numbers stand in it.
        numbers: Running number of each row; None where there are none.
        amplitudes: Of the pulses, in V; None where there are none.
    """

    kind: Kind
    directions: list[int] | None
    numbers: list[int] | None
    amplitudes: list[Volts] | None


def directions_of(
    lines: Sequence[int],
    cells: Sequence[str],
    number: Callable[[str], Dimensionless | None],
    is_voltage: bool,
    role: str,
    complaints: Complaints,
) -> Directions:
    """Read a column.

    Args:
        lines: Line numbers.
        cells: What stands there.
        number: Turns a cell into a number, or None.
        is_voltage: Whether the header says that it is a voltage.
        role: What errors call the column.
        complaints: Where cells are noted that say nothing.
    """
    values = [number(cell) for cell in cells]
    if sum(value is None for value in values) * 2 > len(values):
        return Directions("words", _words(lines, cells, role, complaints), None, None)
    advice = "Write 1 (up), -1 (down) or 0 (read only), a running number, a voltage or up, down, read"
    known: list[Dimensionless] = []
    for line, cell, value in zip(lines, cells, values, strict=True):
        if value is None:
            complaints.add(line, f"`{role}` must be a number", repr(cell), advice)
        known.append(0.0 if value is None else value)
    whole = all(value == int(value) for value in known)
    levels = set(known)
    if not is_voltage and whole and levels <= {-1.0, 0.0, 1.0}:
        return Directions("signs", [int(value) for value in known], None, None)
    if not is_voltage and whole:
        # Of directions 1, -1 and 0 with a slip among them, rather than of numbers that run.
        if sum(value in (-1.0, 0.0, 1.0) for value in known) > 0.8 * len(known) and len(known) > 10:
            for line, value in zip(lines, known, strict=True):
                if value not in (-1.0, 0.0, 1.0):
                    complaints.add(line, f"`{role}` must be 1, -1 or 0", f"{value:g}", advice)
            return Directions("signs", [int(np.sign(value)) for value in known], None, None)
        numbers = [int(abs(value)) for value in known]
        if min(known) < 0:
            return Directions("signed numbers", [int(np.sign(value)) for value in known], numbers, None)
        return Directions("numbers", None, numbers, None)
    reads = _read_levels(levels)
    directions = [0 if value in reads else int(math.copysign(1, value)) for value in known]
    return Directions("voltages", directions, None, [abs(value) for value in known])


def _words(lines: Sequence[int], cells: Sequence[str], role: str, complaints: Complaints) -> list[int]:
    directions = []
    for line, cell in zip(lines, cells, strict=True):
        direction = _DIRECTION_OF.get(cell.strip().lower().replace("\N{MINUS SIGN}", "-"))
        if direction is None:
            complaints.add(
                line,
                f"`{role}` must be up, down or read",
                repr(cell),
                "Correct them, or name another column by --columns",
            )
        directions.append(direction or 0)
    return directions


def _read_levels(levels: set[Volts]) -> set[Volts]:
    """Return the voltages at which a device is only read: 0, and a single low one far below all others."""
    sizes = sorted({abs(level) for level in levels} - {0.0})
    reads = {0.0}
    if len(sizes) > 1 and sizes[0] <= _HIGHEST_READ and sizes[0] <= _HIGHEST_READ * sizes[1]:
        reads |= {sizes[0], -sizes[0]}
    return reads


def changing_amplitudes(
    directions: Sequence[int], amplitudes: Sequence[Volts]
) -> dict[str, tuple[Volts, Volts]]:
    """Return the lowest and highest amplitude of the directions whose pulses are not identical; usually empty."""
    found = {}
    for direction, name in ((1, "up"), (-1, "down")):
        own = [amplitude for way, amplitude in zip(directions, amplitudes, strict=True) if way == direction]
        if own and max(own) - min(own) > _SAME * max(own):
            found[name] = (min(own), max(own))
    return found
