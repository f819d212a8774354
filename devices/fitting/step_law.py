"""What a step law is to a fit: coordinates in which it is regular, and how a device file states it.

aihwkit's own parameters run away where a device is nearly linear (bounds and powers to infinity, amplitudes to
anything); the coordinates here do not: step in the middle of the range, relative decline there, curvature, and
inverse bounds where steps vanish at a bound. What is reported and written follows from them. Weights are
conductances, shifted and scaled so that the measurement spans [-1, 1].
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from ..units import Dimensionless, Mixed

Values = NDArray[np.float64]
Notes: TypeAlias = list[str]

SHORTEST: Final = 3.0
"""Pulses that a slow fluctuation lasts at least, lest it be taken for noise of readings; assumed."""

NOISES: Final = ("noise", "read_noise", "slow_noise", "slow_pulses")
"""Coordinates that follow those of a law."""


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

    @property
    def is_noise(self) -> bool:
        """Whether it is a noise, that of a table's nodes included, and not where the law leads."""
        return self.name in NOISES or "_spread_" in self.name

    @property
    def is_hard_bound(self) -> bool:
        """Whether it is a bound at which steps end, not one that follows from how they decline."""
        return self.name in ("w_max", "w_min") and self.kind == "plain"

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


def hard_bounds(m: Moments) -> list[Coordinate]:
    """Return the coordinates of bounds at which steps end.

    Args:
        m: What the measurement says at first sight.
    """
    return [
        Coordinate("w_max", "plain", m.highest, 0.03, 1.0),
        Coordinate("w_min", "plain", m.lowest, 0.03, 1.0),
    ]


def common(up: Dimensionless, down: Dimensionless) -> dict[str, Dimensionless]:
    """Split two sizes into aihwkit's common one and its asymmetry: the weaker direction loses it.

    Args:
        up: That of pulses up.
        down: That of pulses down.
    """
    if max(up, down) <= 0:
        return {"dw_min": 0.0, "up_down": 0.0}
    return {"dw_min": max(up, down), "up_down": 1 - down / up if up >= down else up / down - 1}


def written_bounds(highest: Mixed, lowest: Mixed, notes: Notes) -> dict[str, Dimensionless]:
    """Return bounds on both sides of zero, as aihwkit wants them.

    Args:
        highest: The upper bound.
        lowest: The lower one.
        notes: Where to say that they were moved.
    """
    if highest < 0.05 or lowest > -0.05:
        notes.append("The bounds lie on one side of the middle of the range; they were moved to include it.")
    return {"w_max": max(float(highest), 0.05), "w_min": min(float(lowest), -0.05)}
