"""Figures as they are printed: a style that a user can replace, and the width of a journal's column.

Figures are drawn for a screen, side by side. At the width of a column their panels are put below each other where
they would be too narrow, text has the size of print, and lines and markers are as much thinner.
"""

import textwrap
from pathlib import Path
from typing import Any, Final

from matplotlib import rcParams, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text

from ...support.figure_formats import figure_style, figure_width

_STYLE: Final = Path(__file__).with_name("xbar.mplstyle")
_PRINTED: Final = 7.5  # points: small text is then 6.2 and the smallest 5.2; journals ask for 5 to 7
_NARROWEST: Final = 2.9  # inches of a panel with its labels; assumed: title and legend fit (looked at)
_THINNER: Final = 0.7  # lines and markers at the width of a column
_TALLEST, _FLATTEST = 1.1, 0.55  # height of a panel over its width, unless it is a list of many lines
_CHARACTER: Final = 0.52  # mean width of a character over its size
_LONG_NAME: Final = 24  # characters
_INSIDE, _INSIDE_OF_NAMES = 0.85, 0.58  # of a panel's width, inside its axes; assumed
_INCH: Final = 25.4  # mm


def new_figure(figsize: tuple[float, float]) -> Figure:
    """Begin a figure: in our style, with the user's over it, of a size for a screen, in inches.

    Raises:
        ValueError: If the user's style is none.
    """
    style.use(_STYLE)
    if figure_width() is not None:
        rcParams["font.size"] = _PRINTED
    own = figure_style()
    if own is not None:
        try:
            style.use(own)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"`--style` must be a matplotlib style file, but {own} is none: {error}."
            ) from None
    return Figure(figsize=figsize, layout="constrained")


def fit_to_page(figure: Figure) -> None:
    """Give a figure the width that was asked for, once; without one nothing changes."""
    width_mm = figure_width()
    if width_mm is None or getattr(figure, "_is_fitted", False):
        return
    figure._is_fitted = True  # type: ignore[attr-defined]
    width, (old_width, old_height) = width_mm / _INCH, figure.get_size_inches()
    panels = _panels(figure)
    natural = max((own.get_subplotspec().get_gridspec().ncols for own in panels), default=1)  # type: ignore[union-attr]
    spans = [_columns_of(own) / own.get_subplotspec().get_gridspec().ncols for own in panels]  # type: ignore[union-attr]
    narrowest = min(spans, default=1.0) * width
    if panels and narrowest < _NARROWEST and natural > 1:
        _stack(figure, panels, width, (old_width, old_height))
    else:
        height = old_height * min(1.0, max(width / old_width * 1.1, 0.6))
        for own, span in zip(panels, spans, strict=True):
            _wrap(own, span * width)
            height = max(height, _room_for_names(own) / _share_of_height(own))
        figure.set_size_inches(width, height)
    _wrap_text(getattr(figure, "_suptitle", None), width)
    _reset_legends(figure, width)
    for own in figure.axes:
        _thin(own)


def _panels(figure: Figure) -> list[Axes]:
    """Return the axes that stand in a grid, row by row; those that show nothing are taken out."""
    found = []
    for own in list(figure.axes):
        if own.get_subplotspec() is None:
            continue
        if not own.axison and not (own.texts or own.lines or own.images or own.collections or own.patches):
            own.remove()
        else:
            found.append(own)
    return sorted(found, key=lambda own: (_spec(own).rowspan.start, _spec(own).colspan.start))


def _spec(axes: Axes) -> Any:
    return axes.get_subplotspec()


def _columns_of(axes: Axes) -> int:
    return len(_spec(axes).colspan)


def _stack(figure: Figure, panels: list[Axes], width: float, old: tuple[float, float]) -> None:
    """Put panels into as many columns as the width holds, in their order."""
    columns = max(1, int(width / _NARROWEST))
    rows = -(-len(panels) // columns)
    own_width = width / columns
    heights = [0.0] * rows
    for number, axes in enumerate(panels):
        heights[number // columns] = max(heights[number // columns], _height(axes, own_width, old))
    grid = GridSpec(rows, columns, figure=figure, height_ratios=heights)
    for number, axes in enumerate(panels):
        shared = [other for other in axes.get_shared_y_axes().get_siblings(axes) if other is not axes]
        if shared and not axes.get_ylabel():
            axes.set_ylabel(next((other.get_ylabel() for other in shared if other.get_ylabel()), ""))
        axes.tick_params(labelleft=True, labelbottom=True)
        axes.set_subplotspec(grid[number // columns, number % columns])
        _wrap(axes, own_width)
    figure.set_size_inches(width, sum(heights) + 0.35)


def _height(axes: Axes, width: float, old: tuple[float, float]) -> float:
    """Return the height of a panel with its labels: of its old shape, but a list keeps room for its lines."""
    old_height = old[1] * _share_of_height(axes)
    old_width = old[0] * _columns_of(axes) / _spec(axes).get_gridspec().ncols
    height: float = min(max(width * old_height / old_width, _FLATTEST * width), _TALLEST * width)
    return max(height, _room_for_names(axes))


def _share_of_height(axes: Axes) -> float:
    """Return which part of its grid's height a panel has."""
    grid, span = _spec(axes).get_gridspec(), _spec(axes).rowspan
    ratios = grid.get_height_ratios() or [1] * grid.nrows
    return float(sum(ratios[span.start : span.stop]) / sum(ratios))


def _room_for_names(axes: Axes) -> float:
    """Return the height in inches that the names at the ticks of a list take, broken as `_wrap` does."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    lines = [max(1, -(-len(name) // _LONG_NAME)) for name in names if any(map(str.isalpha, name))]
    return 0.19 * max(lines, default=0) * len(lines) + 1.1 if lines else 0.0


def _wrap(axes: Axes, width: float) -> None:
    """Break the names at ticks, titles and labels of a panel with so many inches."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    inside = _INSIDE * width
    if any(len(name) > _LONG_NAME and any(map(str.isalpha, name)) for name in names):
        axes.set_yticks(axes.get_yticks(), [textwrap.fill(name, _LONG_NAME) for name in names])
    if any(any(map(str.isalpha, name)) for name in names):
        inside = _INSIDE_OF_NAMES * width
    for title in ("_left_title", "title", "_right_title"):
        _wrap_text(getattr(axes, title), inside)
    _wrap_text(axes.xaxis.label, inside)
    _wrap_text(axes.yaxis.label, 0.8 * width)


def _wrap_text(text: Text | None, width: float) -> None:
    """Break a text where it would be wider than so many inches; what is broken stays so."""
    if text is None:
        return
    letters = max(12, int(width * 72 / (_CHARACTER * float(text.get_fontsize()))))
    text.set_text("\n".join(textwrap.fill(line, letters) for line in text.get_text().split("\n")))


def _reset_legends(figure: Figure, width: float) -> None:
    """Give legends of the whole figure as many columns as there is room for."""
    for legend in list(figure.legends):
        handles, names = legend.legend_handles, [text.get_text() for text in legend.get_texts()]
        size = float(legend.get_texts()[0].get_fontsize())
        longest = max(map(len, names)) * _CHARACTER * size + 4 * size
        columns = max(1, min(len(names), int(width * 72 / longest)))
        legend.remove()
        figure.legend(
            handles=[handle for handle in handles if handle is not None], labels=names, fontsize=size,
            frameon=False, loc="outside lower center", ncols=columns,
        )  # fmt: skip


def _thin(axes: Axes) -> None:
    for line in axes.lines:
        line.set_linewidth(_THINNER * line.get_linewidth())
        line.set_markersize(_THINNER * line.get_markersize())
    for spine in axes.spines.values():
        spine.set_linewidth(_THINNER * spine.get_linewidth())
    axes.tick_params(width=0.6, length=2.5)
