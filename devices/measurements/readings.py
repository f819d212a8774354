"""Columns of conductances, in whatever unit, as µS."""

from collections.abc import Sequence

import numpy as np

from .complaints import Complaints
from .layout import Columns, Layout, units_of_columns
from .quantities import UNIT_RULE, Unit, doubt_of
from .tables import Table
from .traces import Values


def conductances_of(
    table: Table,
    columns: Columns,
    places: Sequence[int],
    layout: Layout,
    complaints: Complaints,
    notes: list[str],
    *,
    may_be_empty: bool = False,
) -> Values:
    """Read columns of conductances.

    Args:
        table: The table.
        columns: What its columns are.
        places: Which of them to read.
        layout: What the user says of units.
        complaints: Where bad cells are noted.
        notes: Where to say what was taken for the unit.
        may_be_empty: Whether a cell may say nothing.

    Returns:
        In µS, (rows, columns); NaN where a cell says nothing.

    Raises:
        ValueError: If the unit is a current without its voltage, or no memory cell has such conductances.
    """
    result = np.full((len(table.rows), len(places)), np.nan)
    for column, (place, (unit, is_stated)) in enumerate(
        zip(places, units_of_columns(columns, places, layout), strict=True)
    ):
        name = columns.names[place] if columns.names else ""
        unit = unit or _implied(name)
        if unit is not None and not unit.is_whole:
            complaints.settle()
            raise ValueError(
                f"`unit` must say at which voltage a current was read, but the column {name!r} of {table.path} is in "
                f"{unit.text}. Give --unit {unit.text}@0.1V, with your voltage."
            )
        for row, (line, cells) in enumerate(table.rows):
            value = table.number(cells[place])
            if value is not None:
                result[row, column] = value
            elif cells[place] or not may_be_empty:
                complaints.add(line, "`conductance` must be a finite number", repr(cells[place]))
        if unit is not None:
            result[:, column] = unit.to_micro_siemens(result[:, column])
            for infinite in np.flatnonzero(np.isinf(result[:, column])):
                complaints.add(table.rows[infinite][0], "a resistance must be above 0", "0")
        known = result[np.isfinite(result[:, column]), column]
        doubt = doubt_of(known, unit, is_stated) if len(known) else None
        if doubt is not None:
            complaints.settle()
            raise ValueError(
                f"`{table.what}` must be conductances of a memory cell, but in {table.path} {doubt}"
            )
        if column == 0:
            notes.extend(_said(unit, is_stated, known, columns))
    return result


def _implied(name: str) -> Unit | None:
    """Return the unit of a column whose name says that it is no conductance."""
    plain = name.lower().strip()
    if plain.startswith(("resist", "widerstand")) or plain in ("r", "rread"):
        return Unit("Ohm", 1.0, None, "ohm")
    if plain.startswith(("current", "strom")) or plain in ("i", "id", "ids", "iread", "imeas"):
        return Unit("A", 1.0, None, "A")
    return None


def _said(unit: Unit | None, is_stated: bool, known: Values, columns: Columns) -> list[str]:
    if unit is not None and not (is_stated and unit.base == "S" and unit.factor == 1e-6):
        return [f"conductances from {unit.text}"]
    if unit is None and len(known) and known.min() < -0.05 * np.ptp(known):
        return ["no unit stated, and negative values: arbitrary units"]
    if unit is None and not columns.is_plain():
        return ["no unit stated: taken as µS"]
    return []


__all__ = ["UNIT_RULE", "conductances_of"]
