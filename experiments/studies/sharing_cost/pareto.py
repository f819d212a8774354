"""Accuracy against energy and against time: the schemes of sharing beside each other."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes

from ...drawing.direct_labels import Named, label_points
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, scheme_color
from .figures import Quantity, darker, not_drawn, scaled, write_plainly
from .rows import (
    FRESH,
    MECHANISM_NAMES,
    Cell,
    Row,
    accuracy_at,
    cells_of,
    energy_per_image,
    energy_per_step,
    latency,
    priced,
    time_per_step,
)

_SMALLEST_MARKER: Final = 5.0  # points: radius for the smallest chip is half of that
_LARGEST_MARKER: Final = 22.0


def draw_pareto(rows: Sequence[Row], schemes: Sequence[str], path: Path) -> None:
    """Draw accuracy against energy and against time: a line of panels for each device and mechanism.

    Trained on the chip: per training step; trained in software: per inference. The area of a marker is the area of
    the chip; the bar is the spread over the seeds; the small mark below is the accuracy after the longest time.
    """
    cells = cells_of(rows, schemes)
    lines = list(dict.fromkeys((cell.device, cell.mechanism) for cell in cells))
    figure = new_figure((10.5, 0.9 + 3.3 * len(lines)))
    panels = figure.subplots(len(lines), 2, squeeze=False)
    areas = [cell.mean(priced(lambda row: row.unpacked.area_mm2)) or 0.0 for cell in cells]
    later = _longest_time(rows)
    drawn: list[tuple[Axes, list[Named]]] = []
    for (device, mechanism), pair in zip(lines, panels, strict=True):
        learns = mechanism != "hwa"
        quantities: tuple[tuple[Quantity, str], tuple[Quantity, str]] = (
            (
                (energy_per_step, "energy per training step in µJ"),
                (scaled(time_per_step, 1e3), "time per step in ms"),
            )
            if learns
            else ((energy_per_image, "energy per inference in µJ"), (scaled(latency, 1e6), "latency in µs"))
        )
        group = [cell for cell in cells if (cell.device, cell.mechanism) == (device, mechanism)]
        for axes, (quantity, label) in zip(pair, quantities, strict=True):
            names = [named for cell in group for named in _draw_cell(axes, cell, quantity, later, max(areas))]
            axes.set_xlabel(label)
            axes.set_ylabel("test accuracy in %")
            _widen(axes, names)
            axes.set_ylim(
                max(axes.get_ylim()[0], -3.0), min(axes.get_ylim()[1], 103.0)
            )  # no accuracy lies outside
            strip(axes)
            drawn.append((axes, names))
        pair[0].set_title(f"{device}, {MECHANISM_NAMES[mechanism]}", loc="left", fontsize="large")
    note = "Marker area: chip area, one kernel in each array. Bars: ± one standard deviation over the seeds."
    if later is not None:
        note += " Small mark: after the longest time."
    note += not_drawn(cells)
    figure.supxlabel(note, fontsize="small", color=GREY)
    for axes, names in drawn:
        label_points(figure, axes, names)
    save_figure(figure, path)


def _draw_cell(axes: Axes, cell: Cell, quantity: Quantity, later: str | None, largest: float) -> list[Named]:
    x, y = cell.mean(quantity), cell.mean(accuracy_at(FRESH))
    if x is None or y is None:
        return []
    area = cell.mean(priced(lambda row: row.unpacked.area_mm2)) or 0.0
    size = max(_LARGEST_MARKER * math.sqrt(area / largest), _SMALLEST_MARKER) if largest else _SMALLEST_MARKER
    color = scheme_color(cell.scheme)
    axes.errorbar(x, y, yerr=cell.spread(accuracy_at(FRESH)), color=color, lw=1.2, capsize=0, zorder=2)
    is_redrawn = "redraw=true" in cell.scheme.lower().replace(" ", "")
    face = "white" if is_redrawn else color
    axes.plot(
        x, y, "o", ms=size, mfc=face, mec=color, mew=1.2, alpha=0.55 if not is_redrawn else 1.0, zorder=3
    )
    axes.plot(x, y, ".", ms=3, color="black", zorder=4)
    aged = cell.mean(accuracy_at(later)) if later is not None else None
    if aged is not None:
        axes.plot([x, x], [y, aged], color=color, lw=0.8, ls=":", zorder=1)
        axes.plot(x, aged, "_", ms=7, mew=1.6, color=color, zorder=3)
    return [Named(x, y, cell.label, darker(color), size / 2)]


def _widen(axes: Axes, names: Sequence[Named]) -> None:
    """Choose a logarithmic axis where values span much, and leave room for names."""
    values = [named.x for named in names if named.x > 0]
    if values and max(values) > 3 * min(values):
        axes.set_xscale("log")
        low, high = math.log10(min(values)), math.log10(max(values))
        room = 0.22 * (high - low)
        axes.set_xlim(10 ** (low - room), 10 ** (high + room))
        write_plainly(axes.xaxis)
    elif values:
        room = max(0.25 * (max(values) - min(values)), 0.02 * max(values))
        axes.set_xlim(min(values) - room, max(values) + room)
    low, high = axes.get_ylim()
    room = max(0.14 * (high - low), 0.4)
    axes.set_ylim(low - room, high + room)


def _longest_time(rows: Sequence[Row]) -> str | None:
    times = {time for row in rows for time in row.accuracy if time != FRESH}
    return max(times, key=float) if times else None
