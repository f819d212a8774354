"""The figure of `xbar does-it-matter`: what switching off each non-ideality adds to the accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from ...drawing.figures import GREY, save_figure
from .effects import Effect

_COLORS: Final = {"matters": "#D55E00", "within the spread": "#0072B2", "NO EFFECT": GREY}


def draw_effects(effects: Sequence[Effect], title: str, path: Path) -> None:
    """Draw a bar for each non-ideality, with two standard errors.

    Args:
        effects: What was found, in the order in which it is shown.
        title: What was compared.
        path: The PNG file.
    """
    figure = Figure(figsize=(8.6, 0.34 * len(effects) + 1.3), layout="constrained")
    axes = figure.subplots()
    for place, effect in enumerate(effects):
        color = _COLORS[effect.verdict]
        axes.barh(place, 100 * effect.change, xerr=200 * effect.error, color=color, height=0.62, capsize=2.5)
    names = [f"{e.what} ({e.part})" if "product" in e.part else e.what for e in effects]
    axes.set_yticks(range(len(effects)), names, fontsize=8.5)
    for label, effect in zip(axes.get_yticklabels(), effects, strict=True):
        label.set_color(_COLORS[effect.verdict])
    axes.invert_yaxis()
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel("accuracy gained without it, percentage points; lines: two standard errors")
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.grid(axis="x", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles = [
        axes.barh([0], [0], color=color, label=verdict)
        for verdict, color in _COLORS.items()
        if any(effect.verdict == verdict for effect in effects)
    ]
    axes.legend(handles=handles, fontsize=8, frameon=False)
    save_figure(figure, path)
