"""Tables of a few lines, for `print` and for notebooks: what a ledger counts, what a bill charges."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

from devices.units import Dimensionless

MOST_ROWS = 20
"""Layers that a table shows; those beyond are summed in one row."""

Layer = TypeVar("Layer")

_PREFIXES = {15: "P", 12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ", -9: "n", -12: "p", -15: "f"}


def with_prefix(value: Dimensionless, unit: str) -> str:
    """Write a quantity with three digits and the prefix that suits it.

    Example:
        >>> with_prefix(1.2345e-8, "J"), with_prefix(0, "s")
        ('12.3 nJ', '0 s')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(3 * math.floor(math.log10(abs(value)) / 3), -15), 15)
    digits = f"{value / 10.0**power:.3g}"
    if float(digits) >= 1000 and power < 15:
        power += 3
        digits = f"{value / 10.0**power:.3g}"
    return f"{digits} {_PREFIXES[power]}{unit}"


def rows_of_layers(
    heads: Sequence[str], layers: Mapping[str, Layer], cells: Callable[[list[Layer]], Sequence[str]]
) -> list[list[str]]:
    """Return the heads, one row for each layer, and one for all of them.

    Args:
        heads: Titles of the columns that follow the layer's name.
        layers: By name.
        cells: Gives the columns of one layer, or of several that share a row.
    """
    most = (
        MOST_ROWS if len(layers) > MOST_ROWS + 1 else len(layers)
    )  # one more takes no more room than its row
    shown = dict(list(layers.items())[:most])
    rest = [layer for name, layer in layers.items() if name not in shown]
    rows = [["layer", *heads], *([name or "(model)", *cells([layer])] for name, layer in shown.items())]
    if rest:
        rows.append([f"{len(rest)} more layers", *cells(rest)])
    rows.append(["all", *cells(list(layers.values()))])
    return rows


@final
@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table with sentences around it.

    Attributes:
        rows: Cells, as many in each row; the first row are the titles of the columns.
        above: Sentences before the table.
        below: Sentences after it.
        sides: As `aligned` takes them.
    """

    rows: Sequence[Sequence[str]]
    above: Sequence[str] = ()
    below: Sequence[str] = ()
    sides: str = ""

    def __str__(self) -> str:
        return "\n".join([*self.above, aligned(self.rows, self.sides), *self.below])

    def to_html(self) -> str:
        """Return the same for a notebook, which shows it as a table."""
        sides = self.sides or "<".ljust(len(self.rows[0]), ">")

        def line(cells: Sequence[str], tag: str) -> str:
            texts = (
                f'<{tag} style="text-align: {"left" if side == "<" else "right"}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )
            return f"<tr>{''.join(texts)}</tr>"

        above, below = (
            "".join(f"<p>{html.escape(text)}</p>" for text in part) for part in (self.above, self.below)
        )
        heads, *rows = self.rows
        body = "".join(line(row, "td") for row in rows)
        return f"{above}<table><thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table>{below}"


def aligned(rows: Sequence[Sequence[str]], sides: str = "") -> str:
    """Write rows of text as columns.

    Args:
        rows: Cells, as many in each row.
        sides: "<" for a column to the left, ">" for one to the right; if it is empty, the first column is to the left
            and the others are to the right.

    Example:
        >>> print(aligned([("layer", "mvms"), ("dense", "12")]))
        layer  mvms
        dense    12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = sides or "<".ljust(len(widths), ">")
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    )
