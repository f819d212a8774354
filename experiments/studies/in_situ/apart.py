"""How far copies of a kernel drift apart that are never made equal, and what the spread of devices explains of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from devices.units import Dimensionless

from ...bench.copies_under_pulses import MARKS, CopiesUnderPulses
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import device_looks
from ...drawing.sections import Table
from ...support.statistics import NOTHING
from .course import COPIES
from .rows import Row


@final
@dataclass(frozen=True, kw_only=True)
class Apart:
    """Copies on one device, after numbers of equal pulses as in `MARKS`.

    Attributes:
        device: Name of the memory cell.
        measured: Standard deviation over copies, rms over the devices of a kernel, in units of the devices.
        expected: The same from the spread of the devices; see `devices.pulsed.divergence`. None where that ends.
    """

    device: str
    measured: list[Dimensionless]
    expected: list[Dimensionless | None]

    def to_json(self) -> dict[str, Any]:
        """Return it in the types of JSON."""
        return {
            "device": self.device,
            "pulses": list(MARKS),
            "measured": self.measured,
            "expected": self.expected,
        }


def copies_apart(devices: Sequence[str]) -> list[Apart]:
    """Send equal pulses to copies on every device that learns by plain pulses; others are left out."""
    found = []
    for device in devices:
        try:
            copies = CopiesUnderPulses(device)
        except ValueError:
            continue
        expected = [value if math.isfinite(value) else None for value in copies.expected()]
        found.append(Apart(device=device, measured=copies.measured(), expected=expected))
    return found


def apart_table(found: Sequence[Apart]) -> Table:
    """Return a line for each device: measured, in brackets expected."""

    def cell(measured: float, expected: float | None) -> str:
        return f"{measured:.2g} ({NOTHING if expected is None else f'{expected:.2g}'})"

    rows = [
        [apart.device, *(cell(m, e) for m, e in zip(apart.measured, apart.expected, strict=True))]
        for apart in found
    ]
    return Table(header=["device", *(f"{mark:,}" for mark in MARKS)], rows=rows)


def draw_apart(found: Sequence[Apart], rows: Sequence[Row], path: Path) -> None:
    """Draw the difference of copies against pulses: measured, expected, and of the networks that were trained."""
    if not found:
        return
    figure = new_figure((7.2, 4.6))
    axes = figure.subplots()
    for apart, look in zip(found, device_looks([apart.device for apart in found]), strict=True):
        axes.plot(MARKS, apart.measured, look.marker, color=look.color, ms=6, label=apart.device)
        curve = [
            (mark, value) for mark, value in zip(MARKS, apart.expected, strict=True) if value is not None
        ]
        axes.plot(*zip(*curve, strict=True), color=look.color, lw=1.4)
        for row in rows:
            if row.device == apart.device and COPIES in row.course:
                pairs = [
                    (p, c)
                    for p, c in zip(row.course["pulses"], row.course[COPIES], strict=True)
                    if p is not None and c is not None and p >= 1
                ]
                if pairs:
                    axes.plot(*zip(*pairs, strict=True), ":", color=look.color, lw=1.0)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="pulses per device",
        ylabel="difference of copies, rms, device units",
    )
    strip(axes)
    figure.legend(
        *axes.get_legend_handles_labels(),
        title="dots: the same pulses, as often up as down; lines: from the spread of devices;\n"
        "dotted: copies in the networks that were trained",
        loc="outside lower center",
        ncols=5,
        frameon=False,
    )
    save_figure(figure, path)
