"""The table in an exported file: separator, decimal comma, lines above the header, a line of units below it.

Python's `csv` splits the lines; its `Sniffer` is not asked, as it takes letters for separators where cells are alike.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import final

from ..units import Dimensionless
from .complaints import Complaints
from .text import text_of_export

# Python reads 1_000 and other alphabets' digits as numbers too; in a measurement they are slips.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA: Final = re.compile(r"[+-]?(\d+,\d+)([eE][+-]?\d+)?", re.ASCII)
_UNIT: Final = re.compile(r"[fpnuµ\u03bcmkMG]?(S|A|V|s|Ohm|ohm|\u03a9|\u2126)|min|h|d|1|#", re.ASCII)
_NO_NUMBERS: Final = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")  # but no names of columns either
_WITHIN: Final = 1e30  # beyond, a fit computes infinities, and stations write 9.9E+37 for "overflow"
_SEPARATORS: Final = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "blanks"}
_HIGHEST: Final = 60  # lines, of which one is the header; assumed
_MOST: Final = 0.8  # part of the lines in which a separator makes equally many cells; assumed


@final
@dataclass(frozen=True, kw_only=True)
class Table:
    """What stands in a file.

    Attributes:
        path: The file.
        what: What errors call it.
        header: Names of the columns; empty where there are none.
        units: What stands below each name, if a line of units does; else empty.
        rows: Line number and cells of each row.
        has_decimal_comma: Whether 2,5 is a number.
    """

    path: Path
    what: str
    header: tuple[str, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    has_decimal_comma: bool

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.header) or (len(self.rows[0][1]) if self.rows else 0)

    def number(self, cell: str) -> Dimensionless | None:
        """Return what a cell says; None if that is no finite number."""
        cell = cell.replace("\N{MINUS SIGN}", "-")
        if self.has_decimal_comma and _COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        if _NUMBER.fullmatch(cell) is None or not abs(float(cell)) <= _WITHIN:
            return None
        return float(cell)


def read_table(
    path: Path, what: str, known: Callable[[str], bool], complaints: Complaints, notes: list[str]
) -> Table:
    """Read the table of a file.

    Args:
        path: The file.
        what: What errors call it.
        known: Whether a text is the name of a column that is looked for: stations write lines above the header.
        complaints: Where lines of another width than the table's are noted.
        notes: Where to say how the file was read, if it is no plain CSV.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text.
    """
    text = text_of_export(path, what, notes)
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().lstrip('"').startswith("#")
    ]
    separator = _separator([line for _, line in lines])
    try:
        split = [(number, _cells(line, separator)) for number, line in lines]
    except csv.Error as error:
        raise ValueError(
            f"`{what}` must be a CSV file, but {path} is none: {error}. Export it as CSV."
        ) from None
    split = [(number, cells) for number, cells in split if any(cells)]
    if separator != ",":
        notes.append(f"separated by {_SEPARATORS[separator]}")
    if not split:
        return Table(path=path, what=what, header=(), units=(), rows=(), has_decimal_comma=False)
    comma = sum(_COMMA.fullmatch(cell) is not None for _, cells in split for cell in cells) > 0
    if comma:
        notes.append("decimal comma")
    split = _without_empty_columns(split)
    width = Counter(len(cells) for _, cells in split).most_common(1)[0][0]
    place = _heading(split, width, comma, known)
    start = 0 if place is None else place + 1
    header = () if place is None else split[place][1]
    units = (
        split[start][1]
        if place is not None and start < len(split) and _is_units(split[start][1], width)
        else ()
    )
    start += bool(units)
    if place:
        notes.append(f"{place} line{'s' * (place > 1)} above the table left out")
    rows = []
    for number, cells in split[start:]:
        if len(cells) > width and not any(cells[width:]):
            cells = cells[:width]
        if len(cells) == width:
            rows.append((number, cells))
        else:
            complaints.add(number, f"there must be {width} columns", f"{len(cells)}")
    return Table(path=path, what=what, header=header, units=units, rows=tuple(rows), has_decimal_comma=comma)


def _separator(lines: list[str]) -> str:
    """Return the first separator that makes equally many cells, more than one, of nearly all lines."""
    best, most = ",", 0.0
    for separator in _SEPARATORS:
        if separator == " " and most >= _MOST:
            numbers = re.compile(r"[\d.]\s+[+-]?[\d.]")
            if sum(numbers.search(line) is not None for line in lines) < _MOST * len(lines):
                break  # blanks are part of words there
        counts = Counter(len(_cells(line, separator)) for line in lines)
        counts.pop(1, None)
        if not counts:
            continue
        part = counts.most_common(1)[0][1] / len(lines)
        if part > most or separator == " ":
            best, most = separator, part
        if part >= _MOST and separator in "\t;|":
            break
    return best


def _cells(line: str, separator: str) -> tuple[str, ...]:
    if separator == " ":
        return tuple(cell.strip('"') for cell in line.split())
    return tuple(
        cell.strip() for row in csv.reader(io.StringIO(line, newline=""), delimiter=separator) for cell in row
    )


def _without_empty_columns(lines: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    """Take away what a separator at the end of every line makes: columns without a name and without a number."""
    while lines and all(len(cells) > 1 and not cells[-1] for _, cells in lines):
        lines = [(number, cells[:-1]) for number, cells in lines]
    return lines


def _heading(
    lines: list[tuple[int, tuple[str, ...]]], width: int, comma: bool, known: Callable[[str], bool]
) -> int | None:
    """Return which line names the columns: that with most known names; None if none does."""
    best, most = None, 0
    for place, (_, cells) in enumerate(lines[:_HIGHEST]):
        if len(cells) != width or _has_number(cells, comma):
            continue
        names = sum(map(known, cells))
        if best is None or names > most:
            best, most = place, names
    # Without a known name only the first line is believed to be a header: words elsewhere are slips.
    return best if most or best == 0 else None


def _is_units(cells: tuple[str, ...], width: int) -> bool:
    """Say whether a line below the header has units: of all cells that say something, and of one at least."""
    said = [cell.strip("[]() ") for cell in cells]
    said = [cell for cell in said if cell not in ("", "-")]
    return len(cells) == width and bool(said) and all(_UNIT.fullmatch(cell) for cell in said)


def _has_number(cells: tuple[str, ...], comma: bool) -> bool:
    return any(
        cell.lower() in _NO_NUMBERS
        or _NUMBER.fullmatch(cell.replace("\N{MINUS SIGN}", "-")) is not None
        or (comma and _COMMA.fullmatch(cell) is not None)
        for cell in cells
    )
