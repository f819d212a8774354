"""The scheme that takes the least energy if arrays are always on, against frame rate and static power."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.colors import ListedColormap

from ....drawing.figures import save_figure, strip
from ....drawing.output.figure_page import new_figure
from ....drawing.palette import GREY, scheme_color
from ..figures import darker
from ..rows import MECHANISM_NAMES, scheme_label
from .scopes import Demand, Group, cheapest

_POINTS: Final = 121
_SLOWEST: Final = 1.0  # images a second
_FACTORS: Final = (0.01, 10.0)  # of the profile's static power: 0.01 to 10 % of the power of a working array
_EQUAL: Final = "0.85"


def draw_scope_map(demands: Mapping[Group, Mapping[str, Demand]], path: Path) -> None:
    """Draw a map for each device, mechanism and kind of image that has several schemes to choose from.

    Args:
        demands: What each scheme takes.
        path: The PNG file; not written where there is nothing to choose.
    """
    groups = {group: schemes for group, schemes in demands.items() if len(schemes) > 1}
    if not groups:
        return
    columns = min(2, len(groups))
    lines = -(-len(groups) // columns)
    figure = new_figure((5.2 * columns + 0.6, 3.7 * lines + 0.6))
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    for axes, ((device, mechanism, kind), schemes) in zip(panels, groups.items(), strict=False):
        names = list(schemes)
        fastest = max(one.fastest for one in schemes.values())
        rates = np.geomspace(_SLOWEST, fastest, _POINTS)
        factors = np.geomspace(*_FACTORS, _POINTS)
        winner = np.array(
            [
                [_winner({name: schemes[name].at(rate, factor) for name in names}, names) for rate in rates]
                for factor in factors
            ]
        )
        colors = [_EQUAL, *(scheme_color(name) for name in names)]
        axes.pcolormesh(
            rates,
            factors,
            winner,
            cmap=ListedColormap(colors),
            vmin=-1.5,
            vmax=len(names) - 0.5,
            shading="nearest",
        )
        for turn, number in enumerate(np.unique(winner)):
            rows, places = np.nonzero(winner == number)
            label = "equal" if number < 0 else scheme_label(names[number])
            color = "0.3" if number < 0 else darker(scheme_color(names[number]))
            # Names of narrow areas beside each other stand at different heights.
            x, y = rates[int(np.median(places))], factors[int(np.quantile(rows, 0.3 + 0.4 * (turn % 2)))]
            if len(rows) > 0.02 * winner.size:
                axes.text(
                    x, y, label, ha="center", va="center", fontsize="medium", color=color,
                    bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 1.5},
                )  # fmt: skip
        axes.axhline(1.0, color="black", lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("images a second" if kind == "inference" else "training images a second")
        axes.set_ylabel("static power, relative to the profile")
        axes.set_title(f"{device}, {MECHANISM_NAMES[mechanism]}, {kind}", loc="left", fontsize="medium")
        strip(axes)
    figure.supxlabel(
        "Arrays always on. Colour: the scheme that takes the least energy for an image, of those that can take the "
        "rate;\ngrey: several within 2 %. Dotted: static power as the profile assumes it.",
        fontsize="small",
        color=GREY,
    )
    save_figure(figure, path)


def _winner(energies: Mapping[str, float | None], names: list[str]) -> int:
    best = cheapest(energies)
    return names.index(best[0]) if len(best) == 1 else -1
