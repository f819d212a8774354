"""The function that a fit minimises: -2 ln L of the readings, with springs and a pull on the noises."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from typing_extensions import final

from ..units import Dimensionless
from .readings import Readings
from .step_law import Coordinate, StepLaw, Values

_ROUNDS: Final = 100
REST: Final = 1e-3
"""A search ends where -ln L promises to fall by less."""
_LONGEST: Final = 5.0  # of a step, in scales
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-5, 1e5  # in relation to the information; assumed
_EASING, _STIFFENING = 1 / 10, 4.0


@final
class Likelihood:
    """Half of -2 ln L, with its derivatives.

    Every coordinate is tied to its start by a spring that is far weaker than any data.

    Attributes:
        pull: (coordinates,) what is added to the gradient: that of restricted likelihood (`restricted`).
    """

    def __init__(
        self,
        law: StepLaw,
        readings: Readings,
        coordinates: Sequence[Coordinate],
        is_slow: bool,
        loose: int | None = None,
    ) -> None:
        # Here, because compiled code reads its cache when it is imported, and importing `devices` reads no files.
        from . import filter as compiled

        self._compiled, self._law, self._readings, self._is_slow = compiled, law, readings, is_slow
        self._centre = np.array([c.start for c in coordinates])
        self._scale = np.array([c.scale for c in coordinates])
        self._reach = np.array([c.reach for c in coordinates])
        if loose is not None:
            self._reach[loose] = math.inf  # what the data say of this one alone
        self.pull = np.zeros(len(coordinates))

    def unlikelihood(self, x: Values) -> Dimensionless:
        """Return -2 ln L.

        Args:
            x: The coordinates.
        """
        value = self._compiled.unlikelihood(
            *self._compiled.deviations(self._law, x, self._readings, self._is_slow)
        )
        return value if math.isfinite(value) else 1e300

    def value(self, x: Values) -> Dimensionless:
        """Return -2 ln L with the springs and the pull.

        Args:
            x: The coordinates.
        """
        springs = float(np.square((x - self._centre) / self._reach).sum())
        return self.unlikelihood(x) + springs + 2 * float(self.pull @ x)

    def derivatives(self, x: Values) -> tuple[Values, Values]:
        """Return the gradient of half of `value`, and the information.

        Args:
            x: The coordinates.
        """
        v, s, dv, ds = self._compiled.slopes(self._law, x, self._readings, self._is_slow)
        gradient = dv @ (v / s) + 0.5 * (ds @ ((1 - v * v / s) / s))
        of_mean, of_variance = dv / np.sqrt(s), ds / s
        information = of_mean @ of_mean.T + 0.5 * (of_variance @ of_variance.T)
        gradient += (x - self._centre) / self._reach**2 + self.pull
        information[np.diag_indices(len(x))] += self._reach**-2.0
        if not (np.isfinite(gradient).all() and np.isfinite(information).all()):
            return np.nan_to_num(gradient), np.nan_to_num(information)
        return gradient, information

    def minimise(self, x: Values, fixed: int | None = None, rest: Dimensionless = REST) -> Values:
        """Return the most likely coordinates.

        Fisher's scoring with Levenberg's and Marquardt's damping, which follows how well the last step was foreseen
        (Nielsen, IMM-REP-1999-05, Technical University of Denmark).

        Args:
            x: Where to start.
            fixed: Which stays; all move if None.
            rest: Where -ln L promises to fall by less, the search ends.
        """
        free = np.flatnonzero(np.arange(len(x)) != fixed)
        own, damping, stiffening, height = np.ix_(free, free), _DAMPING, _STIFFENING, self.value(x) / 2
        gradient, information = self.derivatives(x)
        for _ in range(_ROUNDS):
            curvature = information[own]
            if 0.5 * float(gradient[free] @ np.linalg.solve(curvature, gradient[free])) < rest:
                break
            damped = curvature + damping * np.diag(np.maximum(np.diag(curvature), self._scale[free] ** -2.0))
            step = np.linalg.solve(damped, -gradient[free])
            step *= min(1.0, _LONGEST / float(np.abs(step / self._scale[free]).max()))
            foreseen = -float(step @ (gradient[free] + 0.5 * curvature @ step))
            there = x.copy()
            there[free] += step
            height_there = self.value(there) / 2
            if height_there < height:
                fallen = height - height_there
                x, height = there, height_there
                gradient, information = self.derivatives(x)
                good = min(fallen / max(foreseen, 1e-12), 2.0)
                damping = max(damping * max(_EASING, 1 - (2 * good - 1) ** 3), _LEAST_DAMPING)
                stiffening = _STIFFENING
            else:
                damping *= stiffening
                stiffening *= 2
                if damping > _MOST_DAMPING:
                    break
        return x
