"""The figure of which classes a network takes for which."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..data.confusion import Counts
from ..runs.result import Result
from .confusion_tables import MOST_SHOWN, name_of
from .figures import save_figure
from .output.figure_page import new_figure
from .palette import FULL, GREY

_DARK: Final = 0.5  # from this part of a class on, numbers in its field are white


def draw_confusion(result: Result, title: str, path: Path) -> None:
    """Draw a matrix for each state of the network whose answers were counted.

    A line is a class of test images, a column an answer; colour is the part of the class. Numbers are images, over
    all chips; fields without any are empty. An older figure is removed where no classes were counted.

    Args:
        result: The result.
        title: Which run it is.
        path: The PNG file.
    """
    if not result.confusion:
        path.unlink(missing_ok=True)
        return
    panels = len(result.confusion)
    figure = new_figure((1.0 + 4.2 * panels, 4.7))
    grid = figure.subplots(1, panels, squeeze=False)[0]
    for axes, (state, counts) in zip(grid, result.confusion.items(), strict=True):
        image = axes.imshow(_shares(counts), cmap=FULL, vmin=0.0, vmax=1.0)
        if len(counts) <= MOST_SHOWN:
            _write_counts(axes, counts)
        axes.set_title(name_of(state, result), loc="left", fontsize="medium")
        axes.set_xlabel("answer")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        axes.spines[:].set_visible(False)
    grid[0].set_ylabel("class")
    bar = figure.colorbar(image, ax=list(grid), shrink=0.85, aspect=30)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    bar.set_label("part of the class")
    bar.outline.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    save_figure(figure, path)


def _shares(counts: Counts) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    numbers = np.asarray(counts, dtype=float)
    shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = numbers / np.maximum(
        numbers.sum(axis=1, keepdims=True), 1.0
    )
    return shares


def _write_counts(axes: Axes, counts: Counts) -> None:
    size = 8.5 if len(counts) <= 10 else 5.5
    for (own, answer), share in np.ndenumerate(_shares(counts)):
        if share:
            color = "white" if share >= _DARK else GREY
            axes.text(
                answer, own, f"{counts[own][answer]}", ha="center", va="center", fontsize=size, color=color
            )
