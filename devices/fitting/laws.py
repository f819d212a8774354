"""The six step laws as functions of their parameters, for fits: how far one pulse moves a device on average.

They are aihwkit's (see `devices.pulsed.laws`), written for a curve fit: steps up and down are parameters of their
own, and only afterwards become aihwkit's common `dw_min` with its asymmetry `up_down`. Weights are conductances,
shifted and scaled so that the measurement spans [-1, 1].
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final, override

from ..units import Dimensionless

Values = NDArray[np.float64]

_FARTHEST: Final = 20.0  # how far beyond the measured range a bound is looked for; assumed
_NODES: Final = 6  # of the polygon of a piecewise law, in each direction; assumed
# aihwkit's defaults of the exponential law, which only shift and stretch its exponent: others would fit as well.
_EXP_A, _EXP_B = 0.244, 0.2425


class StepLaw(ABC):
    """A step law whose parameters are a vector.

    Attributes:
        name: What device files call it.
        parameters: The name of each parameter.
        measured_bounds: How many bounds it takes from the measurement as they are: parameters, too.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    measured_bounds: ClassVar[int] = 2

    @abstractmethod
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        """Return values to start a fit from, given the mean size of a step in each direction."""

    @abstractmethod
    def limits(self) -> tuple[Values, Values]:
        """Return the lowest and the highest value of each parameter."""

    @abstractmethod
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        """Return the size of the mean step of a pulse at each weight, without regard to the bounds."""

    def bounds(self, parameters: Values) -> tuple[Dimensionless, Dimensionless]:
        """Return the lowest and the highest weight: those that were measured, unless the law has its own."""
        del parameters
        return -1.0, 1.0

    def change(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        """Return the mean change of the weight by a pulse: a step that ends at the bounds."""
        lowest, highest = self.bounds(parameters)
        size = self.steps(parameters, w, is_up)
        return np.clip(w + np.where(is_up, size, -size), lowest, highest) - np.clip(w, lowest, highest)

    @abstractmethod
    def device(self, parameters: Values) -> dict[str, Any]:
        """Return what aihwkit's device of this law is called with, and a device file holds."""


def _common(up: Dimensionless, down: Dimensionless) -> dict[str, Dimensionless]:
    """Split two step sizes into aihwkit's common one and its asymmetry: the weaker direction loses it."""
    return {"dw_min": max(up, down), "up_down": 1 - down / up if up >= down else up / down - 1}


def _by_direction(
    is_up: NDArray[np.bool_], up: Values | Dimensionless, down: Values | Dimensionless
) -> Values:
    return np.where(is_up, up, down)


@final
class ConstantStep(StepLaw):
    """Every pulse counts the same."""

    name = "ConstantStep"
    parameters = ("step_up", "step_down")

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.array([step_up, step_down])

    @override
    def limits(self) -> tuple[Values, Values]:
        return np.full(2, 1e-9), np.full(2, 2.0)

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        return _by_direction(is_up, parameters[0], parameters[1])

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        return {**_common(*parameters), "w_max": 1.0, "w_min": -1.0}


@final
class LinearStep(StepLaw):
    """Steps shrink linearly with the weight, by the part gamma on the way to a bound, and end there."""

    name = "LinearStep"
    parameters = ("step_up", "step_down", "gamma_up", "gamma_down")

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.array([step_up, step_down, 0.3, 0.3])

    @override
    def limits(self) -> tuple[Values, Values]:
        return np.array([1e-9, 1e-9, -1.0, -1.0]), np.array([2.0, 2.0, 1.0, 1.0])

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        up, down, gamma_up, gamma_down = parameters
        return _by_direction(is_up, up * (1 - gamma_up * w), down * (1 + gamma_down * w))

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        up, down, gamma_up, gamma_down = (float(value) for value in parameters)
        increasing = {"allow_increasing": True} if min(gamma_up, gamma_down) < 0 else {}
        gammas = {
            "gamma_up": gamma_up,
            "gamma_down": gamma_down,
            "gamma_up_dtod": 0.0,
            "gamma_down_dtod": 0.0,
        }
        return {**_common(up, down), "w_max": 1.0, "w_min": -1.0, **gammas, **increasing}


@final
class SoftBounds(StepLaw):
    """Steps shrink linearly and vanish at the bounds, which lie where they would, also beyond the measurement."""

    name = "SoftBounds"
    parameters = ("step_up", "step_down", "w_max", "w_min")
    measured_bounds = 0

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.array([step_up, step_down, 1.5, -1.5])

    @override
    def limits(self) -> tuple[Values, Values]:
        return np.array([1e-9, 1e-9, 0.5, -_FARTHEST]), np.array([2.0, 2.0, _FARTHEST, -0.5])

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        up, down, highest, lowest = parameters
        return np.maximum(_by_direction(is_up, up * (1 - w / highest), down * (1 - w / lowest)), 0.0)

    @override
    def bounds(self, parameters: Values) -> tuple[Dimensionless, Dimensionless]:
        return -_FARTHEST, _FARTHEST  # steps end there by themselves

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        return {**_common(*parameters[:2]), "w_max": float(parameters[2]), "w_min": float(parameters[3])}


@final
class ExpStep(StepLaw):
    """Steps shrink by an amount that grows exponentially towards the bounds."""

    name = "ExpStep"
    parameters = ("step_up", "step_down", "A_up", "A_down", "gamma_up", "gamma_down")

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.array([1.3 * step_up, 1.3 * step_down, 0.05, 0.05, 8.0, 8.0])

    @override
    def limits(self) -> tuple[Values, Values]:
        return np.array([1e-9, 1e-9, 0.0, 0.0, 0.0, 0.0]), np.array([2.0, 2.0, 2.0, 2.0, 60.0, 60.0])

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        up, down, a_up, a_down, gamma_up, gamma_down = parameters
        z = _EXP_A * w + _EXP_B
        return _by_direction(
            is_up,
            up * np.maximum(1 - a_up * np.exp(gamma_up * z), 0.0),
            down * np.maximum(1 - a_down * np.exp(-gamma_down * z), 0.0),
        )

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        shape = dict(zip(self.parameters[2:], map(float, parameters[2:]), strict=True))
        return {**_common(*parameters[:2]), "w_max": 1.0, "w_min": -1.0, **shape, "a": _EXP_A, "b": _EXP_B}


@final
class PowStep(StepLaw):
    """Steps go as a power of the distance to the bound."""

    name = "PowStep"
    parameters = ("step_up", "step_down", "power_up", "power_down", "w_max", "w_min")
    measured_bounds = 0

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.array([2 * step_up, 2 * step_down, 1.0, 1.0, 1.1, -1.1])

    @override
    def limits(self) -> tuple[Values, Values]:
        return (
            np.array([1e-9, 1e-9, 0.0, 0.0, 1.0, -_FARTHEST]),
            np.array([20.0, 20.0, 10.0, 10.0, _FARTHEST, -1.0]),
        )

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        up, down, power_up, power_down, highest, lowest = parameters
        width = highest - lowest
        above, below = np.maximum(highest - w, 1e-12) / width, np.maximum(w - lowest, 1e-12) / width
        return _by_direction(is_up, up * above**power_up, down * below**power_down)

    @override
    def bounds(self, parameters: Values) -> tuple[Dimensionless, Dimensionless]:
        return float(parameters[5]), float(parameters[4])

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        up, down, power_up, power_down, highest, lowest = (float(value) for value in parameters)
        powers = _common(power_up, power_down)
        return {
            **_common(up, down), "w_max": highest, "w_min": lowest,
            "pow_gamma": powers["dw_min"], "pow_up_down": powers["up_down"],
            "pow_gamma_dtod": 0.0, "pow_up_down_dtod": 0.0,
        }  # fmt: skip


@final
class Piecewise(StepLaw):
    """Steps follow a polygon over the range: no law, but whatever was measured."""

    name = "Piecewise"
    parameters = tuple(f"{way}_{node}" for way in ("up", "down") for node in range(_NODES))

    @override
    def start(self, step_up: Dimensionless, step_down: Dimensionless) -> Values:
        return np.repeat([step_up, step_down], _NODES)

    @override
    def limits(self) -> tuple[Values, Values]:
        return np.zeros(2 * _NODES), np.full(2 * _NODES, 4.0)

    @override
    def steps(self, parameters: Values, w: Values, is_up: NDArray[np.bool_]) -> Values:
        nodes = np.linspace(-1.0, 1.0, _NODES)
        return _by_direction(
            is_up, np.interp(w, nodes, parameters[:_NODES]), np.interp(w, nodes, parameters[_NODES:])
        )

    @override
    def device(self, parameters: Values) -> dict[str, Any]:
        up, down = parameters[:_NODES], parameters[_NODES:]
        sizes = _common(float(up.mean()), float(down.mean()))
        weaker = 1 - abs(sizes["up_down"])
        scale_up = sizes["dw_min"] * (weaker if sizes["up_down"] < 0 else 1.0)
        scale_down = sizes["dw_min"] * (weaker if sizes["up_down"] > 0 else 1.0)
        return {
            **sizes, "w_max": 1.0, "w_min": -1.0,
            "piecewise_up": (up / scale_up).tolist(), "piecewise_down": (down / scale_down).tolist(),
        }  # fmt: skip


STEP_LAWS: Final[tuple[StepLaw, ...]] = (
    ConstantStep(),
    LinearStep(),
    SoftBounds(),
    ExpStep(),
    PowStep(),
    Piecewise(),
)
"""From the simplest on: of two that fit equally well, the first is taken."""
