"""Published tables as data: where they come from, their values, the settings, and the rule by which a cell is judged.

Each is a TOML file beside this one, in `tables`. A rule has a version and a date: it is written before the numbers
are computed, and another rule is another version.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, final

from devices.files import parse_toml
from devices.units import Dimensionless

FOLDER: Final = Path(__file__).parent / "tables"

Key = tuple[tuple[str, str], ...]
"""What a cell is about: names and values, as they stand at the head of its line and column."""


def key_of(entries: Mapping[str, object]) -> Key:
    """Return the key of a cell; numbers are written as short as they can be.

    Example:
        >>> key_of({"states": 20, "sigma_r": 0.0})
        (('states', '20'), ('sigma_r', '0'))
    """
    return tuple((name, value if isinstance(value, str) else f"{value:g}") for name, value in entries.items())


@final
@dataclass(frozen=True, kw_only=True)
class Cell:
    """One published value.

    Attributes:
        key: What it is about.
        published: The value, in the unit of the table.
        spread: Published standard deviation over repeats, or None.
        is_bound: Whether only an upper bound was published.
        allowed: How far a computed value may lie from it, where the table's rule has a clause for such cells alone.
    """

    key: Key
    published: Dimensionless
    spread: Dimensionless | None = None
    is_bound: bool = False
    allowed: Dimensionless | None = None

    @property
    def text(self) -> str:
        """The value as it was published."""
        spread = "" if self.spread is None else f" ± {self.spread:g}"
        return f"{'below ' if self.is_bound else ''}{self.published:g}{spread}"


@final
@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a computed value agrees with a published one.

    The allowed deviation is the cell's own, or the sum of `relative` times the published value, `spreads` times its
    standard deviation, `points`, and that of the first band that the published value reaches.

    Attributes:
        version: Another rule is another version.
        date: When it was written.
        words: The same in words.
        relative: Part of the published value.
        spreads: In published standard deviations.
        points: In the unit of the table.
        bands: From which published value on how many points are allowed, the largest value first.
        fails_below: Published values below it, and published bounds, are failures to learn: a computed value agrees
            if it lies below it, too.
    """

    version: int
    date: str
    words: str
    relative: Dimensionless = 0.0
    spreads: Dimensionless = 0.0
    points: Dimensionless = 0.0
    bands: tuple[tuple[Dimensionless, Dimensionless], ...] = ()
    fails_below: Dimensionless | None = None

    def allowed(self, cell: Cell) -> Dimensionless:
        """Return how far a computed value may lie from a published one."""
        if cell.allowed is not None:
            return cell.allowed
        band = next((points for start, points in self.bands if cell.published >= start), 0.0)
        spread = self.spreads * (cell.spread or 0.0)
        return self.relative * abs(cell.published) + spread + self.points + band

    def agrees(self, cell: Cell, computed: Dimensionless) -> bool:
        """Say whether a computed value agrees; one that is not finite does not."""
        if self.fails_below is not None and (cell.is_bound or cell.published < self.fails_below):
            return computed < self.fails_below
        # Decimal fractions at the very edge agree: 1e-9 is far below the last digit of any table.
        return abs(computed - cell.published) <= self.allowed(cell) + 1e-9


@final
@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """A published table.

    Attributes:
        name: Its file's name.
        title: What it is about.
        source: Where it was published.
        quantity: What its values are.
        unit: Their unit.
        rule: How a cell is judged.
        cells: Its values.
        settings: Of the computation, as the paper has them or as they are assumed.
        scales: What is different for a scale: "smoke", "laptop" or "paper".
    """

    name: str
    title: str
    source: str
    quantity: str
    unit: str
    rule: Rule
    cells: tuple[Cell, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def at(self, scale: str) -> dict[str, Any]:
        """Return the settings at a scale; without one of its own, those of the paper."""
        return {**self.settings, **self.scales.get(scale, self.scales.get("paper", {}))}

    def has(self, scale: str) -> bool:
        """Say whether a scale has settings of its own."""
        return scale in self.scales


def table_names() -> tuple[str, ...]:
    """Return the names of all tables."""
    return tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.toml")))


@cache
def load_table(name: str) -> PublishedTable:
    """Read a table that comes with the package.

    Args:
        name: One of `table_names`.

    Example:
        >>> table = load_table("learning-rules")
        >>> len(table.cells), table.cells[0].key
        (72, (('states', '400'), ('rule', 'sgd'), ('sigma_r', '0')))
    """
    content = parse_toml((FOLDER / f"{name.replace('-', '_')}.toml").read_bytes())
    rule = dict(content["rule"])
    rule["bands"] = tuple((start, points) for start, points in rule.get("bands", ()))
    cells = [cell for series in content.get("series", ()) for cell in _cells_of(series)]
    if "values" in content:
        cells += _cells_of_csv(content)
    words = {word: content[word] for word in ("title", "source", "quantity", "unit")}
    return PublishedTable(
        name=name,
        **words,
        rule=Rule(**rule),
        cells=tuple(cells),
        settings=content.get("settings", {}),
        scales=content.get("scales", {}),
    )


def _cells_of(series: Mapping[str, Any]) -> list[Cell]:
    spreads = series.get("spread", [None] * len(series["at"]))
    return [
        Cell(
            key=key_of({**series["key"], series["along"]: place}),
            published=value,
            spread=spread,
            is_bound=series.get("is_bound", False),
            allowed=series.get("allowed"),
        )
        for place, value, spread in zip(series["at"], series["published"], spreads, strict=True)
    ]


def _cells_of_csv(content: Mapping[str, Any]) -> list[Cell]:
    name, factor = content["values_name"], content["values_factor"]
    left_out = (name, *content["values_left_out"])
    with (FOLDER / content["values"]).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    cells = []
    for line in lines:
        key = {column: _plain(value) for column, value in line.items() if column not in left_out}
        cells.append(Cell(key=key_of(key), published=round(float(line[name]) * factor, 6)))
    return cells


def _plain(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value
