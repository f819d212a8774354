"""The figure of `xbar does-it-matter`: what switching off each non-ideality adds to the accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devices.units import Dimensionless

from ...drawing.differences import Change, draw_changes
from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import VERDICTS
from .effects import Effect

_MARKERS: Final = {"matters": "o", "within the spread": "s", "below the threshold": "D", "NO EFFECT": "x"}


def draw_effects(effects: Sequence[Effect], title: str, path: Path, threshold: Dimensionless = 0.0) -> None:
    """Draw the change of each non-ideality with its 95 % interval, on a scale that shows small ones and large ones.

    Args:
        effects: What was found, in the order in which it is shown.
        title: What was compared.
        path: The PNG file.
        threshold: Changes up to this one do not matter to the user; shaded.
    """
    figure = new_figure((8.6, 0.32 * len(effects) + 1.6))
    axes = figure.subplots()
    changes = [
        Change(
            effect.name,
            effect.difference,
            effect.verdict,
            VERDICTS[effect.verdict],
            _MARKERS[effect.verdict],
        )
        for effect in effects
    ]
    draw_changes(axes, changes, threshold)
    axes.set_xlabel("accuracy gained without it, percentage points, 95 % interval")
    axes.set_title(title, loc="left", fontsize="medium")
    figure.legend(fontsize="small", frameon=False, loc="outside lower center", ncols=5)
    save_figure(figure, path)
