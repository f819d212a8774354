"""Tables of `xbar share`: accuracies before and after kernels are made one, what a past apart is worth, and takes."""

from collections.abc import Sequence
from typing import final

from devices.units import Dimensionless

from ...drawing.sections import Table
from ...support.statistics import NOTHING, Mean
from ..seeds import Seeds, by_key
from .config import Start
from .rows import Row


@final
class Cell(Seeds[Row]):
    """The runs that differ in their seeds only."""

    def accuracy(self) -> str:
        """Write test accuracy, marked where networks did not learn."""
        return _percent(self.of(lambda row: row.accuracy)) + self.mark


def cells_of(rows: Sequence[Row]) -> list[Cell]:
    """Return the runs, those of all seeds together."""
    return [
        Cell(group)
        for group in by_key(rows, lambda row: (row.mode, row.shift, row.kind, row.start, row.epochs))
    ]


def table(rows: Sequence[Row]) -> Table:
    """Return a line for each mode, shift and start, and one for a tile from nothing."""
    cells = cells_of(rows)
    retrained = _retrained(rows)
    lines = []
    for first in _settings(cells):
        tile = _one_tile(cells, first)
        longest = max(tile)
        beginnings = [NOTHING, NOTHING, NOTHING, *(_accuracy(tile.get(epochs)) for epochs in retrained)]
        lines.append([*_names(first), "one tile from nothing", *beginnings, tile[longest].accuracy()])
        for start in _starts(rows):
            apart = _apart(cells, first, start)
            again = _again(cells, first, start)
            lines.append(
                [
                    *_names(first),
                    f"apart, started {start}",
                    "" if apart is None else apart.accuracy(),
                    "" if apart is None else _number(apart.of(lambda row: row.cosine)),
                    "" if apart is None else _percent(apart.of(lambda row: row.made_one)),
                    *(_accuracy(again.get(epochs)) for epochs in retrained),
                    NOTHING,
                ]
            )
    header = ["learned", "shifts", "kernels", "apart", "cosine distance", "made one"]
    header += [f"{_epochs(epochs)} on" for epochs in retrained]
    return Table(header=[*header, "one tile, all epochs"], rows=lines, align="lll" + "r" * (len(header) - 2))


def gain_of_retraining(rows: Sequence[Row]) -> Table:
    """Return what a tile gains that starts from the mean of kernels that learned apart."""
    cells, retrained = cells_of(rows), _retrained(rows)
    lines = []
    for first in _settings(cells):
        tile = _one_tile(cells, first)
        for start in _starts(rows):
            again = _again(cells, first, start)
            gains = [_difference(again.get(epochs), tile.get(epochs)) for epochs in retrained]
            lost = _difference(again.get(max(retrained)), tile[max(tile)])
            lines.append([*_names(first), start, *gains, lost])
    header = ["learned", "shifts", "started", *(f"after {_epochs(epochs)}" for epochs in retrained)]
    last = f"after {max(retrained)}, against one tile for all epochs"
    return Table(header=[*header, last], rows=lines, align="lll" + "r" * (len(retrained) + 1))


def bill_of_sharing(rows: Sequence[Row]) -> Table | None:
    """Return what both parts of the training take, against one tile from the start; None if no chip learned."""
    cells, retrained = cells_of([row for row in rows if row.energy is not None]), _retrained(rows)
    lines = []
    for first in _settings(cells):
        tile = _one_tile(cells, first)
        longest = tile[max(tile)]
        if longest.of(_energy) is None:
            continue
        lines.append(
            [*_names(first), "one tile from nothing", _sums([longest]), *([NOTHING] * len(retrained))]
        )
        for start in _starts(rows):
            apart, again = _apart(cells, first, start), _again(cells, first, start)
            before = [apart, tile.get(1) if start == "together" else None]
            sums = [_sums([*before, again.get(epochs)]) for epochs in retrained]
            lines.append([*_names(first), f"apart, started {start}", _sums(before), *sums])
    if not lines:
        return None
    header = [
        "learned",
        "shifts",
        "kernels",
        "first part",
        *(f"and {_epochs(epochs)} on" for epochs in retrained),
    ]
    return Table(header=header, rows=lines, align="lll" + "r" * (len(retrained) + 1))


def curves_of(rows: Sequence[Row]) -> list[tuple[Cell, dict[str, dict[int, Mean]]]]:
    """Return, for each mode and shift, accuracies against the epochs since kernels were made one, by beginning."""
    cells, found = cells_of(rows), []
    for first in _settings(cells):
        lines = {"from nothing": _line(_one_tile(cells, first), _retrained(rows))}
        for start in _starts(rows):
            apart = _apart(cells, first, start)
            line = _line(_again(cells, first, start), _retrained(rows))
            at_once = None if apart is None else apart.of(lambda row: row.made_one)
            lines[start] = line if at_once is None else {0: at_once, **line}
        found.append((first, lines))
    return found


def _line(by_epochs: dict[int, Cell], wanted: Sequence[int]) -> dict[int, Mean]:
    means = {
        epochs: by_epochs[epochs].of(lambda row: row.accuracy) for epochs in wanted if epochs in by_epochs
    }
    return {epochs: mean for epochs, mean in means.items() if mean is not None}


def _settings(cells: Sequence[Cell]) -> list[Cell]:
    """Return a cell of one tile for each mode and shift."""
    return [
        group[0]
        for group in by_key(
            (cell for cell in cells if cell.first.kind == "one tile"),
            lambda cell: (cell.first.mode, cell.first.shift),
        )
    ]


def _names(cell: Cell) -> list[str]:
    return [cell.first.mode, f"{cell.first.shift:g}"]


def _starts(rows: Sequence[Row]) -> list[Start]:
    return list(dict.fromkeys(row.start for row in rows if row.start is not None))


def _retrained(rows: Sequence[Row]) -> list[int]:
    return sorted({row.epochs for row in rows if row.kind == "one afterwards"})


def _alike(cells: Sequence[Cell], of: Cell) -> list[Cell]:
    return [cell for cell in cells if (cell.first.mode, cell.first.shift) == (of.first.mode, of.first.shift)]


def _one_tile(cells: Sequence[Cell], of: Cell) -> dict[int, Cell]:
    return {cell.first.epochs: cell for cell in _alike(cells, of) if cell.first.kind == "one tile"}


def _apart(cells: Sequence[Cell], of: Cell, start: Start) -> Cell | None:
    found = (c for c in _alike(cells, of) if c.first.kind == "apart" and c.first.start == start)
    return next(found, None)


def _again(cells: Sequence[Cell], of: Cell, start: Start) -> dict[int, Cell]:
    return {
        cell.first.epochs: cell
        for cell in _alike(cells, of)
        if cell.first.kind == "one afterwards" and cell.first.start == start
    }


def _epochs(number: int) -> str:
    return f"{number} epoch{'' if number == 1 else 's'}"


def _energy(row: Row) -> float | None:
    return row.energy


def _seconds(row: Row) -> float | None:
    return row.seconds


def _difference(cell: Cell | None, other: Cell | None) -> str:
    if cell is None or other is None:
        return NOTHING
    by_seed: dict[int, Dimensionless] = {row.seed: row.accuracy for row in other.rows}
    mean = Mean.of_differences((row.accuracy, by_seed.get(row.seed)) for row in cell.rows)
    if mean is None:
        return NOTHING
    return f"{100 * mean.value:+.1f}" + ("" if mean.reach is None else f" ± {100 * mean.reach:.1f}")


def _accuracy(cell: Cell | None) -> str:
    return NOTHING if cell is None else cell.accuracy()


def _percent(mean: Mean | None) -> str:
    return NOTHING if mean is None else mean.percent()


def _number(mean: Mean | None) -> str:
    return NOTHING if mean is None else f"{mean.value:.3f}"


def _sums(cells: Sequence[Cell | None]) -> str:
    """Write energy and time of trainings one after another."""
    joules, seconds = (
        sum(mean.value for cell in cells if cell is not None and (mean := cell.of(quantity)) is not None)
        for quantity in (_energy, _seconds)
    )
    return f"{1e3 * joules:.3g} mJ, {1e3 * seconds:.3g} ms"
