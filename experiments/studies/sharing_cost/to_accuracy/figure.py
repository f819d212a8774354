"""Accuracy against energy and against time while devices learn: one line a scheme, and the Pareto front."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes

from ....drawing.figures import save_figure, strip
from ....drawing.output.figure_page import new_figure
from ....drawing.palette import GREY, PALE, scheme_color
from ...seeds import by_key
from ..figures import write_plainly
from ..rows import MECHANISM_NAMES, Cell
from .cells import PRICES, Price, front_of, learning_cells, mean_curve

_UNITS: Final[dict[Price, tuple[str, float]]] = {
    "energy_uJ": ("energy of the training so far in mJ", 1e-3),
    "seconds": ("time of the training so far in s", 1.0),
}
# Schemes of one family have one colour.
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))


def draw_to_accuracy(cells: Sequence[Cell], targets: Sequence[float], path: Path) -> None:
    """Draw the curves; nothing if none is known.

    Line and band: mean and standard deviation over the seeds. Broad grey line: the Pareto front.

    Args:
        cells: The schemes.
        targets: Accuracies in per cent, drawn as thin lines.
        path: The PNG file.
    """
    groups = by_key(learning_cells(cells), lambda cell: (cell.device, cell.mechanism))
    if not groups:
        return
    figure = new_figure((11.5, 0.6 + 3.6 * len(groups)))
    panels = figure.subplots(len(groups), len(PRICES), squeeze=False)
    for group, pair in zip(groups, panels, strict=True):
        for axes, price in zip(pair, PRICES, strict=True):
            _draw_curves(axes, group, price)
            low, high = axes.get_ylim()
            for target in targets:
                if low < target < high:
                    axes.axhline(target, color=GREY, lw=0.5, ls=":", zorder=0)
            axes.set_xlabel(_UNITS[price][0])
        pair[0].set_ylabel("validation accuracy in %")
        first = group[0]
        pair[0].set_title(f"{first.device}, {MECHANISM_NAMES[first.mechanism]}", loc="left", fontsize="large")
        pair[-1].legend(fontsize="x-small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    note = (
        "Line, band: mean and standard deviation over the seeds. Broad grey line: least cost for an accuracy."
    )
    figure.supxlabel(note, fontsize="small", color=GREY)
    save_figure(figure, path)


def _draw_curves(axes: Axes, group: Sequence[Cell], price: Price) -> None:
    factor = _UNITS[price][1]
    points = front_of(group, price)
    costs, accuracies = [cost * factor for cost, _, _ in points], [100 * value for _, value, _ in points]
    axes.step(costs, accuracies, where="post", color=PALE, lw=7, zorder=1, label="front")
    drawn: dict[str, int] = {}
    for cell in group:
        color = scheme_color(cell.scheme)
        drawn[color] = drawn.get(color, -1) + 1
        curve = mean_curve(cell, price)
        low, high = 100 * (curve.accuracy - curve.spread), 100 * (curve.accuracy + curve.spread)
        axes.fill_between(factor * curve.cost, low, high, color=color, alpha=0.15, lw=0, zorder=2)
        axes.plot(
            factor * curve.cost,
            100 * curve.accuracy,
            color=color,
            ls=_DASHES[drawn[color] % len(_DASHES)],
            lw=1.6,
            zorder=3,
            label=cell.label,
        )
    axes.set_xscale("log")
    write_plainly(axes.xaxis)
    strip(axes)
