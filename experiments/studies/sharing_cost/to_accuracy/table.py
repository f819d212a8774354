"""The tables of what reaching an accuracy costs: energy, time and wear until each target and until the best."""

from collections.abc import Callable, Sequence
from typing import Final

from ....drawing.sections import Section, Table
from ....support.statistics import NOTHING, bare_percent, mean_and_std, number
from ...seeds import by_key
from ..rows import FRESH, MECHANISM_NAMES, Cell, Row, scheme_label
from .cells import PRICES, front_of, learning_cells, reached, without_curve
from .curve import LEAST_GAIN, PATIENCE, Reached, until, until_best
from .paired import paired_table

TITLE: Final = "What reaching an accuracy costs"
APPENDIX: Final = "Appendix: what a step and an image cost"
NOT_REACHED: Final = "not reached"
Quantity = Callable[[Row, Reached], float | None]
_QUANTITIES: Final[tuple[tuple[str, Quantity], ...]] = (
    ("Energy, mJ", lambda _, at: 1e-3 * at.energy_uJ),
    ("Time, s", lambda _, at: at.seconds),
    ("Area-time (of all arrays, all the time), mm² s", lambda row, at: row.unpacked.area_mm2 * at.seconds),
    ("Wear, % of a device's life", lambda _, at: None if at.wear is None else 100 * at.wear),
)
_PAIRED: Final = (
    "Against one tile, seed by seed: differences of accuracies, and what a scheme takes over what one tile takes "
    "(geometric means), with 95 % intervals (Student's t):"
)
_PRICE_NAMES: Final = {"energy_uJ": "energy", "seconds": "time"}


def accuracy_sections(cells: Sequence[Cell], targets: Sequence[float]) -> list[Section]:
    """Return the sections; none if nothing learned on a chip.

    Args:
        cells: The schemes.
        targets: Accuracies in per cent.
    """
    known, unknown = learning_cells(cells), without_curve(cells)
    sections = []
    if known:
        sections.append(Section(title=TITLE, text=(_rules(),)))
    for group in by_key(known, lambda cell: (cell.device, cell.mechanism)):
        first = group[0]
        text = f"{first.device}, {MECHANISM_NAMES[first.mechanism]} (profile {first.first.profile}):"
        sections.append(Section(text=(text,), table=_accuracies(group)))
        for title, quantity in _QUANTITIES:
            if any(quantity(row, at) is not None for cell in group for row, at in _places(cell, None) if at):
                sections.append(Section(text=(f"{title}, until",), table=_table(group, targets, quantity)))
        paired = paired_table(group, targets)
        if paired is not None:
            sections.append(Section(text=(_PAIRED,), table=paired))
        sections.append(Section(items=_fronts(group)))
    if unknown:
        sections.append(
            Section(
                warnings=(
                    f"{len(unknown)} of the runs keep no curve of their accuracy, as an earlier version trained "
                    "them: what reaching an accuracy cost is not known of them. Repeat the study to train them anew.",
                )
            )
        )
    if any(row.training is not None for cell in cells for row in cell.rows):
        sections.append(Section(title=APPENDIX))
    return sections


def columns_of(row: Row, targets: Sequence[float]) -> dict[str, object]:
    """Return what a run's curve says as plain columns, such as "until_90_uJ"; nothing where there is no curve."""
    if row.curve is None:
        return {}
    columns: dict[str, object] = {}
    places = {f"{target:g}": until(row.curve, target / 100) for target in targets}
    for name, at in {**places, "best": until_best(row.curve)}.items():
        columns[f"until_{name}_accuracy"] = None if at is None else at.accuracy
        columns[f"until_{name}_steps"] = None if at is None else at.steps
        columns[f"until_{name}_uJ"] = None if at is None else at.energy_uJ
        columns[f"until_{name}_s"] = None if at is None else at.seconds
        columns[f"until_{name}_mm2_s"] = None if at is None else row.unpacked.area_mm2 * at.seconds
        columns[f"until_{name}_wear"] = None if at is None else at.wear
    return columns


def _rules() -> str:
    return (
        "From the first training step until a validation accuracy, with all that devices, converters, memories and "
        "digital units do meanwhile; the passes over the validation images are not counted, nor is writing the first "
        "weights. An accuracy is reached at the first measurement that is not below it. Best: the highest before "
        f"{PATIENCE} measurements in a row brought less than {100 * LEAST_GAIN:g} points more; + where the training "
        "ended before. Mean ± standard deviation over the seeds that reach it; how many do, if not all."
    )


def _accuracies(group: Sequence[Cell]) -> Table:
    rows = []
    for cell in group:
        at = [one for one in reached(cell, None) if one is not None]
        mark = "+" if any(one.is_end for one in at) else ""
        steps, spread = mean_and_std([float(one.steps) for one in at])
        rows.append(
            [
                f"`{cell.scheme}`",
                f"{bare_percent(one.accuracy for one in at)}{mark}",
                f"{steps:.0f}" + ("" if spread is None else f" ± {spread:.0f}"),
                bare_percent(row.accuracy.get(FRESH) for row in cell.rows),
                str(len(at)),
            ]
        )
    header = ["scheme", "best validation, %", "after steps", "test as trained, %", "seeds"]
    return Table(header=header, rows=rows)


def _places(cell: Cell, target: float | None) -> list[tuple[Row, Reached | None]]:
    return list(zip(cell.rows, reached(cell, target), strict=True))


def _table(group: Sequence[Cell], targets: Sequence[float], quantity: Quantity) -> Table:
    rows = [
        [f"`{cell.scheme}`", *(_entry(_places(cell, target), quantity) for target in (*targets, None))]
        for cell in group
    ]
    return Table(header=["scheme", *(f"{target:g} %" for target in targets), "best"], rows=rows)


def _entry(places: Sequence[tuple[Row, Reached | None]], quantity: Quantity) -> str:
    found = [(row, at) for row, at in places if at is not None]
    if not found:
        return NOT_REACHED
    values = [value for row, at in found if (value := quantity(row, at)) is not None]
    if not values:
        return NOTHING
    mean, spread = mean_and_std(values)
    text = number(mean) if spread is None else f"{number(mean)} ± {number(spread)}"
    return text if len(found) == len(places) else f"{text} ({len(found)} of {len(places)})"


def _fronts(group: Sequence[Cell]) -> list[str]:
    """Say which scheme reaches an accuracy for least, from low accuracies to the highest."""
    items = []
    for price in PRICES:
        highest: list[tuple[str, float]] = []
        for _, accuracy, cell in front_of(group, price):
            name = scheme_label(cell.scheme)
            if highest and highest[-1][0] == name:
                highest.pop()
            highest.append((name, accuracy))
        # Where networks have hardly learned, who is ahead is chance.
        told = [(name, accuracy) for name, accuracy in highest if accuracy >= highest[-1][1] / 2]
        words = "; ".join(f"{name} up to {100 * accuracy:.1f} %" for name, accuracy in told)
        items.append(f"Pareto front, least {_PRICE_NAMES[price]} for an accuracy: {words}.")
    return items
