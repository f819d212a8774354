"""Which classes a network takes for which, as tables: part of each class that is right, and every answer by class."""

from collections.abc import Sequence
from typing import Final

from crossbar.cost.tables import aligned

from ..data.confusion import Counts, State, by_class, most_taken_for
from ..runs.result import Result
from ..support.durations import format_time
from ..support.statistics import NOTHING
from .sections import Section, Table

MOST_SHOWN: Final = 20
"""Classes beyond which a matrix of numbers is no longer read."""


def name_of(state: State, result: Result) -> str:
    """Return what tables and figures call those whose answers were counted."""
    if state == "digital":
        return "digital"
    if state == "as_trained":
        return "as trained"
    chips = len(next(iter(result.accuracy.values())))
    reads = "reading" if result.has_learned_on_devices else "chip"
    return f"{chips} {reads}{'s' if chips > 1 else ''} after {format_time(result.times[-1])}"


def class_table(result: Result) -> str:
    """Write the part of each class that is right as aligned plain text; empty where no classes were counted."""
    if not result.confusion or _classes(result) > MOST_SHOWN:
        return ""
    return aligned([_header(result), *_rows(result)], "<" + ">" * (len(_header(result)) - 2) + "<")


def class_sections(result: Result) -> list[Section]:
    """Return the sections of a page: accuracy of each class, and the confusion matrices; none without classes.

    Their plain numbers, a line for each class and answer that was given, are what a CSV file holds.
    """
    if not result.confusion:
        return []
    header = _header(result)
    notes = ["In % of the test images of a class. Most taken for: by the devices, where there are any."]
    if result.data.endswith("/"):
        notes.append("Classes are numbered by the names of their folders, in order, from 0.")
    sections = [
        Section(
            title="Class by class",
            table=Table(header=header, rows=_rows(result), align="l" + "r" * (len(header) - 2) + "l"),
            notes=notes,
            records=[
                {"answers_of": state, "class": own, "answer": answer, "images": number}
                for state, counts in result.confusion.items()
                for own, line in enumerate(counts)
                for answer, number in enumerate(line)
                if number
            ],
        )
    ]
    if _classes(result) <= MOST_SHOWN:
        for state, counts in result.confusion.items():
            sections.append(
                Section(
                    title=f"Answers in numbers: {name_of(state, result)}", table=_matrix(counts), folded=True
                )
            )
    return sections


def _classes(result: Result) -> int:
    return len(next(iter(result.confusion.values())))


def _header(result: Result) -> list[str]:
    return ["class", "images", *(name_of(state, result) for state in result.confusion), "most taken for"]


def _rows(result: Result) -> list[list[str]]:
    columns = [by_class(counts) for counts in result.confusion.values()]
    images = [sum(line) for line in result.confusion["digital"]]
    last = list(result.confusion.values())[-1]
    return [
        [str(own), str(images[own]), *(_percent(column[own]) for column in columns), _taken_for(last, own)]
        for own in range(len(images))
    ]


def _taken_for(counts: Counts, own: int) -> str:
    wrong = most_taken_for(counts, own)
    return NOTHING if wrong is None else f"{wrong[0]} ({_percent(wrong[1] / sum(counts[own]))})"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"


def _matrix(counts: Sequence[Sequence[int]]) -> Table:
    rows = [[f"class {own}", *map(str, line)] for own, line in enumerate(counts)]
    return Table(header=["is, taken for", *map(str, range(len(counts)))], rows=rows)
