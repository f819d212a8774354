"""The figure of `xbar demo`: accuracy over a year, and what an image takes beside one tile."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, PALE, scheme_color
from ...support.durations import format_time
from .rows import SCHEMES, Row

_MARKERS: Final = "osD"
_QUANTITIES: Final[tuple[tuple[str, Callable[[Row], float]], ...]] = (
    ("time of an image", lambda row: row.latency),
    ("area", lambda row: row.area),
    ("energy, layers gated", lambda row: row.energy["layer"]),
    ("energy, network on", lambda row: row.energy["network"]),
    ("energy, always on", lambda row: row.energy["always-on"]),
)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy against time since programming, and the price of an image relative to the first scheme.

    Args:
        rows: The schemes; the first is what others are compared with.
        path: The PNG file.
    """
    figure = new_figure((9.5, 4.0))
    accuracy, prices = figure.subplots(1, 2, width_ratios=(1, 1))
    for number, (row, marker) in enumerate(zip(rows, _MARKERS, strict=False)):
        color = scheme_color(SCHEMES[row.scheme][1])
        errors = [spread or 0.0 for spread in row.spread]
        accuracy.errorbar(
            row.times, row.accuracy, errors, color=color, marker=marker, capsize=3, lw=1.8, label=row.scheme
        )
        ratios = [of(row) / of(rows[0]) for _, of in _QUANTITIES]
        heights = [
            len(ratios) - place + 0.16 * (1 - number) for place in range(len(ratios))
        ]  # none hides another
        prices.plot(ratios, heights, marker, color=color, ms=7, mew=0, alpha=0.9)
    accuracy.set_xscale("log")
    accuracy.xaxis.set_major_locator(FixedLocator(list(rows[0].times)))
    accuracy.xaxis.set_minor_locator(NullLocator())
    accuracy.set_xticks(rows[0].times, [format_time(time) for time in rows[0].times])
    accuracy.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1, symbol=" %"))
    accuracy.set_xlabel("time since programming")
    accuracy.set_ylabel("test accuracy, compensated")
    prices.axvline(1.0, color=GREY, lw=1, zorder=0)
    prices.set_xscale("log")
    prices.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    prices.set_yticks(range(len(_QUANTITIES), 0, -1), [name for name, _ in _QUANTITIES])
    prices.set_ylim(0.5, len(_QUANTITIES) + 0.5)
    prices.set_xlabel(f"beside {rows[0].scheme}")
    for axes in (accuracy, prices):
        axes.grid(color=PALE, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("What exact weight sharing costs, and what happens without it", fontsize="large")
    save_figure(figure, path)
