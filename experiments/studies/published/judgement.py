"""A published table beside what was computed: a verdict for every cell, and the whole in sections to read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from devices.units import Dimensionless

from ...drawing.sections import Section, Table
from ...support.statistics import NOTHING
from .tables import Cell, Key, PublishedTable

Word = Literal["agrees", "differs", "not run", "smoke"]
SMOKE: Final = "smoke: run to show that it runs, with less training than published; not judged"


@final
@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a cell.

    Attributes:
        cell: The published value.
        computed: The value that was computed, or None.
        word: The verdict.
        remark: With which training, where it was less than published; of one not run, how far it is.
        why: What was tested to explain a cell that differs.
    """

    cell: Cell
    computed: Dimensionless | None
    word: Word
    remark: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The verdict, and by how much a cell differs; of one not run, how far it is."""
        if self.word == "not run" and self.remark:
            return self.remark
        remark = f" ({self.remark})" if self.remark else ""
        if self.word != "differs" or self.computed is None:
            return self.word + remark
        return f"differs by {self.computed - self.cell.published:+.3g}{remark}"


@final
@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A claim about several cells at once, as the paper makes it.

    Attributes:
        words: The claim.
        holds: Whether it does; None if cells are missing.
        measured: The numbers that say so.
        why: What was tested to explain one that does not hold.
    """

    words: str
    holds: bool | None
    measured: str = ""
    why: str = ""


def judge(
    table: PublishedTable,
    computed: Mapping[Key, Dimensionless],
    *,
    is_smoke: bool,
    remarks: Mapping[Key, str] | None = None,
) -> list[Verdict]:
    """Judge every cell of a table by its rule.

    Args:
        table: The table.
        computed: What was computed, by key; keys that the table lacks do not count.
        is_smoke: Whether it was computed with less training than published: then no cell is judged.
        remarks: With which training cells were computed, where it was less than published; of cells not run, how far
            their training is.
    """
    verdicts = []
    for cell in table.cells:
        value = computed.get(cell.key)
        word: Word = "not run"
        if value is not None:
            word = "smoke" if is_smoke else "agrees" if table.rule.agrees(cell, value) else "differs"
        said = "" if remarks is None else remarks.get(cell.key, "")
        verdicts.append(Verdict(cell=cell, computed=value, word=word, remark=said))
    return verdicts


def counts_of(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return how many cells there are of each verdict."""
    counts = Counter(verdict.word for verdict in verdicts)
    return {word: counts[word] for word in ("agrees", "differs", "smoke", "not run") if counts[word]}


def sections_of(
    table: PublishedTable,
    verdicts: Sequence[Verdict],
    patterns: Sequence[Pattern] = (),
    *,
    title: str = "Cells",
) -> list[Section]:
    """Return published and computed side by side, and the claims about several cells.

    Args:
        table: The table.
        verdicts: Of its cells.
        patterns: The claims.
        title: Heading of the first section.
    """
    is_explained = any(verdict.why for verdict in verdicts)
    lines = []
    records: list[dict[str, Any]] = []
    for verdict in verdicts:
        key, value = dict(verdict.cell.key), verdict.computed
        lines.append(
            [*key.values(), verdict.cell.text, NOTHING if value is None else f"{value:.4g}", verdict.text]
            + [verdict.why or NOTHING] * is_explained
        )
        records.append(
            {
                **key,
                "published": verdict.cell.published,
                "computed": "" if value is None else value,
                "verdict": verdict.word,
                "remark": verdict.remark,
                "why": verdict.why,
            }
        )
    unit = f" in {table.unit}" if table.unit else ""
    names = list(dict(table.cells[0].key))
    header = [*names, f"published{unit}", f"computed{unit}", "verdict"] + [
        "tested explanation"
    ] * is_explained
    cells = Section(
        title=title,
        text=(f"{table.quantity[0].upper()}{table.quantity[1:]}{unit}. Source: {table.source}.",),
        items=(f"Rule {table.rule.version} of {table.rule.date}: {table.rule.words}",),
        table=Table(header=header, rows=lines, align="l" * len(names) + "rrl" + "l" * is_explained),
        records=records,
    )
    found = [cells]
    if patterns:
        are_explained = any(pattern.why for pattern in patterns)
        rows = [
            [pattern.words, _said(pattern.holds), pattern.measured or NOTHING]
            + [pattern.why or NOTHING] * are_explained
            for pattern in patterns
        ]
        heads = ["claim", "verdict", "measured"] + ["tested explanation"] * are_explained
        claims = Table(header=heads, rows=rows, align="l" * len(heads))
        found.append(Section(title=f"{title}: claims", table=claims))
    return found


def _said(holds: bool | None) -> str:
    return "not run" if holds is None else "holds" if holds else "does not hold"
