"""The figure of `xbar what-if`: what each change of a device gains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devices.units import Dimensionless

from ...drawing.differences import Change, draw_changes
from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import VERDICTS
from .gains import HOW, Gain, ranked

_MARKERS: Final = {"gains": "o", "loses": "v", "within the spread": "s", "below the threshold": "D"}


def draw_gains(gains: Sequence[Gain], name: str, path: Path, threshold: Dimensionless) -> None:
    """Draw the gain of each change with its 95 % interval, a panel for each use of the device; none without changes.

    Args:
        gains: What was found.
        name: What the device is called.
        path: The PNG file.
        threshold: Gains up to this one do not matter to the user; shaded.
    """
    panels = {mode: ranked(gains, mode)[1:] for mode in HOW}
    panels = {mode: own for mode, own in panels.items() if own}
    if not panels:
        return
    rows = [len(own) + 1.6 for own in panels.values()]
    figure = new_figure((8.6, 0.32 * sum(rows) + 0.9))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=rows)
    groups: set[str] = set()
    for axes, (mode, own) in zip(grid.flat, panels.items(), strict=True):
        changes = [
            Change(gain.name, gain.difference, verdict, VERDICTS[verdict], _MARKERS[verdict])
            for gain in own
            if (verdict := gain.verdict) is not None
        ]
        draw_changes(axes, changes, threshold, named=groups)
        axes.set_title(f"{HOW[mode]}: {name}", loc="left", fontsize="medium")
        axes.set_xlabel("accuracy gained, percentage points, 95 % interval")
    figure.legend(fontsize="small", frameon=False, loc="outside lower center", ncols=5)
    save_figure(figure, path)
