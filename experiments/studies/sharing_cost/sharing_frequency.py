"""How often copies must be made equal to keep the accuracy of exact sharing, and what that takes."""

import math
from collections.abc import Sequence
from typing import Final, Literal

from ...drawing.sections import Section, Table
from ...support.statistics import NOTHING, Mean
from ..seeds import by_key
from .figures import copies_of, sync_every
from .rows import FRESH, Cell, accuracy_at, energy_per_step

KEPT: Final = 0.99
"""Share of the accuracy of exact sharing that is to be kept."""
_TITLE: Final = "How often copies must be made equal"
_TEXT: Final = (
    "In situ, against one tile for all locations (exact sharing): test accuracies and, seed by seed, how much they "
    f"exceed {KEPT:.0%} of that of one tile, means with 95 % intervals (Student's t). Kept: the whole interval lies "
    "above 0; lost: below."
)
Verdict = Literal["kept", "lost", "open"]


def frequency_sections(cells: Sequence[Cell]) -> list[Section]:
    """Return a table for every device on which copies were made equal at two intervals or more.

    Args:
        cells: All cells of the study; those in situ count.
    """
    found: list[Section] = []
    in_situ = [cell for cell in cells if cell.mechanism == "in-situ"]
    for group in by_key(in_situ, lambda cell: cell.device):
        exact = next((cell for cell in group if cell.scheme.startswith("time_multiplexed")), None)
        copies = [cell for cell in group if cell.scheme.startswith("replicated")]
        for of_number in by_key(copies, lambda cell: copies_of(cell.scheme)):
            ordered = sorted(of_number, key=lambda cell: sync_every(cell.scheme) or math.inf)
            if exact is None or sum(sync_every(cell.scheme) > 0 for cell in ordered) < 2:
                continue
            table = Table(
                header=[
                    "made equal",
                    "accuracy, %",
                    "above 99 % of one tile, points",
                    "verdict",
                    "energy of a step, µJ",
                ],
                rows=[_line(cell, exact) for cell in (*ordered, exact)],
                align="lrrlr",
            )
            number = copies_of(ordered[0].scheme)
            name = f"{number} copies" if number else "a copy at every location"
            found.append(
                Section(
                    title="" if found else _TITLE,
                    text=(*(() if found else (_TEXT,)), f"{exact.device}, {name}: {_law(ordered, exact)}"),
                    table=table,
                )
            )
    return found


def difference(cell: Cell, exact: Cell) -> Mean | None:
    """Return by how many points accuracies exceed `KEPT` of those of exact sharing, over the seeds that both have."""
    quantity = accuracy_at(FRESH)
    of_exact = {row.seed: quantity(row) for row in exact.rows}
    pairs = [(quantity(row), of_exact.get(row.seed)) for row in cell.rows]
    return Mean.of(a - KEPT * b if a is not None and b is not None else None for a, b in pairs)


def verdict(cell: Cell, exact: Cell) -> Verdict:
    """Say whether a scheme keeps the accuracy of exact sharing; one seed leaves it open."""
    mean = difference(cell, exact)
    if mean is None or mean.reach is None or abs(mean.value) <= mean.reach:
        return "open"
    return "kept" if mean.value > 0 else "lost"


def _law(copies: Sequence[Cell], exact: Cell) -> str:
    by_verdict: dict[Verdict, list[str]] = {}
    for cell in copies:
        by_verdict.setdefault(verdict(cell, exact), []).append(_how_often(cell))
    names = {"kept": "accuracy is kept", "lost": "lost", "open": "not decided by these seeds"}
    parts = [f"{names[key]} if made equal {', '.join(by_verdict[key])}" for key in names if key in by_verdict]
    return "; ".join(parts) + "."


def _how_often(cell: Cell) -> str:
    period = sync_every(cell.scheme)
    if not period:
        return "never"
    return "at every step" if period == 1 else f"every {period} steps"


def _line(cell: Cell, exact: Cell) -> list[str]:
    accuracy, energy = cell.of(accuracy_at(FRESH)), cell.of(energy_per_step)
    shown = [
        NOTHING if accuracy is None else f"{accuracy.value:.1f}",
        NOTHING,
        NOTHING,
        NOTHING if energy is None else f"{energy.value:.3g}",
    ]
    if cell is exact:
        return ["one tile", *shown]
    mean = difference(cell, exact)
    if mean is not None:
        shown[1] = f"{mean.value:+.1f}" + ("" if mean.reach is None else f" ± {mean.reach:.1f}")
        shown[2] = verdict(cell, exact)
    return [_how_often(cell) + cell.mark, *shown]
