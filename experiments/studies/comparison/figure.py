"""The figure of a comparison of runs: how each learned, and what time left of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.ticker import MaxNLocator, PercentFormatter

from ...data.chance import mark
from ...drawing.figures import label_times, save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import SERIES
from .rows import Compared

_LINES: Final = ("-", "--", ":")


def draw(runs: Sequence[Compared], path: Path) -> None:
    """Draw validation accuracy against epochs, and test accuracy against time since programming.

    Args:
        runs: At least two.
        path: The PNG file.
    """
    aged = [run for run in runs if len(run.result.times) > 1]
    figure = new_figure((9.5 if aged else 5.5, 4.2))
    axes = figure.subplots(1, 2 if aged else 1, squeeze=False)[0]
    for number, run in enumerate(runs):
        look = {"color": SERIES[number % len(SERIES)], "ls": _LINES[number // len(SERIES) % len(_LINES)]}
        name = run.name + mark([run.result.did_learn])
        epochs = [record["epoch"] for record in run.log]
        axes[0].plot(
            epochs, [record["validation_accuracy"] for record in run.log], lw=1.8, label=name, **look
        )
        if run in aged:
            means = [mean for mean, _ in run.over_time]
            axes[1].plot(run.result.times, means, marker="o", ms=4, lw=1.8, **look)
    axes[0].set_xlabel("epoch")
    axes[0].set_ylabel("validation accuracy")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if aged:
        axes[1].set_xscale("log")
        times = sorted({time for run in aged for time in run.result.times})
        label_times(axes[1], tuple(times))
        axes[1].set_xlabel("time since programming, or since the end of training")
        axes[1].set_ylabel("test accuracy, compensated where it was")
    for panel in axes:
        panel.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        strip(panel)
    figure.legend(
        loc="outside lower center", ncols=1 if len(runs) < 4 else 2, frameon=False, fontsize="small"
    )
    save_figure(figure, path)
