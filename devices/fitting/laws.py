"""The step laws as functions of regular coordinates: how far one pulse moves a device on average.

They are aihwkit's (see `devices.pulsed.laws`), written for a fit; what is compiled of them stands in `filter`.
"""

import math
from typing import Any, Final

import numpy as np
from typing_extensions import final, override

from ..units import Dimensionless, Mixed
from .polygon_laws import LookupTable, Piecewise, PiecewiseStep
from .step_law import Code, Coordinate, Moments, Notes, StepLaw, Values, common, hard_bounds, written_bounds

FARTHEST: Final = 100.0  # bound that stands for one at infinity: steps decline by 1 % towards 1; assumed
_LEAST_BEND: Final = 0.02  # of an exponential law, which aihwkit's parameters cannot make straight; assumed
_STEEPEST: Final = 20.0  # largest exponent of a power law that is written; assumed
# aihwkit's default of the exponential law, which only stretches and shifts its exponent: others would do as well.
_EXP_A, _EXP_B = 0.244, 0.2425


def _steps(m: Moments) -> list[Coordinate]:
    return [
        Coordinate("step_up", "log", math.log(m.up), 0.1, 3.0),
        Coordinate("step_down", "log", math.log(m.down), 0.1, 3.0),
    ]


def _both(name: str, start: Mixed, scale: Mixed, reach: Mixed) -> list[Coordinate]:
    return [Coordinate(f"{name}_{way}", "plain", start, scale, reach) for way in ("up", "down")]


def _soft_bounds(m: Moments, part: Dimensionless) -> list[Coordinate]:
    return [
        Coordinate("w_max", "inverse", part / max(m.highest, 0.1), 0.1, 2.0),
        Coordinate("w_min", "minus inverse", part / max(-m.lowest, 0.1), 0.1, 2.0),
    ]


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
        return [*_steps(moments), *hard_bounds(moments)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        return {**common(*np.exp(x[:2]).tolist()), **written_bounds(x[2], x[3], notes)}, notes


@final
class LinearStep(StepLaw):
    """Steps shrink linearly with the weight, until a bound."""

    name = file_law = "LinearStep"
    code = Code.LINEAR

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [*_steps(moments), *_both("slope", 0.3, 0.1, 1.5), *hard_bounds(moments)]

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = written_bounds(x[4], x[5], notes)
        up, down = float(x[2]) * bounds["w_max"], -float(x[3]) * bounds["w_min"]
        own: dict[str, Any] = {"gamma_up": up, "gamma_down": down}
        if min(up, down) < 0:
            own["allow_increasing"] = True
        return {**common(*np.exp(x[:2]).tolist()), **bounds, **own}, notes

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
        return {**common(*np.exp(x[:2]).tolist()), **bounds}, notes


@final
class ExpStep(StepLaw):
    """Steps shrink by an amount that grows exponentially towards the bounds."""

    name = file_law = "ExpStep"
    code = Code.EXP

    @override
    def coordinates(self, moments: Moments) -> list[Coordinate]:
        return [
            *_steps(moments), *_both("slope", 0.3, 0.1, 1.5), *_both("bend", 1.0, 0.5, 3.0), *hard_bounds(moments)
        ]  # fmt: skip

    @override
    def device(self, x: Values) -> tuple[dict[str, Any], Notes]:
        notes: Notes = []
        bounds = written_bounds(x[6], x[7], notes)
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
        return {**common(*sizes), **bounds, **shape, "a": stretched, "b": _EXP_B}, notes


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
        of_powers = common(*powers)
        return {
            **common(*sizes), "w_max": bounds[0], "w_min": -bounds[1],
            "pow_gamma": of_powers["dw_min"], "pow_up_down": of_powers["up_down"],
        }, notes  # fmt: skip

    @override
    def spreads(self, x: Values, spread: Values) -> dict[str, Dimensionless]:
        relative = [spread[2 + i] / max(abs(x[2 + i]), 0.1) for i in range(2)]
        return {"pow_gamma_dtod": float(min(np.mean(relative), 0.3)), "pow_up_down_dtod": 0.0}


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
