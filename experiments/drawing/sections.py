"""What a study or a run has to say, part by part: from this Markdown, pages, JSON and CSV are written."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, final

from devices.files import read_regular

from ..support.typed_values import typed

__all__ = ["Picture", "Section", "Table", "csv_of", "markdown_of", "sections_from_json", "sections_to_json"]


@final
@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        header: Titles of the columns.
        rows: The cells, line by line.
        text_columns: How many columns at the left are text; all others are numbers, and stand to the right.
        align: A letter for each column, "l" or "r", where text and numbers stand otherwise.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    align: str | None = None

    @property
    def sides(self) -> str:
        """The side on which each column stands: "l" or "r"."""
        texts = min(self.text_columns, len(self.header))
        return self.align or "l" * texts + "r" * (len(self.header) - texts)


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        path: The PNG file.
        description: What it shows, for those who do not see it.
    """

    path: Path
    description: str

    @property
    def data(self) -> str:
        """The file, as it stands in the page."""
        return base64.b64encode(read_regular(self.path, "run")).decode()


@final
@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of what is told, in the order in which it is read.

    Attributes:
        title: Its heading; without one it goes on with the section before.
        text: Paragraphs.
        items: A list of sentences.
        table: A table, or None.
        notes: What the table's entries mean.
        pictures: Figures.
        code: Lines as they are typed or stand in a file, or None.
        folded: Whether the reader of a page has to open it; Markdown leaves it out.
        page_only: Whether Markdown leaves it out, too.
        warnings: Sentences that must not be overlooked.
        records: The same in plain numbers, to compute with: one dictionary for each line of a CSV file.
    """

    title: str = ""
    text: Sequence[str] = ()
    items: Sequence[str] = ()
    table: Table | None = None
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    code: str | None = None
    folded: bool = False
    page_only: bool = False
    warnings: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = ()


def markdown_of(title: str, sections: Sequence[Section]) -> str:
    """Write sections as Markdown; what is folded or for the page only is left out, and so are figures and code.

    Args:
        title: What it is about; none if empty.
        sections: Its parts.
    """
    parts = [f"# {title}"] if title else []
    for section in sections:
        if not (section.folded or section.page_only):
            parts += [f"## {section.title}"] if section.title else []
            parts += [*section.warnings, *section.text]
            parts += ["\n".join(f"- {item}" for item in section.items)] if section.items else []
            parts += [_table(section.table)] if section.table is not None else []
            parts += ["\n".join(f"- {note}" for note in section.notes)] if section.notes else []
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [f"| {' | '.join(table.header)} |"]
    lines.append("|" + "".join("---|" if side == "l" else "--:|" for side in table.sides))
    lines += [f"| {' | '.join(row)} |" for row in table.rows]
    return "\n".join(lines)


def csv_of(sections: Sequence[Section]) -> str:
    """Write the plain numbers of all sections: a column for each name, empty where a line has none."""
    records = [record for section in sections for record in section.records]
    columns = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


class _TableJson(TypedDict):
    header: list[str]
    rows: list[list[str]]
    align: str


class _PictureJson(TypedDict):
    path: str
    description: str


class _SectionJson(TypedDict):
    title: str
    text: list[str]
    items: list[str]
    table: _TableJson | None
    notes: list[str]
    pictures: list[_PictureJson]
    code: str | None
    folded: bool
    warnings: list[str]


def sections_to_json(sections: Sequence[Section], folder: Path) -> list[Any]:
    """Return sections in the types of JSON, without their plain numbers; figures are named as seen from a folder."""
    return [_to_json(section, folder) for section in sections]


def _to_json(section: Section, folder: Path) -> _SectionJson:
    table = section.table
    return {
        "title": section.title,
        "text": list(section.text),
        "items": list(section.items),
        "table": None
        if table is None
        else {"header": list(table.header), "rows": [list(row) for row in table.rows], "align": table.sides},
        "notes": list(section.notes),
        "pictures": [
            {"path": picture.path.relative_to(folder).as_posix(), "description": picture.description}
            for picture in section.pictures
        ],
        "code": section.code,
        "folded": section.folded,
        "warnings": list(section.warnings),
    }


def sections_from_json(values: Any, folder: Path) -> list[Section]:
    """Make sections from what `sections_to_json` returned.

    Raises:
        ValueError: If it is something else, or names figures outside the folder.
    """
    found = []
    for value in typed(list[_SectionJson], values, "sections"):
        pictures = []
        for picture in value["pictures"]:
            path = Path(picture["path"])
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"sections must name figures in their folder, but one is {path}")
            pictures.append(Picture(path=folder / path, description=picture["description"]))
        table = value["table"]
        if table is not None and any(
            len(row) != len(table["align"]) for row in (table["header"], *table["rows"])
        ):
            raise ValueError("sections must have tables with as many cells in each line, but one has not")
        own = None if table is None else Table(**table)
        found.append(Section(**{**value, "table": own, "pictures": pictures}))  # type: ignore[arg-type]
    return found
