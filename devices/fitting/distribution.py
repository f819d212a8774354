"""The distribution of every coordinate of a law over devices, with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ..units import Mixed
from .device_fit import OPEN, DeviceFit
from .population import Population, noise_of_all, population, population_of_curves
from .profiles import Profile, profile
from .readings import Readings
from .step_law import NOISES, StepLaw

_LEVEL: Final = 0.975


Curves = Mapping[int, Profile]


def curves_of(law: StepLaw, readings: Readings, fit: DeviceFit, *, is_alone: bool) -> Curves:
    """Return the likelihoods of the coordinates for which errors are not normal, by their number.

    Args:
        law: The law.
        readings: What was measured on the device.
        fit: Its fit.
        is_alone: Whether it is the only device: then all numbers of a law are followed, but not those of polygons.
    """
    return {
        number: profile(law, readings, fit, number)
        for number, own in enumerate(fit.coordinates)
        if own.name in NOISES or own.is_hard_bound or (is_alone and not law.nodes)
    }


def distribution(fits: Sequence[DeviceFit], curves: Sequence[Curves] = ()) -> list[Population]:
    """Return the distribution of each coordinate over devices; for one device that of its own error.

    Of a single device intervals say nothing about other devices; of several, they are those of the mean of all such
    devices.

    Args:
        fits: A law's fits to the devices.
        curves: The likelihoods of each device; all errors are normal without.
    """
    return [_of(fits, curves, number) for number in range(len(fits[0].coordinates))]


def _of(fits: Sequence[DeviceFit], curves: Sequence[Curves], i: int) -> Population:
    coordinate = fits[0].coordinates[i]
    if len(fits) == 1:
        return _single(fits[0], i, curves[0].get(i) if curves else None)
    if curves and (coordinate.name in NOISES or coordinate.is_hard_bound):
        own = [of_device[i] for of_device in curves]
        estimates = np.array([fit.x[i] for fit in fits])
        return noise_of_all(estimates, own) if coordinate.is_noise else population_of_curves(estimates, own)
    # Devices whose data do not determine a coordinate say nothing of it: their values are where the search began. If
    # they are half of all, it counts as not determined.
    telling = [fit for fit in fits if not fit.is_open[i]]
    if len(telling) <= max(1, len(fits) // 2):
        value = float(np.median([fit.x[i] for fit in fits]))
        return Population(value, coordinate.reach, -math.inf, math.inf, 0.0, 0.0, math.inf, True)
    shared = [_of_open(fit, i) for fit in telling]
    variances = [fit.covariance[i, i] - own**2 for fit, own in zip(telling, shared, strict=True)]
    found = population(np.array([fit.x[i] for fit in telling]), np.array(variances), float(np.mean(shared)))
    return replace(found, is_open=found.error > OPEN * coordinate.reach)


def _single(fit: DeviceFit, i: int, curve: Profile | None) -> Population:
    from scipy.stats import t as student  # here: it takes half a second, which `import crossbar` need not

    value, error = float(fit.x[i]), math.sqrt(fit.covariance[i, i])
    if curve is not None:
        low, high = curve.interval()
    elif fit.is_open[i]:
        low, high = -math.inf, math.inf
    else:
        reach = float(student.ppf(_LEVEL, fit.freedom[i])) * error
        low, high = value - reach, value + reach
    is_open = fit.is_open[i] or not math.isfinite(high - low)
    return Population(value, error, low, high, 0.0, 0.0, math.inf, is_open)


def _of_open(fit: DeviceFit, i: int) -> Mixed:
    """Return the part of a coordinate's error that comes from coordinates which the data leave open.

    Where these are is assumed in the same way for all devices, so they have that error in common.
    """
    others = [j for j, is_open in enumerate(fit.is_open) if is_open and j != i]
    if not others:
        return 0.0
    across = fit.covariance[i, others]
    own = float(across @ np.linalg.solve(fit.covariance[np.ix_(others, others)], across))
    return math.sqrt(min(max(own, 0.0), 0.99 * float(fit.covariance[i, i])))
