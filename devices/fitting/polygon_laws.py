"""Laws for devices that follow none: steps that are polygons over the range, and tables of steps and spreads."""

import math
from typing import Any, Final

import numpy as np
from typing_extensions import final, override

from ..units import Dimensionless, Mixed
from .step_law import Code, Coordinate, Moments, Notes, StepLaw, Values, common, hard_bounds, written_bounds

_NODES: Final = 6  # of the polygon of a piecewise law, in each direction; assumed
_FINE_NODES: Final = 12  # of the finer one, where that is too coarse; assumed
_TABLE_NODES: Final = 8  # of a lookup table; assumed
_FINER: Final = 2  # nodes of a file for one of a fit: those are equally distant between the bounds; assumed
_SPREAD: Final = 0.3  # of a step, to start from; assumed


def drawn_on(
    sizes: Values, places: Values, ends: tuple[Mixed | Values, Mixed | Values] = (-1.0, 1.0)
) -> Values:
    """Return a polygon at places, also beyond its ends, where its last stretches go on.

    Args:
        sizes: (nodes,) at equal distances.
        places: Where.
        ends: Of the polygon; of several polygons, (polygons, 1).
    """
    last = len(sizes) - 1
    place = (places - ends[0]) / (ends[1] - ends[0]) * last
    left = np.clip(np.floor(place).astype(int), 0, last - 1)
    return np.asarray(sizes[left] + (sizes[left + 1] - sizes[left]) * (place - left))


class _Polygon(StepLaw):
    """Steps follow a polygon: no law, but whatever was measured.

    Its nodes are equally distant over the measured range, the same for all devices: there they are determined. Where
    steps end is another matter; a device file, whose nodes lie between its bounds, has the polygon drawn on to there.
    """

    file_law = "Piecewise"
    code = Code.POLYGON

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [
            *(
                Coordinate(f"{way}_{node}", "plain", size, 0.1 * size, 3 * size)
                for way, size in (("up", moments.up), ("down", moments.down))
                for node in range(self.nodes)
            ),
            *hard_bounds(moments),
        ]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = written_bounds(x[2 * self.nodes], x[2 * self.nodes + 1], notes)
        places = np.linspace(bounds["w_min"], bounds["w_max"], _FINER * (self.nodes - 1) + 1)
        up, down = (drawn_on(own, places) for own in (x[: self.nodes], x[self.nodes : 2 * self.nodes]))
        if min(up.min(), down.min()) < 0:
            notes.append("Steps of some nodes were against the direction of the pulse, and are written as 0.")
            up, down = np.maximum(up, 0.0), np.maximum(down, 0.0)
        sizes = common(float(up.mean()), float(down.mean()))
        weaker = 1 - abs(sizes["up_down"])
        scale_up = sizes["dw_min"] * (weaker if sizes["up_down"] < 0 else 1.0)
        scale_down = sizes["dw_min"] * (weaker if sizes["up_down"] > 0 else 1.0)
        return {
            **sizes, **bounds,
            "piecewise_up": (up / scale_up).tolist(), "piecewise_down": (down / scale_down).tolist(),
        }, notes  # fmt: skip


@final
class Piecewise(_Polygon):
    """A polygon with few nodes."""

    name = "Piecewise"
    nodes = _NODES


@final
class PiecewiseStep(_Polygon):
    """A polygon with more nodes, for devices that follow no law: aihwkit's PiecewiseStep device from the data."""

    name = "PiecewiseStep"
    nodes = _FINE_NODES


@final
class LookupTable(_Polygon):
    """Mean step and its spread at equally distant conductances, as users of table-driven simulators have them.

    Between them both are interpolated. The device of a file has the mean steps exactly; of the spread it has what all
    have in common, in relation to the step.
    """

    name = "LookupTable"
    code = Code.TABLE
    nodes = _TABLE_NODES

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        polygon = super().coordinates(moments)
        spreads = [
            Coordinate(f"{way}_spread_{node}", "log", math.log(_SPREAD * size), 0.2, 2.0)
            for way, size in (("up", moments.up), ("down", moments.down))
            for node in range(self.nodes)
        ]
        return [*polygon[: 2 * self.nodes], *spreads, *polygon[2 * self.nodes :]]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        bounds = x[4 * self.nodes : 4 * self.nodes + 2]
        device, notes = super().device(np.concatenate([x[: 2 * self.nodes], bounds]))
        return device, notes

    def relative_spread(self, x: Values) -> Dimensionless:
        """Return the spread of a step in relation to it, that all nodes have in common.

        Args:
            x: The coordinates.
        """
        squares = float(np.square(x[: 2 * self.nodes]).sum())
        return math.sqrt(float(np.exp(2 * x[2 * self.nodes : 4 * self.nodes]).sum()) / max(squares, 1e-18))

    def rows(self, x: Values) -> list[tuple[Dimensionless, ...]]:
        """Return the table: weight, step up and its spread, step down and its spread.

        Args:
            x: The coordinates.
        """
        n = self.nodes
        weights = np.linspace(-1.0, 1.0, n)
        columns = (weights, x[:n], np.exp(x[2 * n : 3 * n]), x[n : 2 * n], np.exp(x[3 * n : 4 * n]))
        return [tuple(map(float, row)) for row in zip(*columns, strict=True)]
