"""Energy of each scheme, relative to the first, while one constant of the profile is scaled."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, scheme_color
from .figures import name_ends, sync_every, write_plainly
from .residual import dash_of
from .rows import MECHANISM_NAMES, scheme_label
from .sensitivity import Flip, Line

Lines = Mapping[tuple[str, str, str], Mapping[str, Mapping[str, Line]]]
"""By device, mechanism and work; by constant; by scheme."""


def draw_sensitivity(
    lines: Lines, flips: Sequence[Flip], ranges: Mapping[str, Mapping[str, tuple[float, float]]], path: Path
) -> None:
    """Draw a panel for each constant, a line of panels for each device and mechanism; dots mark clear flips.

    Args:
        lines: The energies: of a training step where the chip trains, of an inference elsewhere.
        flips: Where lines cross.
        ranges: By device and constant, the smallest and largest factor.
        path: The PNG file.
    """
    groups = list(lines)
    if not groups:
        return
    number = len(lines[groups[0]])
    figure = new_figure((3.1 * number + 1.6, 0.8 + 2.9 * len(groups)))
    panels = figure.subplots(len(groups), number, squeeze=False, sharey="row")
    for group, row in zip(groups, panels, strict=True):
        device, mechanism, work = group
        for axes, (constant, (low, high)) in zip(row, ranges[device].items(), strict=True):
            factors = np.geomspace(max(low, 1e-3 * high), high, 120)
            schemes = lines[group][constant]
            reference = schemes.get("free") or next(iter(schemes.values()))
            ends = []
            for scheme, line in schemes.items():
                values = [line.at(f) / reference.at(f) for f in factors]
                color = scheme_color(scheme)
                axes.plot(factors, values, color=color, lw=1.5, ls=dash_of(sync_every(scheme)))
                label = scheme_label(scheme)
                if mechanism != "in-situ":
                    label = label.removesuffix(", broadcast")
                ends.append((values[-1], label, color))
            for flip in flips:
                if (flip.device, flip.mechanism, flip.work, flip.constant) == (
                    *group,
                    constant,
                ) and flip.is_clear:
                    value = schemes[flip.cheaper_below].at(flip.factor) / reference.at(flip.factor)
                    axes.plot(flip.factor, value, "o", ms=4, mfc="white", mec="black", mew=0.9, zorder=5)
            axes.set_xscale("log")
            axes.set_yscale("log")
            write_plainly(axes.xaxis)
            write_plainly(axes.yaxis)
            axes.axvline(1.0, color="0.8", lw=0.8, zorder=0)
            axes.set_xlabel(f"factor on {constant}")
            strip(axes)
            if axes is row[-1]:
                name_ends(axes, ends, is_log=True)
        reference_name = "free" if "free" in next(iter(lines[group].values())) else "the first scheme"
        row[0].set_ylabel(f"energy per {work},\nrelative to {reference_name}")
        row[0].set_title(f"{device}, {MECHANISM_NAMES[mechanism]}", loc="left", fontsize="large")
    figure.supxlabel(
        "Circles: two schemes cost the same, and the other one is cheaper beyond. Grey line: the profile as it is.",
        fontsize="small",
        color=GREY,
    )
    save_figure(figure, path)
