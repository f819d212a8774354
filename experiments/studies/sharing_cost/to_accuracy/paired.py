"""Schemes against one of them, seed by seed: what a scheme gains or loses in accuracy, and what it takes instead."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from ....drawing.sections import Table
from ....support.statistics import NOTHING, Mean
from ..rows import FRESH, Cell, Row
from .curve import Reached, until, until_best

EXACT: Final = "time_multiplexed"
"""The scheme that others are compared with, where it is there: one kernel, exactly shared, on one tile."""


def paired_table(group: Sequence[Cell], targets: Sequence[float]) -> Table | None:
    """Return a line for each scheme, with differences and ratios to that of exact sharing; None without others.

    Args:
        group: The schemes of one device and mechanism, by those seeds that learned.
        targets: Accuracies in per cent.
    """
    exact = next((cell for cell in group if cell.scheme == EXACT), None)
    if exact is None or len(group) < 2:
        return None
    rows = []
    for cell in group:
        if cell is exact:
            continue
        pairs = _pairs(cell, exact)
        rows.append(
            [
                f"`{cell.scheme}`",
                str(len(pairs)),
                _difference([(_best(a).accuracy, _best(b).accuracy) for a, b in pairs]),
                _difference([(a.accuracy.get(FRESH), b.accuracy.get(FRESH)) for a, b in pairs]),
                *(_ratio(pairs, target, lambda at: at.energy_uJ) for target in targets),
                *(_ratio(pairs, target, lambda at: at.seconds) for target in targets),
            ]
        )
    header = ["scheme", "pairs", "best validation, points", "test, points"]
    header += [f"{what} until {target:g} %" for what in ("energy", "time") for target in targets]
    return Table(header=header, rows=rows)


def _pairs(cell: Cell, exact: Cell) -> list[tuple[Row, Row]]:
    of_exact = {row.seed: row for row in exact.rows}
    return [(row, of_exact[row.seed]) for row in cell.rows if row.seed in of_exact]


def _best(row: Row) -> Reached:
    assert row.curve is not None
    return until_best(row.curve)


def _difference(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    mean = Mean.of(100 * (a - b) if a is not None and b is not None else None for a, b in pairs)
    if mean is None:
        return NOTHING
    return f"{mean.value:+.1f}" + ("" if mean.reach is None else f" ± {mean.reach:.1f}")


def _ratio(pairs: Sequence[tuple[Row, Row]], target: float, price: Callable[[Reached], float]) -> str:
    """Return the geometric mean of what a scheme takes over what exact sharing takes, with its interval."""
    logs = []
    for a, b in pairs:
        assert a.curve is not None
        assert b.curve is not None
        mine, other = until(a.curve, target / 100), until(b.curve, target / 100)
        if mine is not None and other is not None:
            logs.append(math.log(price(mine) / price(other)))
    mean = Mean.of(logs)
    if mean is None:
        return NOTHING
    text = f"x {math.exp(mean.value):.2g}"
    if mean.reach is not None:
        text += f" ({math.exp(mean.value - mean.reach):.2g} to {math.exp(mean.value + mean.reach):.2g})"
    return text if len(logs) == len(pairs) else f"{text}, {len(logs)} of {len(pairs)}"
