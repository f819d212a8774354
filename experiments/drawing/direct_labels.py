"""Names written beside the points of a figure, kept off each other and off the points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from .output.figure_page import fit_to_page

# Where a name may stand, in points from its point: nearest first; farther ones get a thin line to the point.
_PLACES: Final = [
    (dx, dy)
    for far in (1, 2, 3.2, 4.5)
    for dx, dy in (
        *((8 * far, 0.0), (-8 * far, 0.0), (6 * far, 7 * far), (6 * far, -7 * far)),
        *((-6 * far, 7 * far), (-6 * far, -7 * far), (0.0, 10 * far), (0.0, -10 * far)),
    )
]
_LINE_FROM: Final = 14.0  # points: a name nearer than that needs no line
_SPACE: Final = 2.0  # pixels between two names
_OFF_THE_AXES: Final = 4.0  # how much worse than an overlap it is to leave the axes


@final
@dataclass(frozen=True)
class Named:
    """A point with its name: data coordinates, text, colour, and the radius of its marker in points."""

    x: float
    y: float
    text: str
    color: str
    radius: float


def label_points(figure: Figure, axes: Axes, points: Sequence[Named], fontsize: float = 7.5) -> None:
    """Write each name where it covers the least, one after another, the points nearest to others first.

    Args:
        figure: With its final size and all axes.
        axes: With its final scales and limits.
        points: The points.
        fontsize: Of the names.
    """
    fit_to_page(figure)
    canvas = FigureCanvasAgg(figure)
    # The layout engine settles here; before, nobody knows where a point lies in pixels.
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    scale = figure.dpi / 72
    inside = axes.get_window_extent(renderer)
    centres = [axes.transData.transform((point.x, point.y)) for point in points]
    taken = [
        Bbox.from_extents(*(centre - point.radius * scale), *(centre + point.radius * scale))
        for centre, point in zip(centres, points, strict=True)
    ]
    crowding = [sum(1 / (1 + abs(c - other).sum()) for other in centres) for c in centres]
    for index in sorted(range(len(points)), key=lambda i: -crowding[i]):
        point = points[index]
        best = (math.inf, 0.0, 0.0)
        for dx, dy in _PLACES:
            dx, dy = _clear_of(dx, point.radius), _clear_of(dy, point.radius)
            text = _write(axes, point, dx, dy, fontsize)
            box = text.get_window_extent(renderer).padded(_SPACE)
            text.remove()
            badness = sum(_overlap(box, other) for other in taken)
            badness += _OFF_THE_AXES * (box.width * box.height - _overlap(box, inside))
            if badness < best[0] - 1.0:
                best = (badness, dx, dy)
            if badness == 0:
                break
        text = _write(axes, point, best[1], best[2], fontsize, line=True)
        taken.append(text.get_window_extent(renderer))


def _clear_of(offset: float, radius: float) -> float:
    """Add the radius of a marker to an offset, away from the point."""
    return offset if offset == 0 else offset + (radius - 3 if offset > 0 else 3 - radius)


def _write(axes: Axes, point: Named, dx: float, dy: float, fontsize: float, line: bool = False):  # type: ignore[no-untyped-def]
    far = line and max(abs(dx), abs(dy)) - point.radius > _LINE_FROM
    return axes.annotate(
        point.text,
        (point.x, point.y),
        xytext=(dx, dy),
        textcoords="offset points",
        color=point.color,
        fontsize=fontsize,
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="center" if abs(dy) < 1 else "bottom" if dy > 0 else "top",
        arrowprops={"arrowstyle": "-", "color": point.color, "lw": 0.5, "alpha": 0.6} if far else None,
        zorder=6,
    )


def _overlap(box: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share, in square pixels."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return float(max(width, 0.0) * max(height, 0.0))
