"""From devices to the distribution that they are a sample of: mean, spread, and how sure both are.

Each device gives an estimate with an error of its own (random effects): x_d = mean + spread xi_d + error_d.

Where errors are normal, the spread is estimated by restricted likelihood, the mean is that of all devices weighted by
both variances, and its interval is Hartung's and Knapp's (Stat. Med. 20, 3875 (2001)): Student's t with devices - 1
degrees of freedom, scaled by how far the devices really lie apart, but not closer than the errors allow. Errors that
are about equal count as equal, since they hang together with the estimates: small steps have small errors.

Where they are not, as for a bound that some devices did not reach, each device gives the curve of its likelihood, and
mean and spread follow from the product of the curves' means over a normal distribution. The interval of the mean is
that of the likelihood ratio, at the level that is exact for normal errors and a spread that is not known, of as many
devices as tell how far they lie apart: those which bound the coordinate on both sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import minimize_scalar
from scipy.special import ndtr
from typing_extensions import final

from ..units import Dimensionless, Mixed
from .profiles import LIKELY, Profile
from .step_law import Values

_LEVEL: Final = 0.975
_EVEN: Final = 2.0  # ratio to the middle error within which errors count as equal; assumed
_AHEAD: Final = 0.5  # how far beyond all estimates a mean is looked for, in coordinates; assumed
_PLACES, _STRIDE, _FINE, _SPREADS = 600, 2, 16, 24  # of the grids; assumed
_DIFFER: Final = 0.01  # probability below which devices differ in a noise


@final
@dataclass(frozen=True)
class Population:
    """The distribution of one coordinate over devices.

    Attributes:
        mean: Its mean.
        error: The mean's standard error.
        low: Lower end of the mean's 95 % interval.
        high: Its upper end.
        spread: Standard deviation over devices.
        spread_low: Lower end of its 95 % interval, from the restricted likelihood.
        spread_high: Upper end.
        is_open: Whether the data do not determine the mean.
    """

    mean: Mixed
    error: Mixed
    low: Mixed
    high: Mixed
    spread: Mixed
    spread_low: Mixed
    spread_high: Mixed
    is_open: bool = False


def population(estimates: Values, variances: Values, common: Mixed = 0.0) -> Population:
    """Estimate mean and spread of what devices are a sample of, from estimates with normal errors.

    Args:
        estimates: (devices,) at least two.
        variances: (devices,) of the estimates' errors.
        common: Standard deviation of an error that all devices have in common.
    """
    from scipy.stats import t as student  # here: it takes half a second, which `import crossbar` need not

    largest = 10 * float(np.ptp(estimates)) + 1e-12
    middle = float(np.median(variances))
    is_even = (variances < middle * _EVEN**2) & (variances > middle / _EVEN**2)
    variances = np.where(is_even, middle, variances)

    def unlikely(spreads: Values) -> Values:
        """-2 ln of the restricted likelihood."""
        weights = 1 / (np.atleast_1d(spreads)[:, None] ** 2 + variances)
        mean = (weights * estimates).sum(axis=1) / weights.sum(axis=1)
        apart = (weights * np.square(estimates - mean[:, None])).sum(axis=1)
        return np.asarray(apart - np.log(weights).sum(axis=1) + np.log(weights.sum(axis=1)))

    found = minimize_scalar(
        lambda own: float(unlikely(own)[0]),
        bounds=(0.0, largest),
        method="bounded",
        options={"xatol": 1e-4 * largest},
    )
    spread = 0.0 if unlikely(np.zeros(1))[0] <= found.fun else float(found.x)
    weights = 1 / (spread**2 + variances)
    mean = float((weights * estimates).sum() / weights.sum())
    freedom = len(estimates) - 1
    scatter = float((weights * np.square(estimates - mean)).sum()) / freedom
    surest = 1 / math.sqrt(weights.sum())
    apart = math.sqrt(scatter) * surest
    # Devices that happen to agree better than their errors allow do not make the mean surer than the errors do.
    reach = max(float(student.ppf(_LEVEL, freedom)) * apart, 1.96 * surest)
    reach = math.hypot(reach, 1.96 * common)
    grid = np.linspace(0.0, largest, 400)
    likely = grid[unlikely(grid) < unlikely(np.array([spread]))[0] + LIKELY]
    low, high = (float(likely.min()), float(likely.max())) if len(likely) else (0.0, spread)
    error = math.hypot(max(apart, surest) if spread == 0 else apart, common)
    return Population(mean, error, mean - reach, mean + reach, spread, min(low, spread), max(high, spread))


def population_of_curves(estimates: Values, curves: Sequence[Profile]) -> Population:
    """Estimate mean and spread of what devices are a sample of, from the curves of their likelihoods.

    Where curves leave open whether a bound was reached, the interval has the ends of both: that none was, and that
    each was reached where it may have been.

    Args:
        estimates: (devices,) the most likely value of each, at least two.
        curves: The rise of -2 ln L of each.
    """
    found = _of_curves(estimates, curves)
    closed = [curve.closed() for curve in curves]
    if all(own is curve for own, curve in zip(closed, curves, strict=True)):
        return found
    reached = _of_curves(estimates, closed)
    return replace(found, low=min(found.low, reached.low), high=max(found.high, reached.high))


def _of_curves(estimates: Values, curves: Sequence[Profile]) -> Population:
    """Estimate mean and spread from curves as they are."""
    from scipy.stats import t as student  # here: it takes half a second, which `import crossbar` need not

    n = len(curves)
    low, high = estimates.min() - _AHEAD, estimates.max() + _AHEAD
    edges = np.linspace(low, high, _PLACES + 1)
    grid = (edges[1:] + edges[:-1]) / 2
    means = grid[::_STRIDE]
    fine = np.linspace(low, high, _PLACES * _FINE, endpoint=False) + (grid[1] - grid[0]) / _FINE / 2
    likely = np.exp(-np.array([curve.rise(fine) for curve in curves]) / 2)
    likely = likely.reshape(n, _PLACES, _FINE).mean(axis=2)  # also where a curve is narrower than the grid
    spreads = np.concatenate([[0.0], np.geomspace(grid[1] - grid[0], np.ptp(grid), _SPREADS)])
    apart = (edges[1] - edges[0]) * (
        np.arange(-_STRIDE * (len(means) - 1), _PLACES + 1) - 0.5
    )  # edges from means
    heights = np.empty((len(spreads), len(means)))
    for row, spread in enumerate(spreads):
        if spread == 0:
            own = likely[:, ::_STRIDE]
        else:
            below = ndtr(apart / spread)
            parts = sliding_window_view(np.diff(below), _PLACES)[-1::-_STRIDE]  # of each mean, in each place
            own = likely @ parts.T + np.outer(likely[:, 0], below[-_PLACES - 1 :: -_STRIDE])
            own += np.outer(likely[:, -1], 1 - below[: _PLACES - 1 : -_STRIDE])
        heights[row] = np.log(np.maximum(own, 1e-300)).sum(axis=0)
    of_mean = heights.max(axis=0)
    telling = max(2, sum(curve.is_bounded for curve in curves))  # of how far devices lie apart
    level = telling * math.log1p(float(student.ppf(_LEVEL, telling - 1)) ** 2 / (telling - 1)) / 2
    mean, ends = _highest(means, of_mean, level, float(np.median(estimates)))
    restricted = np.log(np.maximum(np.exp(heights - heights.max()).sum(axis=1), 1e-300))
    spread = float(spreads[int(restricted.argmax())])
    inside = spreads[restricted > restricted.max() - LIKELY / 2]
    is_open = not math.isfinite(ends[1] - ends[0])
    error = math.inf if is_open else (ends[1] - ends[0]) / 2 / float(student.ppf(_LEVEL, n - 1))
    return Population(mean, error, *ends, spread, float(inside.min()), float(inside.max()), is_open)


def noise_of_all(estimates: Values, curves: Sequence[Profile]) -> Population:
    """Estimate a noise, which a law has in common for all devices; they are a sample only if they clearly differ.

    Args:
        estimates: (devices,) the most likely logarithm of each.
        curves: The rise of -2 ln L of each.
    """
    from scipy.stats import chi2  # here: it takes half a second, which `import crossbar` need not

    low = min(curve.places[0] for curve in curves)
    high = max(curve.places[-1] for curve in curves)
    grid = np.linspace(low, high, 20 * _PLACES)
    rise = np.sum([curve.rise(grid) for curve in curves], axis=0)
    if chi2.sf(rise.min(), len(curves) - 1) < _DIFFER:
        return population_of_curves(estimates, curves)
    mean, ends = _highest(grid, -rise / 2, LIKELY / 2, float(np.median(estimates)))
    is_open = not math.isfinite(ends[1] - ends[0])
    error = math.inf if is_open else (ends[1] - ends[0]) / 2 / 1.96
    return Population(mean, error, *ends, 0.0, 0.0, float(np.ptp(estimates)), is_open)


def _highest(
    places: Values, heights: Values, level: Dimensionless, near: Mixed
) -> tuple[Mixed, tuple[Mixed, Mixed]]:
    """Return the most likely place, of equally likely ones that nearest to another, and where it is `level` lower."""
    top = float(heights.max())
    best = places[heights > top - 1e-3]
    mean = float(best[np.argmin(np.abs(best - near))])
    inside = np.flatnonzero(heights > top - level)
    first, last = int(inside[0]), int(inside[-1])

    def crossing(i: int, j: int) -> Mixed:
        part = (heights[i] - (top - level)) / max(heights[i] - heights[j], 1e-300)
        return float(places[i] + min(part, 1.0) * (places[j] - places[i]))

    low = -math.inf if first == 0 else crossing(first, first - 1)
    high = math.inf if last == len(places) - 1 else crossing(last, last + 1)
    return mean, (low, high)
