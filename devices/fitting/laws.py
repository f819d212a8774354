"""The step laws as functions of coordinates in which a fit is regular: how far one pulse moves a device on average.

They are aihwkit's (see `devices.pulsed.laws`), written for a fit. aihwkit's own parameters run away where a device is
nearly linear (bounds and powers to infinity, amplitudes to anything); the coordinates here do not: step in the middle
of the range, relative decline there, curvature, and inverse bounds where steps vanish at a bound. What is reported
and written follows from them. Weights are conductances, shifted and scaled so that the measurement spans [-1, 1].
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final, override

from ..units import Dimensionless, Mixed

Values = NDArray[np.float64]
Notes: TypeAlias = list[str]

FARTHEST: Final = 100.0  # bound that stands for one at infinity: steps decline by 1 % towards 1; assumed
SHORTEST: Final = (
    3.0  # pulses that a slow fluctuation lasts at least, lest it be taken for noise of readings; assumed
)
_NODES: Final = 6  # of the polygon of a piecewise law, in each direction; assumed
_FINE_NODES: Final = 12  # of the finer one, where that is too coarse; assumed
_TABLE_NODES: Final = 8  # of a lookup table; assumed
_SPREAD: Final = 0.3  # of a step, to start from; assumed
_LEAST_BEND: Final = 0.02  # of an exponential law, which aihwkit's parameters cannot make straight; assumed
_STEEPEST: Final = 20.0  # largest exponent of a power law that is written; assumed
# aihwkit's default of the exponential law, which only stretches and shifts its exponent: others would do as well.
_EXP_A, _EXP_B = 0.244, 0.2425


class Code(IntEnum):
    """A law in compiled code."""

    CONSTANT = 0
    LINEAR = 1
    SOFT = 2
    EXP = 3
    POW = 4
    POLYGON = 5
    TABLE = 6


@final
@dataclass(frozen=True)
class Coordinate:
    """One number that a fit moves.

    Attributes:
        name: What it is called where it is reported.
        kind: The number that is reported: its exponential, that and `SHORTEST`, itself, its inverse, or minus its
            inverse.
        start: Where a fit starts, in the coordinate.
        scale: A change that matters.
        reach: How far from the start it is looked for, as a standard deviation: the data say more, or nothing.
    """

    name: str
    kind: Literal["log", "length", "plain", "inverse", "minus inverse"]
    start: Mixed
    scale: Mixed
    reach: Mixed

    def shown(self, x: Mixed) -> Mixed:
        """Return the number that is reported."""
        if self.kind == "log":
            return math.exp(min(x, 700.0))
        if self.kind == "length":
            return SHORTEST + math.exp(min(x, 700.0))
        if self.kind == "plain":
            return x
        inverse = 1 / x if x > 0 else math.inf
        return inverse if self.kind == "inverse" else -inverse


@final
@dataclass(frozen=True)
class Moments:
    """What a measurement says at first sight.

    Attributes:
        up: Mean size of a step up.
        down: Of a step down.
        highest: The highest weight, without the noise of readings.
        lowest: The lowest.
    """

    up: Dimensionless
    down: Dimensionless
    highest: Dimensionless
    lowest: Dimensionless


class StepLaw(ABC):
    """A step law whose parameters are a vector of coordinates.

    Attributes:
        name: What it is called.
        file_law: What device files call it.
        code: The law in compiled code.
        nodes: Of its polygon, in each direction; 0 where it has none.
    """

    name: ClassVar[str]
    file_law: ClassVar[str]
    code: ClassVar[Code]
    nodes: ClassVar[int] = 0

    @abstractmethod
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        """Return the coordinates, with values to start a fit from."""

    @abstractmethod
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        """Return what aihwkit's device of this law is called with, and what had to be changed for it."""

    def spreads(self, x: Values, spread: Values) -> dict[str, Dimensionless]:
        """Return aihwkit's spreads of this law's own parameters, from the coordinates' standard deviations."""
        del x, spread
        return {}


def _steps(m: Moments) -> list[Coordinate]:
    return [
        Coordinate("step_up", "log", math.log(m.up), 0.1, 3.0),
        Coordinate("step_down", "log", math.log(m.down), 0.1, 3.0),
    ]


def _both(name: str, start: Mixed, scale: Mixed, reach: Mixed) -> list[Coordinate]:
    return [Coordinate(f"{name}_{way}", "plain", start, scale, reach) for way in ("up", "down")]


def _hard_bounds(m: Moments, reach: Dimensionless = 1.0) -> list[Coordinate]:
    return [
        Coordinate("w_max", "plain", m.highest, 0.03, reach),
        Coordinate("w_min", "plain", m.lowest, 0.03, reach),
    ]


def _soft_bounds(m: Moments, part: Dimensionless) -> list[Coordinate]:
    return [
        Coordinate("w_max", "inverse", part / max(m.highest, 0.1), 0.1, 2.0),
        Coordinate("w_min", "minus inverse", part / max(-m.lowest, 0.1), 0.1, 2.0),
    ]


def _common(up: Dimensionless, down: Dimensionless) -> dict[str, Dimensionless]:
    """Split two sizes into aihwkit's common one and its asymmetry: the weaker direction loses it."""
    if max(up, down) <= 0:
        return {"dw_min": 0.0, "up_down": 0.0}
    return {"dw_min": max(up, down), "up_down": 1 - down / up if up >= down else up / down - 1}


def _written_bounds(highest: Mixed, lowest: Mixed, notes: Notes) -> dict[str, Dimensionless]:
    """Return bounds on both sides of zero, as aihwkit wants them."""
    if highest < 0.05 or lowest > -0.05:
        notes.append("The bounds lie on one side of the middle of the range; they were moved to include it.")
    return {"w_max": max(float(highest), 0.05), "w_min": min(float(lowest), -0.05)}


def _inverse(c: Mixed, name: str, notes: Notes) -> Dimensionless:
    """Return a bound from its inverse, at the search limit where steps do not decline towards it."""
    if c < 1 / FARTHEST:
        notes.append(
            f"{name} is at the search limit, {FARTHEST:g}: steps do not decline towards it within the measured range."
        )
        return FARTHEST
    return 1 / float(c)


def _declining(q: Mixed, name: str, notes: Notes) -> Dimensionless:
    if q < 0:
        notes.append(f"{name} is at its limit, 0: steps do not decline, which this law does not know.")
    return max(float(q), 0.0)


@final
class ConstantStep(StepLaw):
    """Every pulse counts the same, until a bound."""

    name = file_law = "ConstantStep"
    code = Code.CONSTANT

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [*_steps(moments), *_hard_bounds(moments)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        return {**_common(*np.exp(x[:2]).tolist()), **_written_bounds(x[2], x[3], notes)}, notes


@final
class LinearStep(StepLaw):
    """Steps shrink linearly with the weight, until a bound."""

    name = file_law = "LinearStep"
    code = Code.LINEAR

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [*_steps(moments), *_both("slope", 0.3, 0.1, 1.5), *_hard_bounds(moments)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = _written_bounds(x[4], x[5], notes)
        up, down = float(x[2]) * bounds["w_max"], -float(x[3]) * bounds["w_min"]
        own: dict[str, Any] = {"gamma_up": up, "gamma_down": down}
        if min(up, down) < 0:
            own["allow_increasing"] = True
        return {**_common(*np.exp(x[:2]).tolist()), **bounds, **own}, notes

    @override
    def spreads(self, x: Values, spread: Values) -> dict[str, Dimensionless]:
        return {
            "gamma_up_dtod": float(spread[2] * abs(x[4])),
            "gamma_down_dtod": float(spread[3] * abs(x[5])),
        }


@final
class SoftBounds(StepLaw):
    """Steps shrink linearly and vanish at the bounds, which lie where they would, also beyond the measurement."""

    name = file_law = "SoftBounds"
    code = Code.SOFT

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [*_steps(moments), *_soft_bounds(moments, 0.7)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = {"w_max": _inverse(x[2], "w_max", notes), "w_min": -_inverse(x[3], "w_min", notes)}
        return {**_common(*np.exp(x[:2]).tolist()), **bounds}, notes


@final
class ExpStep(StepLaw):
    """Steps shrink by an amount that grows exponentially towards the bounds."""

    name = file_law = "ExpStep"
    code = Code.EXP

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [
            *_steps(moments), *_both("slope", 0.3, 0.1, 1.5), *_both("bend", 1.0, 0.5, 3.0), *_hard_bounds(moments)
        ]  # fmt: skip

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = _written_bounds(x[6], x[7], notes)
        sizes: list[Dimensionless] = []
        shape: dict[str, Mixed] = {}
        for number, way in enumerate(("up", "down")):
            q, bend = _declining(x[2 + number], f"slope_{way}", notes), float(x[4 + number])
            if bend < _LEAST_BEND:
                notes.append(
                    f"bend_{way} is at its limit, {_LEAST_BEND:g}: steps do not bend, as a linear law has it."
                )
                bend = _LEAST_BEND
            gamma, sign = bend / _EXP_A, 1 if way == "up" else -1
            sizes.append(math.exp(x[number]) * (1 + q / bend))
            shape |= {f"A_{way}": q / (q + bend) * math.exp(-sign * gamma * _EXP_B), f"gamma_{way}": gamma}
        # aihwkit's exponent is 2 a w / width + b.
        stretched = _EXP_A * (bounds["w_max"] - bounds["w_min"]) / 2
        return {**_common(*sizes), **bounds, **shape, "a": stretched, "b": _EXP_B}, notes


@final
class PowStep(StepLaw):
    """Steps go as a power of the distance to the bound."""

    name = file_law = "PowStep"
    code = Code.POW

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [*_steps(moments), *_both("slope", 0.7, 0.1, 1.5), *_soft_bounds(moments, 0.9)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = [_inverse(x[4], "w_max", notes), _inverse(x[5], "w_min", notes)]
        width = sum(bounds)
        sizes, powers = [], []
        for number, way in enumerate(("up", "down")):
            power = _declining(x[2 + number], f"slope_{way}", notes) * bounds[number]
            if power > _STEEPEST:
                notes.append(f"The power {way} is at its limit, {_STEEPEST:g}: steps decline exponentially.")
                power = _STEEPEST
            sizes.append(math.exp(x[number]) * (width / bounds[number]) ** power)
            powers.append(power)
        common = _common(*powers)
        return {
            **_common(*sizes), "w_max": bounds[0], "w_min": -bounds[1],
            "pow_gamma": common["dw_min"], "pow_up_down": common["up_down"],
        }, notes  # fmt: skip

    @override
    def spreads(self, x: Values, spread: Values) -> dict[str, Dimensionless]:
        relative = [spread[2 + i] / max(abs(x[2 + i]), 0.1) for i in range(2)]
        return {"pow_gamma_dtod": float(min(np.mean(relative), 0.3)), "pow_up_down_dtod": 0.0}


class _Polygon(StepLaw):
    """Steps follow a polygon over the range: no law, but whatever was measured."""

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
            *_hard_bounds(moments, reach=0.1),  # farther out there is nothing to draw a polygon from
        ]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        up, down = x[: self.nodes], x[self.nodes : 2 * self.nodes]
        if min(up.min(), down.min()) < 0:
            notes.append("Steps of some nodes were against the direction of the pulse, and are written as 0.")
            up, down = np.maximum(up, 0.0), np.maximum(down, 0.0)
        sizes = _common(float(up.mean()), float(down.mean()))
        weaker = 1 - abs(sizes["up_down"])
        scale_up = sizes["dw_min"] * (weaker if sizes["up_down"] < 0 else 1.0)
        scale_down = sizes["dw_min"] * (weaker if sizes["up_down"] > 0 else 1.0)
        return {
            **sizes, **_written_bounds(x[2 * self.nodes], x[2 * self.nodes + 1], notes),
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
        weights = np.linspace(x[4 * n + 1], x[4 * n], n)
        columns = (weights, x[:n], np.exp(x[2 * n : 3 * n]), x[n : 2 * n], np.exp(x[3 * n : 4 * n]))
        return [tuple(map(float, row)) for row in zip(*columns, strict=True)]


STEP_LAWS: Final[tuple[StepLaw, ...]] = (
    ConstantStep(),
    LinearStep(),
    SoftBounds(),
    ExpStep(),
    PowStep(),
    Piecewise(),
)
"""From the simplest on: of two that fit equally well, the first is taken."""

FREE_LAWS: Final[tuple[StepLaw, ...]] = (PiecewiseStep(), LookupTable())
"""For devices that none of these describes."""
