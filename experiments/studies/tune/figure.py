"""The figure of `xbar tune`: validation accuracy against learning rate, a panel for each device and mechanism."""

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, scheme_color
from ..seeds import by_key
from ..sharing_cost.figures import write_plainly
from ..sharing_cost.rows import scheme_label
from .search import Trial
from .searches import Found

# The same colour stands for a family of schemes.
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")


def draw_trials(found: Found, path: Path) -> None:
    """Draw all that was tried: filled, trained to the end; hollow, stopped early; with a ring, chosen.

    Args:
        found: The searches.
        path: The PNG file.
    """
    named = list(zip(found.rates, found.trials.values(), strict=True))
    groups = by_key(named, lambda item: (item[0].device, item[0].mode))
    figure = new_figure((8.5, 0.6 + 3.0 * len(groups)))
    for axes, group in zip(figure.subplots(len(groups), 1, squeeze=False)[:, 0], groups, strict=True):
        handles = []
        for number, (rate, trials) in enumerate(group):
            color, marker = scheme_color(rate.placement), _MARKERS[number % len(_MARKERS)]
            _draw_search(axes, trials, color, marker)
            axes.plot(rate.lr, 100 * rate.validation_accuracy, "o", ms=13, mfc="none", mec=color, mew=1.2)
            label = scheme_label(rate.placement)
            handles.append(Line2D([], [], color=color, marker=marker, ls="", label=label))
        axes.set_xscale("log")
        write_plainly(axes.xaxis)
        axes.set_title(f"{group[0][0].device}, {group[0][0].mode}", loc="left", fontsize="large")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("validation accuracy in %")
        axes.legend(
            handles=handles, fontsize="x-small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)
        )
        strip(axes)
    note = "Filled: trained to the end. Hollow: stopped early. Ring: chosen."
    figure.supxlabel(note, fontsize="small", color=GREY)
    save_figure(figure, path)


def _draw_search(axes: Axes, trials: list[Trial], color: str, marker: str) -> None:
    for trial in trials:
        if trial.accuracy is not None:
            face = color if trial.is_complete else "white"
            axes.plot(trial.lr, 100 * trial.accuracy, marker, ms=5, mfc=face, mec=color, alpha=0.85)
