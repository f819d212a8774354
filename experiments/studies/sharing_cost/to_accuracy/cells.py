"""Curves of a scheme's seeds together, where they reach what, and which schemes are on the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from ..rows import Cell, Row
from .curve import PricedCurve, Reached, front, until, until_best

Price = Literal["energy_uJ", "seconds"]
PRICES: Final[tuple[Price, ...]] = ("energy_uJ", "seconds")


@final
@dataclass(frozen=True)
class MeanCurve:
    """The curves of some seeds, measurement by measurement.

    Attributes:
        cost: Mean of energy in µJ or time in s.
        accuracy: Mean over the seeds, a fraction.
        spread: Standard deviation over them; 0 for one seed.
    """

    cost: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    spread: NDArray[np.float64]


def learning_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return the schemes of which a curve is known, by those seeds that learned."""
    found = []
    for cell in cells:
        rows = tuple(row for row in cell.rows if row.curve is not None and row.did_learn)
        if rows:
            found.append(Cell(rows))
    return found


def without_curve(cells: Sequence[Cell]) -> list[Row]:
    """Return the runs that learned on devices, but keep no curve: an earlier version did them."""
    return [row for cell in cells for row in cell.rows if row.training is not None and row.curve is None]


def mean_curve(cell: Cell, price: Price) -> MeanCurve:
    """Return the mean over the seeds; all of them are measured after the same steps."""
    curves = _curves(cell)
    length = min(len(curve.steps) for curve in curves)
    costs = np.array([getattr(curve, price)[:length] for curve in curves])
    accuracies = np.array([curve.accuracy[:length] for curve in curves])
    spread = accuracies.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(length)
    return MeanCurve(costs.mean(axis=0), accuracies.mean(axis=0), spread)


def reached(cell: Cell, target: float | None) -> list[Reached | None]:
    """Return, for each seed, where it reaches an accuracy in per cent, or its best for None."""
    curves = _curves(cell)
    if target is None:
        return [until_best(curve) for curve in curves]
    return [until(curve, target / 100) for curve in curves]


def front_of(cells: Sequence[Cell], price: Price) -> list[tuple[float, float, Cell]]:
    """Return the Pareto front of the mean curves: (cost, accuracy, scheme), from the cheapest on."""
    curves = [mean_curve(cell, price) for cell in cells]
    points = front([(curve.cost.tolist(), curve.accuracy.tolist()) for curve in curves])
    return [(cost, accuracy, cells[number]) for cost, accuracy, number in points]


def _curves(cell: Cell) -> list[PricedCurve]:
    return [row.curve for row in cell.rows if row.curve is not None]
