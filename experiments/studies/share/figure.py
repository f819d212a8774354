"""The figure of `xbar share`: accuracy against the epochs since kernels were made one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import BLUE, GREEN, PALE, VERMILION
from .rows import Row
from .table import curves_of

_COLORS: Final = {"from nothing": VERMILION, "apart": BLUE, "together": GREEN}
_MARKERS: Final = {"from nothing": "s", "apart": "o", "together": "^"}
_WORDS: Final = {
    "from nothing": "one tile that starts from nothing",
    "apart": "from the mean of kernels drawn apart",
    "together": "from the mean of kernels that started together",
}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel for each mode and shift."""
    curves = curves_of(rows)
    if not curves:
        return
    modes = list(dict.fromkeys(first.first.mode for first, _ in curves))
    shifts = list(dict.fromkeys(first.first.shift for first, _ in curves))
    figure = new_figure((2.9 * len(shifts) + 1.0, 2.6 * len(modes) + 0.7))
    panels = figure.subplots(len(modes), len(shifts), sharex=True, sharey=True, squeeze=False)
    for first, lines in curves:
        axes = panels[modes.index(first.first.mode)][shifts.index(first.first.shift)]
        for name, line in lines.items():
            axes.errorbar(
                list(line),
                [100 * mean.value for mean in line.values()],
                yerr=[100 * (mean.std or 0.0) for mean in line.values()],
                fmt=f"{_MARKERS[name]}-",
                color=_COLORS[name],
                ms=4,
                capsize=2,
                label=_WORDS[name],
            )
        axes.set_xscale("symlog", linthresh=1)
        ticks = sorted({epochs for line in lines.values() for epochs in line})
        axes.set_xticks(ticks, labels=[str(epochs) for epochs in ticks], minor=False)
        axes.set_xticks([], minor=True)
        axes.grid(color=PALE, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes, shift in zip(panels[0], shifts, strict=True):
        axes.set_title(f"trained with shifts of {shift:g}" if shift else "trained without shifts")
    for line_of_panels, mode in zip(panels, modes, strict=True):
        line_of_panels[0].set_ylabel(f"{mode}: test accuracy in %")
    for axes in panels[-1]:
        axes.set_xlabel("epochs since made one")
    handles = panels[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=1, frameon=False)
    save_figure(figure, path)
