"""How equal shared kernels are: over the training, since the last synchronisation, and since programming."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, scheme_color
from ...support.durations import format_time
from .figures import name_ends, sync_every, write_plainly
from .rows import FRESH, Cell, Row, cells_of

_DASHES: Final = {0: "-", 1: (0, (1, 1)), 10: (0, (4, 1.5)), 100: (0, (8, 2))}
_OTHER_DASH: Final = (0, (4, 1, 1, 1))


def draw_residual(rows: Sequence[Row], schemes: Sequence[str], path: Path) -> None:
    """Draw the difference of copies and the signal-to-noise of weights; a line of panels for each device.

    Drawn for networks that learn on their devices; nothing is drawn if none of them was recorded.
    """
    cells = [c for c in cells_of(rows, schemes) if c.mechanism == "in-situ" and c.rows[0].dynamics]
    if not cells:
        return
    devices = list(dict.fromkeys(cell.device for cell in cells))
    figure = new_figure((15.0, 0.7 + 3.3 * len(devices)))
    panels = figure.subplots(len(devices), 4, squeeze=False)
    for device, line in zip(devices, panels, strict=True):
        group = [cell for cell in cells if cell.device == device]
        _draw_over_training(line[0], group, "copies_rms", 100.0)
        line[0].set_ylabel("difference of copies in %")
        _draw_over_training(line[1], group, "weight_snr", 1.0)
        line[1].set_ylabel("weight signal-to-noise over locations")
        _draw_since_synchronisation(line[2], group)
        _draw_since_programming(line[3], [c for c in cells_of(rows, schemes) if c.device == device])
        for axes in line:
            strip(axes)
        line[0].set_title(f"{device}, in situ", loc="left", fontsize="large")
    note = (
        "Mean over seeds and layers. Difference: rms over the copies of a kernel, relative to the rms weight."
    )
    figure.supxlabel(f"{note} Thin: the largest difference.", fontsize="small", color=GREY)
    save_figure(figure, path)


def _draw_over_training(axes: Axes, cells: Sequence[Cell], column: str, factor: float) -> None:
    ends = []
    for cell in cells:
        steps, values = _mean_column(cell, column)
        if not values:
            continue
        axes.plot(
            steps,
            [factor * v for v in values],
            ls=dash_of(sync_every(cell.scheme)),
            color=scheme_color(cell.scheme),
            lw=1.6,
        )
        ends.append((factor * values[-1], cell.label, scheme_color(cell.scheme)))
    axes.set_xlabel("training step")
    if ends:
        axes.set_yscale("log")
        write_plainly(axes.yaxis)
        name_ends(axes, ends, is_log=True)
    else:
        _say_nothing(axes)


def _draw_since_synchronisation(axes: Axes, cells: Sequence[Cell]) -> None:
    """Average what was recorded by the number of steps since the last synchronisation, after the first one."""
    ends = []
    for cell in cells:
        period = sync_every(cell.scheme)
        if period < 2:
            continue
        by_phase: dict[int, list[float]] = {}
        for row in cell.rows:
            columns = row.dynamics
            for step, value in zip(columns["step"], columns.get("copies_rms", ()), strict=False):
                if step is not None and value is not None and step >= period:
                    by_phase.setdefault((int(step) + 1) % period, []).append(100 * value)
        phases = sorted(by_phase)
        if not phases:
            continue
        means = [sum(by_phase[phase]) / len(by_phase[phase]) for phase in phases]
        axes.plot(
            [p or 0.5 for p in phases],
            means,
            "o",
            ms=3.5,
            color=scheme_color(cell.scheme),
            ls=dash_of(sync_every(cell.scheme)),
            lw=1,
        )
        ends.append((means[-1], cell.label, scheme_color(cell.scheme)))
    axes.set_xlabel("steps since copies were made equal\n(0.5: just done)")
    axes.set_ylabel("difference of copies in %")
    if ends:
        axes.set_xscale("log")
        write_plainly(axes.xaxis)
        axes.set_yscale("log")
        write_plainly(axes.yaxis)
        name_ends(axes, ends, is_log=True)
    else:
        _say_nothing(axes)


def _draw_since_programming(axes: Axes, cells: Sequence[Cell]) -> None:
    """Draw the difference of copies against the time since programming or since the end of training."""
    ends, all_times = [], set()
    for cell in cells:
        times = [time for time in cell.rows[0].residual if time != FRESH]
        if not times or sync_every(cell.scheme):
            continue
        color, style = (
            scheme_color(cell.scheme),
            {"in-situ": "-", "write-verify": (0, (4, 1.5)), "hwa": (0, (1, 1))},
        )
        x = [float(time) for time in times]
        rms = [100 * (cell.mean(lambda row, t=time: row.residual.get(t)) or math.nan) for time in times]  # type: ignore[misc]
        most = [
            100 * (cell.mean(lambda row, t=time: row.largest_residual.get(t)) or math.nan)  # type: ignore[misc]
            for time in times
        ]
        axes.plot(x, rms, "o", ms=3.5, color=color, ls=style[cell.mechanism], lw=1.6)
        axes.plot(x, most, color=color, ls=style[cell.mechanism], lw=0.7)
        ends.append((rms[-1], cell.mechanism, color))
        all_times |= set(x)
    axes.set_xlabel("time since programming")
    axes.set_ylabel("difference of copies in %")
    if not ends:
        _say_nothing(axes)
        return
    axes.set_xscale("log")
    axes.set_yscale("log")
    write_plainly(axes.yaxis)
    shown = sorted(all_times)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [format_time(time) for time in shown])
    name_ends(axes, ends, is_log=True)


def _mean_column(cell: Cell, column: str) -> tuple[list[float], list[float]]:
    """Return steps and the mean over the seeds of a recorded column, where it is a finite number."""
    by_step: dict[float, list[float]] = {}
    for row in cell.rows:
        for step, value in zip(row.dynamics.get("step", ()), row.dynamics.get(column, ()), strict=False):
            if step is not None and value is not None:
                by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    return steps, [sum(by_step[step]) / len(by_step[step]) for step in steps]


def dash_of(period: int):  # type: ignore[no-untyped-def]
    """Return the line style of a scheme that synchronises its copies every so many steps; 0 for none."""
    return _DASHES.get(period, _OTHER_DASH)


def _say_nothing(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center", color=GREY, fontsize="medium"
    )
