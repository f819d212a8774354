"""Drift, writes and repeated readings, from what a measuring station exports.

device,time,conductance,target
1,20,18.2,20      drift: time in s since programming, conductances in µS; `target` may be left out

device,target,conductance
1,20,19.7         writes: what was asked for, and what write-verify reached

device,conductance
1,19.71           reads: readings of a device that nothing was done to, one after the other
"""

from pathlib import Path
from typing import Final

import numpy as np

from ..units import MicroSiemens, Mixed
from .complaints import Complaints
from .layout import Columns, Layout, is_known
from .quantities import seconds_of, unit_of
from .readings import conductances_of
from .tables import Table, read_table
from .traces import DriftTrace, RepeatedReads, Values, Writes

_FEWEST: Final = 3  # readings of a state


def read_drift_traces(
    path: Path | str, layout: Layout | None = None, notes: list[str] | None = None
) -> list[DriftTrace]:
    """Read how several devices drifted.

    Args:
        path: The file.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing or lines are bad; all of them are named.
    """
    layout, notes = layout or Layout(), [] if notes is None else notes
    needed = ("time", "conductance")
    table, columns, complaints = _open(Path(path), "drift", needed, ("device", "target"), layout, notes)
    values = conductances_of(table, columns, columns.places["conductance"][:1], layout, complaints, notes)[
        :, 0
    ]
    targets = _targets(table, columns, layout, complaints, values)
    place = columns.places["time"][0]
    factor = seconds_of(columns.unit(place))
    if factor is None:
        raise ValueError(
            f"`drift` must have times in s, min, h or d, but the column {columns.names[place]!r} of {path} is in "
            f"{columns.unit(place)!r}. Correct the header."
        )
    if factor != 1.0:
        notes.append(f"times from {columns.unit(place)}")
    series: dict[str, list[tuple[Mixed, Mixed]]] = {}
    asked: dict[str, MicroSiemens] = {}
    last: dict[str, Mixed] = {}
    for row, (line, cells) in enumerate(table.rows):
        device = columns.cell(cells, "device") if "device" in columns else "1"
        time = table.number(cells[place])
        if time is None:
            complaints.add(line, "`time` must be a finite number", repr(cells[place]))
            continue
        time *= factor
        if time < 0 or time <= last.get(device, -1.0):
            complaints.add(
                line, "`time` must be later than the one before", f"{time:g} s",
                "Sort the rows of each device by time since programming",
            )  # fmt: skip
        last[device] = time
        if np.isfinite(values[row]) and not values[row] > 0:
            complaints.add(
                line, "`conductance` must be above 0 µS", f"{values[row]:g}",
                "A power law never reaches 0: leave out what is below the noise of the measurement",
            )  # fmt: skip
        series.setdefault(device, []).append((time, float(values[row])))
        if np.isfinite(targets[row]):
            asked[device] = float(targets[row])
    complaints.settle()
    return [
        DriftTrace(device, times, conductances, asked.get(device))
        for device, (times, conductances) in ((name, np.array(own).T) for name, own in series.items())
    ]


def read_writes(path: Path | str, layout: Layout | None = None, notes: list[str] | None = None) -> Writes:
    """Read what write-verify reached.

    Args:
        path: The file.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing or lines are bad; all of them are named.
    """
    layout, notes = layout or Layout(), [] if notes is None else notes
    table, columns, complaints = _open(
        Path(path), "writes", ("target", "conductance"), ("device",), layout, notes
    )
    reached = conductances_of(table, columns, columns.places["conductance"][:1], layout, complaints, notes)[
        :, 0
    ]
    targets = _targets(table, columns, layout, complaints, reached)
    for (line, cells), target in zip(table.rows, targets, strict=True):
        if not cells[columns.places["target"][0]]:
            complaints.add(line, "`target` must be a finite number", "''")
        elif target < 0:
            complaints.add(line, "`target` must be 0 µS or more", f"{target:g}")
    complaints.settle()
    names = {columns.cell(cells, "device") for _, cells in table.rows} if "device" in columns else {"1"}
    return Writes(targets, reached, len(names))


def read_repeated_reads(
    path: Path | str, layout: Layout | None = None, notes: list[str] | None = None
) -> list[RepeatedReads]:
    """Read readings of devices that nothing was done to.

    Args:
        path: The file.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If columns are missing, lines are bad (all of them are named), or no device has enough readings.
    """
    layout, notes = layout or Layout(), [] if notes is None else notes
    table, columns, complaints = _open(
        Path(path), "reads", ("conductance",), ("device", "target", "cycle"), layout, notes
    )
    values = conductances_of(table, columns, columns.places["conductance"][:1], layout, complaints, notes)[
        :, 0
    ]
    complaints.settle()
    series: dict[str, list[MicroSiemens]] = {}
    states = [role for role in ("device", "target", "cycle") if role in columns]
    for (_, cells), value in zip(table.rows, values, strict=True):
        name = ", ".join(columns.cell(cells, role) for role in states) or "1"
        series.setdefault(name, []).append(float(value))
    enough = {name: own for name, own in series.items() if len(own) >= _FEWEST}
    if not enough:
        raise ValueError(
            f"`reads` must hold at least {_FEWEST} readings of a device, but {path} holds fewer of each. Read each "
            "device some tens of times, without a pulse between."
        )
    if len(enough) < len(series):
        notes.append(f"{len(series) - len(enough)} devices with fewer than {_FEWEST} readings left out")
    return [RepeatedReads(name, np.array(own)) for name, own in enough.items()]


def _open(
    path: Path,
    what: str,
    needed: tuple[str, ...],
    optional: tuple[str, ...],
    layout: Layout,
    notes: list[str],
) -> tuple[Table, Columns, Complaints]:
    """Read the table of a file, and find its columns."""
    complaints = Complaints(path, what)
    table = read_table(path, what, is_known, complaints, notes)
    columns = Columns(table, layout, (*optional, *needed))
    missing = [role for role in needed if role not in columns]
    if missing:
        header = ",".join(table.header) or ("without names" if table.rows else "empty")
        raise ValueError(
            f"`{what}` must have the columns {', '.join(needed)}, but the columns of {path} are {header!r}: no "
            f"{missing[0]} is found. Name it: --columns {missing[0]}=..."
        )
    if not table.rows:
        complaints.settle()
        raise ValueError(f"`{what}` must have a row for each reading, but {path} has none below its header.")
    if not columns.is_plain():
        notes.append(columns.said())
    return table, columns, complaints


def _targets(
    table: Table, columns: Columns, layout: Layout, complaints: Complaints, values: Values
) -> Values:
    """Return what was asked for in each row; NaN where nothing is said."""
    if "target" not in columns:
        return np.full(len(values), np.nan)
    place = columns.places["target"][0]
    same = columns.unit(columns.places["conductance"][0]) or layout.unit or ""
    unit = unit_of(same) if not columns.unit(place) else None
    own = Layout(unit=same if unit is not None and unit.base == "S" else None)
    return conductances_of(table, columns, [place], own, complaints, [], may_be_empty=True)[:, 0]
