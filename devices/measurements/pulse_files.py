"""The response to pulses, from what a measuring station exports.

    device,pulse,conductance
    1,0,2.00          conductance in µS after the pulse; pulse 1 raises, -1 lowers, 0 only reads
    1,1,2.31
    1,1,2.60          `device` may be left out where there is one

is the plain form. `layout.Columns` finds columns of other names, `directions` what a pulse is in them. aihwkit's
layout is read as well: two columns without header, the conductance after each pulse on the way up, and down.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from typing_extensions import final

from ..units import MicroSiemens
from .complaints import Complaints
from .directions import Directions, changing_amplitudes, directions_of
from .layout import Columns, Layout, is_known, scheme_of
from .readings import conductances_of
from .tables import Table, read_table
from .traces import PulseTrace, Values

WHAT: Final = "measured"
_WANTED: Final = ("pulse", "device", "cycle", "conductance", "up", "down", "direction")
_RARE: Final = (
    0.2  # part of the readings that gaps may precede: more is a scheme of reading, no slip; assumed
)


@final
@dataclass
class _Series:
    """Pulses and readings of one device without a break, under construction."""

    pulses: list[int] = field(default_factory=list)
    before: list[MicroSiemens] = field(default_factory=list)
    after: list[MicroSiemens] = field(default_factory=list)


def read_pulse_traces(
    path: Path | str, layout: Layout | None = None, notes: list[str] | None = None
) -> list[PulseTrace]:
    """Read the pulse response of one or several devices.

    Args:
        path: The file.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing, lines are bad (all of them are named), or pulses are not identical.
    """
    path, layout, notes = Path(path), layout or Layout(), [] if notes is None else notes
    complaints = Complaints(path, WHAT)
    table = read_table(path, WHAT, is_known, complaints, notes)
    columns = Columns(table, layout, _WANTED)
    two_ramps = "conductance" not in columns and "up" in columns and "down" in columns
    if not table.header and table.width == 2 and not columns.places:
        columns.places |= {"up": [0], "down": [1]}
        two_ramps = True
    _check_columns(path, table, columns, layout, two_ramps)
    if not columns.is_plain():
        notes.append(columns.said())
    return (_two_ramps if two_ramps else _rows)(table, columns, layout, complaints, notes)


def _check_columns(path: Path, table: Table, columns: Columns, layout: Layout, two_ramps: bool) -> None:
    header = ",".join(table.header) or ("without names" if table.rows else "empty")
    if two_ramps:
        return
    sources = ("pulse", "direction", "up")
    missing = "conductance" if "conductance" not in columns else None
    if missing is None and not any(role in columns for role in sources) and layout.scheme is None:
        missing = "pulse"
    if missing is not None:
        raise ValueError(
            f"`measured` must have the columns pulse, conductance (or two columns up, down), but the columns of "
            f"{path} are {header!r}: no {missing} is found. Name it: --columns {missing}=..."
        )
    if not table.rows:
        raise ValueError(
            f"`measured` must have a row for each reading, but {path} has none below its header."
        )


def _two_ramps(
    table: Table, columns: Columns, layout: Layout, complaints: Complaints, notes: list[str]
) -> list[PulseTrace]:
    """Read two columns of conductances, up and down, each a series of its own for each device and cycle."""
    places = [columns.places["up"][0], columns.places["down"][0]]
    values = conductances_of(table, columns, places, layout, complaints, notes, may_be_empty=True)
    complaints.settle()
    found: dict[str, list[_Series]] = {}
    rows = [_names(columns, cells) for _, cells in table.rows]
    for (device, _), own in itertools.groupby(range(len(rows)), key=lambda i: rows[i]):
        block = list(own)
        for column, direction in ((0, 1), (1, -1)):
            ramp = values[block, column]
            ramp = ramp[np.isfinite(ramp)]
            count = max(0, len(ramp) - 1)
            found.setdefault(device, []).append(
                _Series([direction] * count, ramp[:-1].tolist(), ramp[1:].tolist())
            )
    return [_trace(device, series) for device, series in found.items()]


def _rows(
    table: Table, columns: Columns, layout: Layout, complaints: Complaints, notes: list[str]
) -> list[PulseTrace]:
    """Read one row for each pulse or reading."""
    places = columns.places["conductance"]
    values = conductances_of(table, columns, places, layout, complaints, notes, may_be_empty=True)
    directions, numbers, is_polarity_known = _pulses(table, columns, layout, complaints, notes)
    silent = [
        row
        for row in range(len(values))
        if directions[row] and np.isnan(values[row]).all() and (row + 1 == len(values) or directions[row + 1])
    ]
    if len(silent) <= _RARE * len(values):  # slips; else pulses that nobody read, which are counted below
        for row in silent:
            complaints.add(table.rows[row][0], "`conductance` must be a finite number", "empty")
    complaints.settle()
    series: dict[str, list[_Series]] = {}
    counts = {"gaps": 0, "extra": 0, "pulses": 0}
    for column, place in enumerate(places):
        names = [_names(columns, cells) for _, cells in table.rows]
        own = f"{columns.names[place] if columns.names else place + 1}" if len(places) > 1 else None
        by_device: dict[str, list[int]] = {}
        for row, (device, _) in enumerate(names):
            full = device if own is None else own if "device" not in columns else f"{device}.{own}"
            by_device.setdefault(full, []).append(row)
        for device, rows in by_device.items():
            built = _series_of(
                rows, values[:, column], directions, numbers, [name[1] for name in names], counts
            )
            series.setdefault(device, []).extend(built)
    if counts["gaps"] > max(2, _RARE * counts["pulses"]):
        raise ValueError(
            f"`measured` must have a reading after each pulse, but in {table.path} {counts['gaps']} of "
            f"{counts['pulses'] + counts['gaps']} readings follow pulses that were not read (gaps in the pulse "
            "numbers, or rows without a conductance). Measure after each pulse."
        )
    if counts["gaps"]:
        notes.append(f"{counts['gaps']} gaps in the pulses: the series begin anew there")
    if counts["extra"]:
        notes.append(f"{counts['extra']} readings between pulses: the last before a pulse counts")
    traces = [_trace(device, own) for device, own in series.items()]
    if not is_polarity_known and _response(traces) < 0:
        notes.append("negative voltages raise the conductance: taken as up")
        traces = [PulseTrace(trace.device, -trace.pulses, trace.before, trace.after) for trace in traces]
    return traces


def _names(columns: Columns, cells: Sequence[str]) -> tuple[str, str]:
    """Return the device and the cycle of a row."""
    return (
        columns.cell(cells, "device") if "device" in columns else "1",
        columns.cell(cells, "cycle") if "cycle" in columns else "",
    )


def _pulses(
    table: Table, columns: Columns, layout: Layout, complaints: Complaints, notes: list[str]
) -> tuple[list[int], list[int] | None, bool]:
    """Return direction and running number of each row, and whether the polarity is known."""
    lines = [line for line, _ in table.rows]

    def read(role: str) -> Directions:
        place = columns.places[role][0]
        is_voltage = columns.unit(place) in ("V", "mV") or "volt" in (
            columns.names[place].lower() if columns.names else ""
        )
        cells = [cells[place] for _, cells in table.rows]
        return directions_of(lines, cells, table.number, is_voltage, role, complaints)

    pulse = read("pulse") if "pulse" in columns else None
    found = pulse if pulse is not None and pulse.directions is not None else None
    if found is None and "direction" in columns:
        found = read("direction")
        if found.directions is None and pulse is None:
            pulse = found
    numbers = pulse.numbers if pulse is not None else None
    if found is not None and found.directions is not None:
        complaints_of_amplitudes(table, found, complaints)
        if not (found is pulse and found.kind == "signs"):
            notes.append(f"directions by {found.kind}")
        directions = found.directions
        if numbers is not None:  # pulse 0 is the reading before the first
            directions = [0 if n == 0 else way for n, way in zip(numbers, directions, strict=True)]
        return directions, numbers, found.kind != "voltages"
    if found is None and "up" in columns and "down" in columns:
        ups, downs = (
            [table.number(cells[columns.places[role][0]]) or 0.0 for _, cells in table.rows]
            for role in ("up", "down")
        )
        notes.append("directions by two columns")
        return [1 if up else -1 if down else 0 for up, down in zip(ups, downs, strict=True)], numbers, True
    if layout.scheme is None:
        complaints.settle()
        raise ValueError(
            f"`measured` must say which pulses go up, but in {table.path} they are only numbered. Name the column "
            "that says it (--columns direction=...), or the scheme (--scheme 50up,50down)."
        )
    layout.used.add("scheme")
    scheme = scheme_of(layout.scheme)
    return _by_scheme(table, columns, scheme, numbers), numbers, True


def _by_scheme(table: Table, columns: Columns, scheme: list[int], numbers: list[int] | None) -> list[int]:
    """Return directions by pulse number, or by the count of rows of each device and cycle where there is none."""
    counts: dict[tuple[str, str], int] = {}
    directions = []
    for row, (_, cells) in enumerate(table.rows):
        name = _names(columns, cells)
        number = counts[name] = counts.get(name, 0) + 1
        number = number if numbers is None else numbers[row]
        directions.append(0 if number < 1 else scheme[(number - 1) % len(scheme)])
    return directions


def complaints_of_amplitudes(table: Table, found: Directions, complaints: Complaints) -> None:
    """Refuse pulses that are not identical.

    Raises:
        ValueError: If they are not, as in incremental step pulse programming.
    """
    if found.amplitudes is None or found.directions is None:
        return
    changing = changing_amplitudes(found.directions, found.amplitudes)
    if changing:
        complaints.settle()
        told = " and ".join(f"{low:.3g} to {high:.3g} V {name}" for name, (low, high) in changing.items())
        raise ValueError(
            f"`measured` must hold identical pulses, but the amplitudes of {table.path} go from {told} (incremental "
            "pulses, ISPP): a step law is that of one pulse. Measure with one amplitude for each direction; what "
            "write-verify reached goes to --writes."
        )


def _series_of(
    rows: Sequence[int],
    values: Values,
    directions: Sequence[int],
    numbers: Sequence[int] | None,
    cycles: Sequence[str],
    counts: dict[str, int],
) -> list[_Series]:
    """Pair every reading with the one before; a series begins where that one is not known."""
    found = [_Series()]
    last: MicroSiemens | None = None
    pending: int | None = None  # a pulse after which nothing was read yet
    earlier = None  # the row before
    fresh = False  # whether the last reading already follows a pulse
    for row in rows:
        value, direction = float(values[row]), directions[row]
        number = None if numbers is None else numbers[row]
        step = 1 if number is None or earlier is None or numbers is None else number - numbers[earlier]
        restarts = earlier is not None and (cycles[row] != cycles[earlier] or step < 0)
        earlier = row
        if restarts:
            last, pending = None, None
            found.append(_Series())
        elif step > 1:  # pulses that nobody wrote down
            counts["gaps"] += 1
            last, pending = None, None
            found.append(_Series())
        if step == 0 and not restarts and number is not None and direction != 0 and last is not None:
            direction = 0  # the same pulse, read again
        if direction != 0:
            if pending is not None:
                counts["gaps"] += 1
                last = None
                found.append(_Series())
            pending = direction
        if not np.isfinite(value):
            continue
        if pending is None:
            counts["extra"] += fresh
            if fresh and found[-1].after:
                found[-1].after[-1] = value
            last = value
            continue
        if last is not None:
            own = found[-1]
            own.pulses.append(pending)
            own.before.append(last)
            own.after.append(value)
            counts["pulses"] += 1
        last, pending, fresh = value, None, True
    return [own for own in found if own.pulses] or found[:1]


def _trace(device: str, series: Sequence[_Series]) -> PulseTrace:
    pulses, before, after = (
        np.array([value for own in series for value in getattr(own, name)], dtype=np.float64)
        for name in ("pulses", "before", "after")
    )
    return PulseTrace(device, pulses, before, after)


def _response(traces: Sequence[PulseTrace]) -> MicroSiemens:
    """Return how far pulses moved the devices in the direction that was taken for theirs."""
    return float(sum((trace.pulses * (trace.after - trace.before)).sum() for trace in traces))
