"""What an earlier study of published tables found, whose pieces are not at hand: it fills gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from devices.units import Dimensionless

from ...drawing.sections import Section, Table, sections_from_json
from ..results import numbers_file, read_results
from .tables import Key, PublishedTable, key_of

_STUDY = "published"


@final
@dataclass(frozen=True, kw_only=True)
class KeptResults:
    """The numbers and tables of an earlier study.

    Attributes:
        rows: One for each cell.
        sections: What it told, of which the first is an overview: a line for each table, its hours at the end.
    """

    rows: Sequence[Mapping[str, Any]]
    sections: Sequence[Section]

    @classmethod
    def read(cls, folder: Path) -> "KeptResults":
        """Read the folder of a study.

        Raises:
            FileNotFoundError: If there is no study in it.
            ValueError: If it is damaged.
        """
        results = read_results(numbers_file(_STUDY, folder), _STUDY)
        return cls(rows=results.rows, sections=sections_from_json(results.sections, folder))

    def hours(self, table: PublishedTable) -> Dimensionless:
        """Return the processor hours of a table, in h."""
        overview = self.sections[0].table
        lines = () if overview is None else overview.rows
        return sum(float(line[-1]) for line in lines if line[0] == table.name)

    def values(self, table: PublishedTable) -> dict[Key, tuple[Dimensionless | None, str]]:
        """Return by cell of a table what was computed, and with which training where that was said.

        Also cells that were not computed, if something was said of them.
        """
        names = [name for name, _ in table.cells[0].key]
        found = {}
        for row in self.rows:
            computed, said = row["computed"], row.get("remark", "")
            if row["table"] == table.name and (computed is not None or said):
                found[key_of({name: row[name] for name in names})] = (computed, said)
        return found

    def completed(self, sections: Sequence[Section], titles: Sequence[str]) -> list[Section]:
        """Return sections with what the earlier study has of the same title: lines that they lack, or all of it.

        Args:
            sections: Those of pieces that are at hand.
            titles: Which of the earlier sections belong to the same table.
        """
        return joined(sections, [section for section in self.sections if section.title in titles])


def joined(sections: Sequence[Section], others: Sequence[Section]) -> list[Section]:
    """Return sections and those of others whose titles they lack; where both have a title, with the lines of both."""
    found = {section.title: section for section in sections}
    for other in others:
        own = found.get(other.title)
        found[other.title] = other if own is None else _with_lines(own, other)
    return list(found.values())


def is_kept(place: Path) -> bool:
    """Say whether a folder holds a study of published tables."""
    return place.is_dir() and numbers_file(_STUDY, place).exists()


def _with_lines(own: Section, earlier: Section) -> Section:
    """Add the lines of an earlier table that another lacks, by their words at the left."""
    if own.table is None or earlier.table is None:
        return own
    sides = own.table.sides
    words = len(sides) - len(sides.lstrip("l"))
    have = {tuple(row[:words]) for row in own.table.rows}
    more = [row for row in earlier.table.rows if tuple(row[:words]) not in have]
    table = Table(header=own.table.header, rows=[*own.table.rows, *more], align=own.table.align)
    return replace(own, table=table)
