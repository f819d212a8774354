"""Reading measurements of one's own devices from CSV files.

Pulse response: one row for each pulse, in the order in which they were given.

    device,pulse,conductance
    1,0,2.00          conductance in µS after the pulse; pulse 1 raises, -1 lowers, 0 only reads (optional)
    1,1,2.31
    1,1,2.60          `device` may be left out where there is one

aihwkit's layout is read as well: no header and two columns, the conductance after each pulse on the way up and on the
way down.

Drift: one row for each reading.

    device,time,conductance,target
    1,20,18.2,20      time in s since programming, conductance in µS; `target`, what was asked for, may be left out
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from ..files import read_text
from ..units import MicroSiemens, Mixed

Values = NDArray[np.float64]

# Python reads 1_000 and other alphabets' digits as numbers too; in a measurement they are slips.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBERS: Final = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")  # but no names of columns either
_WITHIN: Final = 1e30  # µS, s: beyond, a fit computes infinities

_PULSE_COLUMNS: Final = ("pulse", "conductance")
_DRIFT_COLUMNS: Final = ("time", "conductance")


@final
@dataclass(frozen=True)
class PulseTrace:
    """What pulses did to one device.

    Attributes:
        device: Its name.
        pulses: (n,) 1 for a pulse that raises the conductance, -1 for one that lowers it.
        before: (n,) conductance before each pulse, in µS.
        after: (n,) conductance after it, in µS.
    """

    device: str
    pulses: Values
    before: Values
    after: Values


@final
@dataclass(frozen=True)
class DriftTrace:
    """How one device drifted.

    Attributes:
        device: Its name.
        times: (n,) since programming, in s, ascending.
        conductances: (n,) in µS.
        target: What was asked for, in µS, or None.
    """

    device: str
    times: Values
    conductances: Values
    target: MicroSiemens | None


def read_pulse_traces(path: Path | str) -> list[PulseTrace]:
    """Read the pulse response of one or several devices.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing, a value is no number, or nothing follows from so few pulses.
    """
    path = Path(path)
    rows = _rows(path)
    if rows and all(_is_number(cell) for cell in rows[0][1]):
        return _traces_up_and_down(path, rows)
    columns = _columns(path, rows, _PULSE_COLUMNS, ("device",))
    series: dict[str, list[tuple[Mixed, Mixed]]] = {}
    for line, cells in rows[1:]:
        pulse = _number(path, line, "pulse", cells[columns["pulse"]])
        if pulse not in (-1.0, 0.0, 1.0):
            raise ValueError(
                f"`pulse` in line {line} of {path} must be 1 (up), -1 (down) or 0 (read only), but is {pulse:g}. "
                "Write one row for each pulse."
            )
        conductance = _number(path, line, "conductance", cells[columns["conductance"]])
        device = cells[columns["device"]] if "device" in columns else "1"
        series.setdefault(device, []).append((pulse, conductance))
    return [_trace(device, np.array(values)) for device, values in series.items()]


def read_drift_traces(path: Path | str) -> list[DriftTrace]:
    """Read how several devices drifted.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing, a value is no number, times do not ascend, or a conductance is not
            positive.
    """
    path = Path(path)
    rows = _rows(path)
    columns = _columns(path, rows, _DRIFT_COLUMNS, ("device", "target"))
    series: dict[str, list[tuple[Mixed, Mixed]]] = {}
    targets: dict[str, MicroSiemens] = {}
    for line, cells in rows[1:]:
        device = cells[columns["device"]] if "device" in columns else "1"
        time, conductance = (_number(path, line, name, cells[columns[name]]) for name in _DRIFT_COLUMNS)
        earlier = series.setdefault(device, [])
        if time < 0 or (earlier and time <= earlier[-1][0]):
            raise ValueError(
                f"`time` in line {line} of {path} must be later than the one before, but is {time:g} s. "
                "Sort the rows of each device by time since programming."
            )
        if not conductance > 0:
            raise ValueError(
                f"`conductance` in line {line} of {path} must be above 0 µS, but is {conductance:g}. "
                "A power law never reaches 0: leave out what is below the noise of the measurement."
            )
        earlier.append((time, conductance))
        if "target" in columns and cells[columns["target"]]:
            targets[device] = _number(path, line, "target", cells[columns["target"]])
    return [
        DriftTrace(device, times, conductances, targets.get(device))
        for device, (times, conductances) in ((name, np.array(values).T) for name, values in series.items())
    ]


def _trace(device: str, values: Values) -> PulseTrace:
    """Pair every reading with the one before; the first row only says where a device starts."""
    pulses, conductance = values.T
    moved = pulses[1:] != 0
    return PulseTrace(device, pulses[1:][moved], conductance[:-1][moved], conductance[1:][moved])


def _traces_up_and_down(path: Path, rows: list[tuple[int, list[str]]]) -> list[PulseTrace]:
    """Read aihwkit's layout: two columns, up and down, each a series of its own."""
    if any(len(cells) != 2 for _, cells in rows):
        line = next(line for line, cells in rows if len(cells) != 2)
        raise ValueError(
            f"`measured` must have two columns (up, down) where it has no header, but {path} has another number of "
            f"them in line {line}. Or give it the header device,pulse,conductance."
        )
    up, down = np.array(
        [[_number(path, line, "conductance", cell) for cell in cells] for line, cells in rows]
    ).T
    return [
        PulseTrace(
            "1",
            np.concatenate([np.ones(len(up) - 1), -np.ones(len(down) - 1)]),
            np.concatenate([up[:-1], down[:-1]]),
            np.concatenate([up[1:], down[1:]]),
        )
    ]


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of all lines that say something."""
    try:
        text = read_text(path, "measured")
        return list(_said(csv.reader(io.StringIO(text, newline=""))))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`measured` must be a CSV file, but there is no file {path}. Correct the path."
        ) from None
    except csv.Error as error:
        raise ValueError(
            f"`measured` must be a CSV file, but {path} is none: {error}. Export it as CSV."
        ) from None


def _said(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in enumerate(reader, start=1):
        cells = [cell.strip() for cell in cells]
        if any(cells) and not cells[0].startswith("#"):
            yield line, cells


def _columns(
    path: Path, rows: list[tuple[int, list[str]]], needed: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, int]:
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(
            f"`measured` must have the columns {', '.join(needed)}, but the first line of {path} is "
            f"{','.join(header) or 'empty'!r}. Add the column {missing[0]}."
        )
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise ValueError(
                f"`measured` must have {len(header)} columns as its header, but line {line} of {path} has "
                f"{len(cells)}. Correct it."
            )
    if len(rows) < 2:
        raise ValueError(
            f"`measured` must have a row for each reading, but {path} has none below its header."
        )
    double = next((name for name in header if header.count(name) > 1), None)
    if double is not None:
        raise ValueError(
            f"`measured` must have each column once, but {path} has {double!r} twice. Remove one."
        )
    return {name: header.index(name) for name in (*needed, *optional) if name in header}


def _is_number(cell: str) -> bool:
    return cell.lower() in _NO_NUMBERS or _NUMBER.fullmatch(cell) is not None


def _number(path: Path, line: int, name: str, cell: str) -> Mixed:
    if _NUMBER.fullmatch(cell) is None or not abs(float(cell)) <= _WITHIN:
        raise ValueError(
            f"`{name}` in line {line} of {path} must be a finite number, but is {cell[:40]!r}. Correct it or leave "
            "the line out."
        )
    return float(cell)
