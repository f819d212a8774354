"""Fit one law to one device: the most likely coordinates, how sure they are, and what the data leave open.

Fisher's scoring within a trust region (scipy's `trust-exact`), with the expected information of Gaussian readings as
curvature. Every coordinate is tied to its start by a spring that is far weaker than any data: it keeps what the data
do not determine from running away, and is how that is noticed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from typing_extensions import final

from ..units import Dimensionless, Mixed
from .readings import Readings
from .step_law import Code, Coordinate, Moments, StepLaw, Values

_SHIFT: Final = 1e-4  # of a coordinate's scale, for derivatives
_ROUNDS: Final = 60
_HALVINGS: Final = 8
_PATIENCE, _REST = 4, 0.01  # a search ends where -ln L falls by less than that in so many rounds
_OPEN: Final = 0.4  # part of the reach that is left when the data say nearly nothing; assumed
_STARTS: Final = (
    (0.3, 1.0),
    (1.0, 0.5),
)  # noise of a step, and part of the scatter that is readings'; assumed
_LENGTHS: Final = (5.0, 50.0)  # of the slow fluctuation in pulses, to start from; assumed
_LIKELY: Final = 3.841  # of chi-squared with one degree of freedom, at 95 %
_NEAR: Final = 0.35  # by which -2 ln L may miss that at an end of an interval: a level of 93.8 to 95.9 %


@final
@dataclass(frozen=True)
class DeviceFit:
    """One law on one device.

    Attributes:
        coordinates: Those of the law, then of the noises.
        x: Their most likely values.
        covariance: Of these values.
        unlikelihood: -2 ln L.
        is_open: Which coordinates the data do not determine.
        is_slow: Whether there is a slow fluctuation.
    """

    coordinates: tuple[Coordinate, ...]
    x: Values
    covariance: Values
    unlikelihood: Dimensionless
    is_open: tuple[bool, ...]
    is_slow: bool


def noise_coordinates(law: StepLaw, read: Dimensionless, is_slow: bool) -> list[Coordinate]:
    """Return the coordinates of the noises, which follow those of the law."""
    noises = [] if law.code == Code.TABLE else [Coordinate("noise", "log", math.log(_STARTS[0][0]), 0.2, 3.0)]
    noises.append(Coordinate("read_noise", "log", math.log(max(read, 1e-4)), 0.2, 3.0))
    if is_slow:
        noises.append(Coordinate("slow_noise", "log", math.log(max(read, 1e-3)), 0.2, 2.0))
        noises.append(Coordinate("slow_pulses", "length", math.log(_LENGTHS[0]), 0.3, 2.0))
    return noises


def first_sight(readings: Readings) -> tuple[Moments, Dimensionless]:
    """Return the moments of a measurement, and about how noisy its readings are."""
    change = readings.change
    same = ~readings.begins[1:] & (readings.is_up[1:] == readings.is_up[:-1])
    twist = np.diff(change)[same]  # 6 variances of a reading and 2 of a step, whatever the law
    read = math.sqrt(max(1e-8, float(np.square(twist).mean()) / 6)) if len(twist) else 1e-2
    shown = np.concatenate([readings.after, readings.before[readings.begins]])
    tail = max(1, min(25, len(shown) // 20))
    shown = np.sort(shown)
    smallest = 1e-3 / max(1, len(change)) ** 0.5
    up, down = (max(smallest, _trend(readings, is_up)) for is_up in (True, False))
    return Moments(up, down, float(np.median(shown[-tail:])), float(np.median(shown[:tail]))), read


def _trend(readings: Readings, is_up: bool) -> Dimensionless:
    chosen = readings.is_up == is_up
    return abs(float(readings.change[chosen].mean())) if chosen.any() else 0.0


def fit_device(law: StepLaw, readings: Readings, plain: DeviceFit | None = None) -> DeviceFit:
    """Fit a law.

    Args:
        law: The law.
        readings: What was measured on this device.
        plain: The fit without a slow fluctuation, to look for one; without it if None.

    Raises:
        ArithmeticError: If no coordinates give the data a likelihood.
    """
    moments, read = first_sight(readings)
    is_slow = plain is not None
    coordinates = [*law.coordinates(moments), *noise_coordinates(law, read, is_slow)]
    start = np.array([c.start for c in coordinates])
    problem = _Problem(law, readings, coordinates, is_slow)
    starts = []
    if plain is not None:
        known = len(plain.x)
        for length in _LENGTHS:
            begin = np.concatenate([plain.x, start[known:]])
            begin[-1] = math.log(length)
            if law.code != Code.TABLE:
                begin[known - 2] = min(begin[known - 2], math.log(_STARTS[0][0]))
            starts.append(begin)
    else:
        place = len(law.coordinates(moments))
        for noise, part in _STARTS:
            begin = start.copy()
            begin[-1] += math.log(part)
            if law.code != Code.TABLE:
                begin[place] = math.log(noise)
            starts.append(begin)
    found = [problem.minimise(begin) for begin in starts]
    best = min(found, key=problem.value)
    if not math.isfinite(problem.value(best)):
        raise ArithmeticError("no parameters give these data a likelihood")
    _, information = problem.derivatives(best)
    covariance: Values = np.linalg.inv(information).astype(np.float64)
    reach = np.array([c.reach for c in coordinates])
    open_ = np.sqrt(np.maximum(np.diag(covariance), 0.0)) > _OPEN * reach
    return DeviceFit(
        tuple(coordinates), best, covariance, problem.unlikelihood(best), tuple(open_.tolist()), is_slow
    )


def profile_interval(
    law: StepLaw, readings: Readings, fit: DeviceFit, number: int, likely: Dimensionless = _LIKELY
) -> tuple[Mixed, Mixed]:
    """Return the interval of one coordinate in which -2 ln L, at its best in all others, rises by less than `likely`.

    Ends beyond four times the reach count as infinite: the data do not bound it.
    """
    problem = _Problem(law, readings, list(fit.coordinates), fit.is_slow, loose=number)
    error = math.sqrt(fit.covariance[number, number])
    best = problem.value(fit.x)
    others = np.delete(np.arange(len(fit.x)), number)
    following = fit.covariance[others, number] / fit.covariance[number, number]
    ends = []
    for side in (-1.0, 1.0):
        last = [fit.x]

        def rise(distance: Mixed, side: Mixed = side, last: list[Values] = last) -> Dimensionless:
            begin = fit.x.copy()
            begin[number] += side * distance
            begin[others] += following * side * distance
            if last[0] is not fit.x:
                begin[others] = last[0][others]
            there = problem.minimise(begin, fixed=number)
            last[0] = there
            return problem.value(there) - best - likely

        reach = math.sqrt(likely) * error
        farthest = 4 * fit.coordinates[number].reach
        ends.append(fit.x[number] + side * _root(rise, min(reach, farthest), farthest))
    return ends[0], ends[1]


def _root(rise: Callable[[Mixed], Mixed], first: Mixed, farthest: Mixed) -> Mixed:
    """Return where `rise` crosses zero, from a good guess; infinity if not before `farthest`."""
    low, high, there = 0.0, first, rise(first)
    while there < -_NEAR:
        low, high = high, 1.7 * high
        if high > farthest:
            return math.inf
        there = rise(high)
    middle = high
    for _ in range(_HALVINGS):
        if abs(there) < _NEAR:
            break
        middle = (low + high) / 2
        there = rise(middle)
        low, high = (low, middle) if there > 0 else (middle, high)
    return middle


class _Problem:
    """The function that a fit minimises, with its derivatives: half of -2 ln L, with the springs."""

    def __init__(
        self,
        law: StepLaw,
        readings: Readings,
        coordinates: list[Coordinate],
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

    def unlikelihood(self, x: Values) -> Dimensionless:
        """Return -2 ln L."""
        value = self._compiled.unlikelihood(
            *self._compiled.deviations(self._law, x, self._readings, self._is_slow)
        )
        return value if math.isfinite(value) else 1e300

    def value(self, x: Values) -> Dimensionless:
        """Return -2 ln L with the springs."""
        return self.unlikelihood(x) + float(np.square((x - self._centre) / self._reach).sum())

    def derivatives(self, x: Values) -> tuple[Values, Values]:
        """Return the gradient of half of `value`, and the information."""
        v, s, dv, ds = self._compiled.slopes(
            self._law, x, _SHIFT * self._scale, self._readings, self._is_slow
        )
        gradient = dv @ (v / s) + 0.5 * (ds @ ((1 - v * v / s) / s))
        of_mean, of_variance = dv / np.sqrt(s), ds / s
        information = of_mean @ of_mean.T + 0.5 * (of_variance @ of_variance.T)
        gradient += (x - self._centre) / self._reach**2
        information[np.diag_indices(len(x))] += self._reach**-2.0
        return np.nan_to_num(gradient), np.nan_to_num(information)

    def minimise(self, x: Values, fixed: int | None = None) -> Values:
        """Return the most likely coordinates, all but perhaps a fixed one moved."""
        free = np.array([i for i in range(len(x)) if i != fixed])
        scale = self._scale[free]
        known: dict[bytes, tuple[Values, Values]] = {}

        def whole(z: Values) -> Values:
            there = x.copy()
            there[free] = z * scale
            return there

        def both(z: Values) -> tuple[Values, Values]:
            key = z.tobytes()
            if key not in known:
                known.clear()
                gradient, information = self.derivatives(whole(z))
                known[key] = (
                    gradient[free] * scale,
                    information[np.ix_(free, free)] * np.outer(scale, scale),
                )
            return known[key]

        heights = [math.inf]

        def value(z: Values) -> Dimensionless:
            height = self.value(whole(z)) / 2
            heights.append(min(heights[-1], height))
            return height

        def stop_at_rest(z: Values) -> None:
            del z
            if len(heights) > _PATIENCE and heights[-1 - _PATIENCE] - heights[-1] < _REST:
                raise StopIteration  # polygons have kinks, on which no gradient vanishes

        found = minimize(
            value,
            x[free] / scale,
            jac=lambda z: both(z)[0],
            hess=lambda z: both(z)[1],
            method="trust-exact",
            callback=stop_at_rest,
            options={"gtol": 0.02, "maxiter": _ROUNDS, "initial_trust_radius": 3.0, "max_trust_radius": 30.0},
        )
        return whole(found.x)
