"""The figures of a sweep: what came out against each option that takes numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from ...data.chance import mark
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import SERIES, device_look, scheme_color
from ..seeds import by_key
from .lists import name_of
from .rows import Kind, Seeds, is_geometric

_LINES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("o", "s", "^", "D", "v")


def numeric_options(seeds: Sequence[Seeds]) -> list[str]:
    """Return the swept options that take numbers, of which there are at least two."""
    found = []
    for option in seeds[0].values:
        values = {one.values[option] for one in seeds}
        if len(values) > 1 and all(map(_is_number, values)):
            found.append(option)
    return found


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def draw(seeds: Sequence[Seeds], option: str, path: Path) -> bool:
    """Draw what came out against an option, a line for each combination of the others.

    Points are means over the seeds, bars one standard deviation of them.

    Args:
        seeds: The runs.
        option: One of `numeric_options`.
        path: The PNG file.

    Returns:
        Whether there was something to draw.
    """
    names = list(dict.fromkeys(name for one in seeds for row in one.rows for name in row.compared))
    if not names:
        return False
    lines = by_key(seeds, lambda one: tuple((k, v) for k, v in one.values.items() if k != option))
    values = sorted({one.values[option] for one in seeds}, key=float)
    figure = new_figure((4.6 * len(names), 4.2))
    kinds = {name: _kind(seeds, name) for name in names}
    panels = figure.subplots(1, len(names), squeeze=False, sharey=set(kinds.values()) == {"score"})[0]
    for axes, name in zip(panels, names, strict=True):
        for number, line in enumerate(lines):
            _draw_line(axes, sorted(line, key=lambda one: float(one.values[option])), option, name, number)
        _finish(axes, option, values)
        axes.set_ylabel(f"test score, {name}" if kinds[name] == "score" else name)
        if kinds[name] == "score":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if len(lines) > 1:
        _name_lines(figure, panels[0], len(lines))
    save_figure(figure, path)
    return True


def _kind(seeds: Sequence[Seeds], name: str) -> Kind:
    rows = (row for one in seeds for row in one.rows)
    return next(row.compared[name].kind for row in rows if name in row.compared)


def _draw_line(axes: Axes, line: Sequence[Seeds], option: str, name: str, number: int) -> None:
    others = {key: value for key, value in line[0].values.items() if key != option}
    color, marker = _look(others, number)
    points = [(float(one.values[option]), one.of(name, "compared")) for one in line]
    known = [(x, mean) for x, mean in points if mean is not None]
    axes.errorbar(
        [x for x, _ in known],
        [mean.value for _, mean in known],
        yerr=[mean.std or 0.0 for _, mean in known],
        color=color,
        marker=marker,
        ls=_LINES[number // len(SERIES) % len(_LINES)],
        ms=5,
        lw=1.8,
        capsize=3 if any(mean.std for _, mean in known) else 0,
        label=name_of(others) + mark([learned for one in line for learned in one.did_learn]),
    )


def _look(others: dict[str, str], number: int) -> tuple[str, str]:
    """Return colour and marker of a line: those of its device or placement, if it is named by nothing else."""
    marker = _MARKERS[number % len(_MARKERS)]
    if list(others) == ["device"]:
        return device_look(others["device"])
    if list(others) == ["placement"]:
        return scheme_color(others["placement"]), marker
    return SERIES[number % len(SERIES)], marker


def _finish(axes: Axes, option: str, values: Sequence[str]) -> None:
    """Put a tick at every value, as it was typed."""
    places = [float(value) for value in values]
    if is_geometric(places):
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, values)
    axes.set_xlabel(option)
    strip(axes)


def _name_lines(figure: Figure, axes: Axes, number: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=1 if number < 4 else 2,
        frameon=False,
        fontsize="small",
    )
