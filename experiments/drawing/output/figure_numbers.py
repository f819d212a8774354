"""The numbers of a figure as they are drawn, panel by panel: for whoever draws it anew in another program."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

_COLUMNS: Final = ("panel", "kind", "series", "x_is", "y_is", "x", "y", "low", "high")
Row = dict[str, object]


def figure_csv(figure: Figure) -> str:
    """Return a table of all that is drawn: lines, points, bands (low, high), bars, error bars, images, histograms.

    x and y are numbers, or the names at the ticks where an axis has names; low and high are the ends of a band or of
    an error bar, along y, or along x where it lies.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for number, axes in enumerate((own for own in figure.axes if own.axison), start=1):
        title = " ".join(" ".join(axes.get_title(loc=place) for place in ("left", "center")).split())
        head: Row = {
            "panel": title or str(number),
            "x_is": _line(axes.get_xlabel()),
            "y_is": _line(axes.get_ylabel()),
        }
        writer.writerows({**head, **row} for row in _rows_of(axes))
    return text.getvalue()


def _line(text: str) -> str:
    return " ".join(text.split())


def _rows_of(axes: Axes) -> Iterator[Row]:
    names = {"x": _names(axes.xaxis), "y": _names(axes.yaxis)}
    in_containers: set[int] = set()
    rows: list[Row] = []
    for container in axes.containers:
        if isinstance(container, BarContainer):
            in_containers |= {id(patch) for patch in container.patches}
            rows += _bars(container)
        elif isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            in_containers |= {id(own) for own in (line, *caps, *bars)}
            rows += _error_bars(container)
    for line in axes.lines:
        if id(line) not in in_containers:
            x, y = np.atleast_1d(line.get_xdata(orig=False)), np.atleast_1d(line.get_ydata(orig=False))
            rows += [
                {"kind": "line", "series": _named(line), "x": a, "y": b} for a, b in zip(x, y, strict=True)
            ]
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            offsets = np.ma.getdata(collection.get_offsets())
            rows += [{"kind": "points", "series": _named(collection), "x": x, "y": y} for x, y in offsets]
        elif isinstance(collection, PolyCollection):
            rows += [
                row for path in collection.get_paths() for row in _band(path.vertices, _named(collection))
            ]
    for image in axes.images:
        values = np.asarray(image.get_array())
        if values.ndim == 2:
            rows += [
                {
                    "kind": "image",
                    "series": _named(image),
                    "x": column,
                    "y": line,
                    "low": value,
                    "high": value,
                }
                for line, own in enumerate(values)
                for column, value in enumerate(own)
            ]
    for row in rows:
        for name in ("x", "y", "low", "high"):
            if name in row:
                row[name] = _written(row[name], names.get(name, {}))
        yield row


def _bars(container: BarContainer) -> list[Row]:
    rows: list[Row] = []
    is_upright = container.orientation != "horizontal"
    for bar in container.patches:
        x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
        row: Row = {"kind": "bar", "series": _named(container)}
        if is_upright:
            row |= {"x": x + width / 2, "y": y + height, "low": y, "high": y + height}
        else:
            row |= {"x": x + width, "y": y + height / 2, "low": x, "high": x + width}
        rows.append(row)
    return rows


def _error_bars(container: ErrorbarContainer) -> list[Row]:
    line, _, bars = container.lines
    segments = bars[0].get_segments() if bars else []
    rows: list[Row] = []
    along = 0 if container.has_xerr else 1
    points = line.get_xydata() if line is not None else [segment.mean(axis=0) for segment in segments]
    for number, (x, y) in enumerate(np.asarray(points)):
        row: Row = {"kind": "point", "series": _named(container), "x": x, "y": y}
        if number < len(segments) and len(segments[number]) == 2:
            row |= {"low": segments[number][0][along], "high": segments[number][1][along]}
        rows.append(row)
    return rows


def _band(vertices: Any, name: str) -> list[Row]:
    """Read a band between two curves, whose outline runs along one and back along the other."""
    points, rest = divmod(len(vertices) - 3, 2)
    if points < 1 or rest:
        return [{"kind": "outline", "series": name, "x": x, "y": y} for x, y in vertices]
    first, second = vertices[1 : points + 1], vertices[points + 2 : 2 * points + 2][::-1]
    if not np.allclose(first[:, 0], second[:, 0]):
        return [{"kind": "outline", "series": name, "x": x, "y": y} for x, y in vertices]
    return [
        {"kind": "band", "series": name, "x": a[0], "low": min(a[1], b[1]), "high": max(a[1], b[1])}
        for a, b in zip(first, second, strict=True)
    ]


def _named(artist: Any) -> str:
    name = str(artist.get_label() or "")
    return "" if name.startswith("_") else _line(name)


def _names(axis: Any) -> dict[float, str]:
    """Return the names at the ticks of an axis of named things, which stand at 0, 1, 2, ...."""
    places, labels = axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]
    if not np.array_equal(places, np.arange(len(places))) or not all(
        any(map(str.isalpha, t)) for t in labels
    ):
        return {}
    return {float(place): _line(text) for place, text in zip(places, labels, strict=True)}


def _written(value: Any, names: dict[float, str]) -> object:
    number = float(value)
    return names.get(number, f"{number:.7g}")
