"""Fit one law to one device: the most likely coordinates, how sure they are, and what the data leave open.

Fisher's scoring (`likelihood`), with the expected information of Gaussian readings as curvature. Every coordinate is
tied to its start by a spring that is far weaker than any data: it keeps what the data do not determine from running
away, and is how that is noticed.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from ..units import Dimensionless
from .likelihood import Likelihood
from .readings import Readings
from .step_law import Code, Coordinate, Moments, StepLaw, Values

OPEN: Final = 0.4
"""Part of the reach that is left when the data say nearly nothing; assumed."""
_STARTS: Final = (
    (0.3, 1.0),
    (1.0, 0.5),
)  # noise of a step, and part of the scatter that is readings'; assumed
_LENGTHS: Final = (5.0, 50.0)  # of the slow fluctuation in pulses, to start from; assumed


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
        is_noise: Which coordinates are noises.
        pull: On the noises, by restricted likelihood; 0 before that.
        freedom: Degrees of freedom of each coordinate's error; infinite before that.
    """

    coordinates: tuple[Coordinate, ...]
    x: Values
    covariance: Values
    unlikelihood: Dimensionless
    is_open: tuple[bool, ...]
    is_slow: bool
    is_noise: NDArray[np.bool_]
    pull: Values
    freedom: Values


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
    likelihood = Likelihood(law, readings, coordinates, is_slow)
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
    found = [likelihood.minimise(begin) for begin in starts]
    best = min(found, key=likelihood.value)
    if not math.isfinite(likelihood.value(best)):
        raise ArithmeticError("no parameters give these data a likelihood")
    _, information = likelihood.derivatives(best)
    reach = np.array([c.reach for c in coordinates])
    covariance = covariance_of(information, reach)
    open_ = np.sqrt(np.maximum(np.diag(covariance), 0.0)) > OPEN * reach
    return DeviceFit(
        coordinates=tuple(coordinates),
        x=best,
        covariance=covariance,
        unlikelihood=likelihood.unlikelihood(best),
        is_open=tuple(open_.tolist()),
        is_slow=is_slow,
        is_noise=np.array([c.is_noise for c in coordinates]),
        pull=np.zeros(len(best)),
        freedom=np.full(len(best), np.inf),
    )


def covariance_of(information: Values, reach: Values) -> Values:
    """Return the inverse of an information, also where the likelihood does not fall in some direction.

    Along such a direction the data determine nothing: the error is taken to be as far as it can matter.

    Args:
        information: Second derivatives of half of -2 ln L; symmetric.
        reach: How far each coordinate can matter.
    """
    covariance: Values = np.linalg.inv(information).astype(np.float64)
    if (np.diag(covariance) > 0).all():
        return covariance
    scale = np.outer(reach, reach)
    values, directions = np.linalg.eigh(information * scale)
    inverse: Values = (directions / np.maximum(values, 1.0)) @ directions.T * scale
    return inverse
