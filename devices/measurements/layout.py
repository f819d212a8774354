"""Which column says what: by the user's word, or guessed from its name, and then said."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from typing_extensions import final

from .quantities import Unit, asked_unit, split_header, unit_of
from .tables import Table

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "conductance": (
        "conductance", "g", "cond", "gmeas", "gread", "gafter", "conductanceafter", "reached", "reading", "current",
        "i", "id", "ids", "iread", "imeas", "resistance", "r", "rread", "leitwert", "strom", "widerstand", "weight",
    ),
    "pulse": (
        "pulse", "pulses", "pulsenr", "pulseno", "pulsenumber", "pulseindex", "pulsecount", "nr", "no", "n", "index",
        "puls", "pulsnr", "count", "step",
    ),
    "direction": (
        "direction", "dir", "polarity", "sign", "op", "operation", "type", "kind", "event", "mode", "updown",
        "voltage", "v", "vpulse", "vwrite", "vprog", "vg", "amplitude", "amp", "spannung", "richtung",
    ),
    "up": ("up", "gup", "ltp", "potentiation", "pot", "set", "gltp", "gset", "vset", "vup", "nup"),
    "down": ("down", "gdown", "ltd", "depression", "dep", "reset", "gltd", "greset", "vreset", "vdown", "ndown"),
    "device": (
        "device", "dev", "deviceid", "devicename", "dut", "cell", "cellid", "sample", "die", "chip", "bauteil",
        "gerat", "row", "col", "column", "wl", "bl",
    ),
    "cycle": ("cycle", "cyc", "cycleno", "cyclenr", "loop", "repetition", "round", "zyklus", "run"),
    "time": ("time", "t", "times", "elapsed", "elapsedtime", "delay", "tread", "readtime", "timesinceprogramming",
             "zeit"),
    "target": ("target", "gtarget", "targetconductance", "setpoint", "goal", "asked", "ziel"),
}  # fmt: skip
"""What a column can say, and names under which it is known."""

_LIKELY_WORDS: Final = {
    "conductance": ("conductance", "current", "resistance"), "pulse": ("pulse",),
    "direction": ("voltage", "direction"), "device": ("device",), "cycle": ("cycle",),
    "time": ("time",), "target": ("target",),
}  # fmt: skip
_JOINED: Final = (
    "device",
    "conductance",
)  # of several columns: a row and a column; one column for each device


@final
@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a user says that files are laid out.

    Attributes:
        columns: Column of each role of `ROLES`: its name, or its number from 1; names joined by + are several.
        unit: Of conductances whose header states none, as `quantities.UNIT_RULE` has it; None if it is not stated.
        scheme: How many pulses up and down follow each other, "50up,50down", where no column says it; None else.
        used: What of it was of use in files that were read; filled in by reading.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    scheme: str | None = None
    used: set[str] = field(default_factory=set, compare=False)

    def __post_init__(self) -> None:
        """Refuse roles, units and schemes that there are not.

        Raises:
            ValueError: If there is one.
        """
        for role in self.columns:
            if role not in ROLES:
                raise ValueError(f"`columns` must name {', '.join(ROLES)}, but names {role!r}. Correct it.")
        asked_unit(self.unit)
        if self.scheme is not None:
            scheme_of(self.scheme)


def refuse_unused(layout: Layout) -> None:
    """Refuse what a user said of files in which it was of no use.

    Args:
        layout: With which all files were read.

    Raises:
        ValueError: If there is such a thing.
    """
    for role, name in layout.columns.items():
        if role not in layout.used:
            raise ValueError(
                f"`columns` must name columns that the files have, but none has {role}={name}. Correct it."
            )
    for name, value, reason in (
        ("unit", layout.unit, "the headers state their units"),
        ("scheme", layout.scheme, "columns say which pulses go up"),
    ):
        if value is not None and name not in layout.used:
            raise ValueError(f"`{name}` must be left out here, but is {value}: {reason}. Leave it out.")


def layout_of(columns: str | None, unit: str | None, scheme: str | None) -> Layout:
    """Read what is typed on a command line: "pulse=nr,conductance=g,device=row+col".

    Raises:
        ValueError: If it is typed wrong.
    """
    pairs: dict[str, str] = {}
    for part in (columns or "").split(","):
        role, sign, name = (word.strip() for word in part.partition("="))
        if part.strip() and (not sign or not name or role in pairs):
            raise ValueError(
                f"`columns` must be like pulse=nr,conductance=g,device=dev, but is {columns!r}. Correct {part!r}."
            )
        if part.strip():
            pairs[role] = name
    return Layout(columns=pairs, unit=unit, scheme=scheme)


def scheme_of(text: str) -> list[int]:
    """Return the direction of each pulse of one round of a scheme: 1 or -1.

    Raises:
        ValueError: If it is none.
    """
    found = [re.fullmatch(r"\s*(\d{1,6})\s*(up|down)\s*", part) for part in text.split(",")]
    if not all(found) or not any(int(part[1]) for part in found if part):
        raise ValueError(f"`scheme` must be like 50up,50down, but is {text!r}. Correct it.")
    return [1 if part[2] == "up" else -1 for part in found if part for _ in range(int(part[1]))]


@final
class Columns:
    """Which columns of a table say what.

    Args:
        table: The table.
        layout: What the user says.
        wanted: The roles that are looked for.
    """

    def __init__(self, table: Table, layout: Layout, wanted: Sequence[str]) -> None:
        self._table = table
        named = [split_header(name) for name in table.header]
        self.names = tuple(name for name, _ in named)
        below = table.units or ("",) * len(named)
        self.units = tuple(unit or low.strip("[]() ") for (_, unit), low in zip(named, below, strict=True))
        self.places: dict[str, list[int]] = {}
        for role, text in layout.columns.items():
            places = self._asked(text)
            if role in wanted and places is not None:
                self.places[role] = places
                layout.used.add(role)
        self.guessed: list[str] = []
        for role in wanted:
            if role not in self.places and table.header:
                places = self._guess(role)
                if places:
                    self.places[role] = places
                    self.guessed.append(role)

        for places in self.places.values():
            for place in places:
                if table.header and table.header.count(table.header[place]) > 1:
                    raise ValueError(
                        f"`{table.what}` must have each column once, but {table.path} has {table.header[place]!r} "
                        "twice. Remove one."
                    )

    def __contains__(self, role: str) -> bool:
        """Say whether there is a column of that role."""
        return role in self.places

    def cell(self, cells: Sequence[str], role: str) -> str:
        """Return what a row says of a role; of several columns, their cells with a dot between."""
        return ".".join(cells[place] for place in self.places[role])

    def unit(self, place: int) -> str:
        """Return the unit that the header states for a column; empty if none."""
        return self.units[place] if self.units else ""

    def said(self) -> str:
        """Say which column was taken for what, and which were left out."""
        parts = [
            f"{role} from {' + '.join(self._title(place) for place in places)}"
            for role, places in self.places.items()
        ]
        taken = {place for places in self.places.values() for place in places}
        rest = [name for place, name in enumerate(self.names) if place not in taken and name]
        return ", ".join(parts) + (f"; left out: {', '.join(map(repr, rest))}" if rest else "")

    def is_plain(self) -> bool:
        """Say whether all columns have the names by which they are called here, and nothing was guessed or left."""
        return sum(map(len, self.places.values())) == len(self.names) and all(
            len(places) == 1 and self.names[places[0]].lower() == role for role, places in self.places.items()
        )

    def _title(self, place: int) -> str:
        return repr(self._table.header[place]) if self._table.header else f"column {place + 1}"

    def _asked(self, text: str) -> list[int] | None:
        """Return the places of the columns that a user names; None if the table has not all of them."""
        places = []
        for name in text.split("+"):
            own = name.strip().lower()
            found = [i for i, header in enumerate(self._table.header) if header.lower() == own]
            found = found or [i for i, header in enumerate(self.names) if header.lower() == own]
            if not found and own.isdigit() and 1 <= int(own) <= self._table.width:
                found = [int(own) - 1]
            if not found:
                return None
            places.append(found[0])
        return places

    def _guess(self, role: str) -> list[int]:
        taken = {place for places in self.places.values() for place in places}
        free = [place for place in range(len(self.names)) if place not in taken]
        for matches in (
            lambda name: name == role,
            lambda name: name in ROLES[role],
            lambda name: any(word in name for word in _LIKELY_WORDS.get(role, ())),
            lambda name: (
                role == "conductance" and re.fullmatch(r"(g|i|r|dev|device|cell|conductance)\d+", name)
            ),
        ):
            found = [place for place in free if matches(_plain(self.names[place]))]
            if found:
                names = [_plain(self.names[place]) for place in found]
                if role == "device" or all(name[-1:].isdigit() for name in names):
                    return found if role in _JOINED else found[:1]
                ranks = [
                    ROLES[role].index(name) if name in ROLES[role] else len(ROLES[role]) for name in names
                ]
                return [found[ranks.index(min(ranks))]]
        return []


def is_known(header: str) -> bool:
    """Say whether a text is the name of a column."""
    name = _plain(split_header(header)[0])
    return any(name in aliases for aliases in ROLES.values()) or any(
        word in name for words in _LIKELY_WORDS.values() for word in words
    )


def _plain(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name.lower())
    return "".join(c for c in bare if c.isascii() and c.isalnum())


def units_of_columns(
    columns: Columns, places: Sequence[int], layout: Layout
) -> Iterator[tuple[Unit | None, bool]]:
    """Yield the unit of each of some columns, and whether a header or the user states it."""
    asked = asked_unit(layout.unit)
    for place in places:
        own = unit_of(columns.unit(place)) if columns.unit(place) else None
        if own is None or not own.is_whole:
            layout.used.add("unit")
            if own is not None and asked is not None and asked.base == "A":
                own = Unit("A", own.factor, asked.voltage, f"{own.text}@{asked.voltage:g}V")
            own = asked if own is None or not own.is_whole else own
        yield own, own is not None
