"""What came out of the runs of a sweep: a few numbers each, and means over their seeds."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from crossbar.cost.tables import with_prefix
from devices.units import Dimensionless

from ...commands.run_bill import RunBill
from ...runs.ledger_file import RunEvents
from ...runs.result import Result
from ...support.durations import format_time
from ...support.json_files import read_json
from ...support.statistics import NOTHING, Mean, number, percent
from ..seeds import by_key
from .runs import SweptRun

SEED: Final = "seed"
AS_TRAINED: Final = "as trained"
AT_LAST: Final = "after the last age"
STEP: Final = "energy of a step"
IMAGE: Final = "energy of an image"
_MICRO: Final = 1e-6
# Of an answer that is a table of what was measured, the most that are shown.
_MOST_NUMBERS: Final = 4

Kind = Literal["score", "energy", "number"]


@final
@dataclass(frozen=True)
class Quantity:
    """A number that came out of a run.

    Attributes:
        values: One, or one for each chip.
        kind: How it is written: a score in per cent, an energy in J, a plain number.
        is_extrapolated: Whether it lies beyond the times for which a device was measured.
    """

    values: tuple[float, ...]
    kind: Kind
    is_extrapolated: bool = False

    @property
    def mean(self) -> float:
        """The number, or the mean over the chips."""
        return statistics.fmean(self.values)

    @property
    def text(self) -> str:
        """How a table shows it, with its spread over the chips."""
        return _written(self.kind, self.values) + (" *" if self.is_extrapolated else "")


def _written(kind: Kind, values: Sequence[float]) -> str:
    """Write a mean, with its standard deviation if there are several values."""
    if kind == "score":
        return percent(values)
    mean = Mean.of_all(values)
    parts = [mean.value, *([mean.std] if mean.std else [])]
    return " ± ".join(with_prefix(part, "J") if kind == "energy" else number(part) for part in parts)


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """A finished run of a sweep.

    Attributes:
        run: Which one.
        folder: Where all of it lies: the run's folder, or that of its study.
        did_learn: Whether its network learned; None where it has none of its own.
        shown: What its line of the table shows, by the titles of columns.
        compared: What figures show, at most two, by what they are called in every run.
        summary: What its study found, in a sentence.
        records: The lines of its answer, if that is a table.
        priced_by: The hardware profile of its energies.
    """

    run: SweptRun
    folder: str
    did_learn: bool | None = None
    shown: Mapping[str, Quantity] = field(default_factory=dict)
    compared: Mapping[str, Quantity] = field(default_factory=dict)
    summary: str = ""
    records: Sequence[Mapping[str, Any]] = ()
    priced_by: str | None = None

    @classmethod
    def read(cls, run: SweptRun) -> "Row":
        """Read what a finished run has written.

        Raises:
            ValueError: If it is damaged.
        """
        answer: Any = read_json(run.answer_file)
        if run.run is not None:
            return cls._of_result(run, Result.from_json(answer))
        told = answer if isinstance(answer, dict) else {"rows": answer}
        records = [line for line in _table_in(told) if isinstance(line, dict)]
        numbers = _numbers_in(told) or (_numbers_in(records[0]) if len(records) == 1 else {})
        return cls(
            run=run,
            shown=numbers,
            compared=dict(list(numbers.items())[:2]),
            summary=str(told.get("summary", "")),
            records=records,
            folder=str(told.get("configuration", {}).get("out", run.answer_file)),
        )

    @classmethod
    def _of_result(cls, run: SweptRun, result: Result) -> "Row":
        shown = {AS_TRAINED: Quantity(result.as_trained or (result.digital_accuracy,), "score")}
        compared = dict(shown)
        if result.times:
            name = next((name for name in result.accuracy if name != "none"), "none")
            for place in sorted({0, len(result.times) - 1}):
                time = result.times[place]
                scores = tuple(chip[place] for chip in result.accuracy[name])
                compared[AT_LAST] = Quantity(scores, "score", time in result.extrapolated)
                shown[f"after {format_time(time)}"] = compared[AT_LAST]
        prices, profile = _prices(run) if result.did_learn else ({}, None)
        return cls(
            run=run,
            folder=str(run.answer_file.parent),
            did_learn=result.did_learn,
            shown={**shown, **prices},
            compared=compared,
            priced_by=profile,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return {
            "values": dict(self.run.values),
            "command": self.run.line,
            "folder": self.folder,
            "answer": str(self.run.answer_file),
            "did_learn": self.did_learn,
            **{name: quantity.mean for name, quantity in {**self.shown, **self.compared}.items()},
            **({"summary": self.summary} if self.summary else {}),
        }


def _prices(run: SweptRun) -> tuple[dict[str, Quantity], str | None]:
    """Return the energies of a step and of an image where they are known, and by whom they are priced."""
    assert run.run is not None
    assert run.ledger_file is not None
    bill = RunBill.of(RunEvents.read(run.ledger_file), run.run, run.packing)
    if bill is None:
        return {}, None
    found = {}
    for name, phase, unit in ((STEP, "training", "steps"), (IMAGE, "inference", "images")):
        count = getattr(bill.ledgers[phase], unit) if phase in bill.bills else 0
        if count:
            found[name] = Quantity((_MICRO * bill.bills[phase].with_digital / count,), "energy")
    return found, bill.profile.name


def _numbers_in(answer: Mapping[str, Any]) -> dict[str, Quantity]:
    """Return the first plain numbers of an answer."""
    found = {
        name.replace("_", " "): Quantity((float(value),), "number")
        for name, value in answer.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return dict(list(found.items())[:_MOST_NUMBERS])


def _table_in(answer: Mapping[str, Any]) -> list[Any]:
    """Return what stands for the lines of an answer: its rows, or the first list that it has."""
    lists = (value for value in answer.values() if isinstance(value, list))
    found: list[Any] = answer["rows"] if isinstance(answer.get("rows"), list) else next(lists, [])
    return found


@final
@dataclass(frozen=True)
class Seeds:
    """Runs of a sweep that differ in their seeds only.

    Attributes:
        rows: At least one.
    """

    rows: tuple[Row, ...]

    @property
    def values(self) -> dict[str, str]:
        """What they have in common of the swept values."""
        return {name: value for name, value in self.rows[0].run.values.items() if name != SEED}

    def of(self, name: str, where: Literal["shown", "compared"] = "shown") -> Mean | None:
        """Return the mean of a quantity over the seeds that have it, or None."""
        found = (getattr(row, where).get(name) for row in self.rows)
        return Mean.of(None if quantity is None else quantity.mean for quantity in found)

    def text(self, name: str) -> str:
        """Write the mean of a quantity, and its standard deviation over the seeds."""
        found = [row.shown[name] for row in self.rows if name in row.shown]
        return _written(found[0].kind, [quantity.mean for quantity in found]) if found else NOTHING

    @property
    def did_learn(self) -> list[bool]:
        """Of each seed whether its network learned; empty where there is none."""
        return [row.did_learn for row in self.rows if row.did_learn is not None]


def seeds_of(rows: Sequence[Row]) -> list[Seeds]:
    """Put runs together that differ in their seeds only."""
    groups = by_key(rows, lambda row: tuple((k, v) for k, v in row.run.values.items() if k != SEED))
    return [Seeds(group) for group in groups]


def is_geometric(values: Sequence[Dimensionless]) -> bool:
    """Say whether numbers are spread evenly on a logarithmic axis rather than on a linear one.

    Example:
        >>> is_geometric([0.1, 0.3, 1]), is_geometric([1, 2, 3]), is_geometric([0, 1, 10]), is_geometric([1, 100])
        (True, False, False, True)
    """
    if min(values) <= 0:
        return False
    ordered = sorted(values)
    steps = [b - a for a, b in itertools.pairwise(ordered)]
    ratios = [math.log(b / a) for a, b in itertools.pairwise(ordered)]
    if len(steps) < 2:
        return ordered[-1] >= 10 * ordered[0]
    return statistics.pstdev(ratios) / statistics.fmean(ratios) < statistics.pstdev(steps) / statistics.fmean(
        steps
    )
