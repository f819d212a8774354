"""Changes of accuracy with their intervals, on a scale that is linear around 0 and logarithmic beyond."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from devices.units import Dimensionless

from ..support.statistics import Difference
from .palette import GREY, PALE

_TICKS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_DECADES: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
_MANY: Final = 3  # on each side
_FINEST: Final = 0.01  # percentage points: finer changes are nobody's concern


@final
@dataclass(frozen=True)
class Change:
    """One line of the figure.

    Attributes:
        name: What was changed.
        difference: What that did to the accuracy.
        group: What the legend calls its kind.
        color: Of the kind.
        marker: Of the kind.
    """

    name: str
    difference: Difference
    group: str
    color: str
    marker: str


def draw_changes(
    axes: Axes, changes: Sequence[Change], threshold: Dimensionless = 0.0, named: set[str] | None = None
) -> None:
    """Draw a point and its 95 % interval for each change, in percentage points, from top to bottom.

    The scale is linear up to the finest interval, where noise is, and logarithmic beyond, so that a change of 0.1 can
    be seen beside one of 60.

    Args:
        axes: Where.
        changes: The lines.
        threshold: Changes up to this one do not matter; shaded.
        named: Groups that another panel has named in the figure's legend; those of this one are added.
    """
    seen = set() if named is None else named
    for place, change in enumerate(changes):
        found = change.difference
        label = None if change.group in seen else change.group
        seen.add(change.group)
        axes.errorbar(
            100 * found.value, place, xerr=100 * found.reach, fmt=change.marker, color=change.color, ms=5,
            capsize=2.5, lw=1.3, label=label,
        )  # fmt: skip
    axes.set_yticks(range(len(changes)), [change.name for change in changes], fontsize="small")
    for label_text, change in zip(axes.get_yticklabels(), changes, strict=True):
        label_text.set_color(change.color)
    axes.set_ylim(len(changes) - 0.4, -0.6)
    reaches = [100 * change.difference.reach for change in changes if change.difference.reach > 0]
    linear = max(_FINEST, min(reaches, default=1.0))
    ends = [100 * end for change in changes for end in (change.difference.low, change.difference.high)]
    low, high = min([*ends, -linear, -100 * threshold]), max([*ends, linear, 100 * threshold])
    axes.set_xscale("symlog", linthresh=linear, linscale=0.6)
    axes.set_xlim(low * 1.3, high * 1.3)
    ticks = [tick for tick in _TICKS if 0.99 * linear <= tick <= max(-low, high)]
    if len(ticks) > _MANY:
        ticks = [tick for tick in ticks if tick in _DECADES]
    axes.xaxis.set_major_locator(FixedLocator([*(-tick for tick in reversed(ticks)), 0.0, *ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    if threshold:
        label = None if "threshold" in seen else "threshold"
        seen.add("threshold")
        axes.axvspan(-100 * threshold, 100 * threshold, color=GREY, alpha=0.12, lw=0, label=label)
    axes.axvline(0, color="black", lw=0.8)
    axes.grid(axis="x", color=PALE, lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
