"""How the likelihood of one coordinate falls, all others at their best: what bounds and noises need.

A bound that a device hardly reached is known from below only, a noise that drowns in another from above only. Their
likelihood is no parabola, and both the interval of a device and the mean over devices follow from the curve itself.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import final

from ..units import Dimensionless, Mixed
from .device_fit import DeviceFit
from .likelihood import Likelihood
from .readings import Readings
from .restricted import taken_up
from .step_law import StepLaw, Values

_ENOUGH: Final = 16.0  # rise of -2 ln L at which a search ends: 4 standard deviations
_FIRST: Final = 0.8  # standard deviations of the first step; assumed
_STEEP: Final = 5.0  # rise at the first step above which it was too long
_GROWTH: Final = 1.6
_FARTHEST: Final = 4.0  # reaches at which a search ends: the data do not bound the coordinate
_FLAT, _FARTHEST_FLAT = (
    0.01,
    0.3,
)  # change of the rise from step to step, and reaches, at which a search ends earlier
_REST: Final = 0.01  # of -ln L that others may still promise: 0.5 % of an interval
LIKELY: Final = 3.841
"""Chi-squared with one degree of freedom, at 95 %."""


@final
@dataclass(frozen=True)
class Profile:
    """-2 ln L of one coordinate of one device, above its least.

    Attributes:
        places: (n,) values of the coordinate, ascending.
        roots: (n,) signed root of the rise, negative below the best; nearly a straight line.
        is_vague: Whether steps may end before a bound by themselves: where the curve does not rise, it was or was not
            reached.
    """

    places: Values
    roots: Values
    is_vague: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether the data bound the coordinate on both sides."""
        return bool(self.roots[0] ** 2 > LIKELY and self.roots[-1] ** 2 > LIKELY)

    def closed(self) -> "Profile":
        """Return the curve if the bound was reached where it may have been: one side for that which does not rise."""
        if not self.is_vague or self.is_bounded:
            return self
        is_up = self.roots[0] ** 2 > LIKELY  # it rises below
        best = int(np.argmin(np.abs(self.roots)))
        places, roots = (
            values[: best + 1] if is_up else values[best:][::-1] for values in (self.places, self.roots)
        )
        both = np.concatenate([places, 2 * places[-1] - places[-2::-1]])
        rises = np.concatenate([roots, -roots[-2::-1]])
        order = np.argsort(both, kind="stable")
        return Profile(both[order], rises[order])

    def rise(self, places: Values) -> Values:
        """Return the rise anywhere: as at the last place beyond it where the data do not bound, a parabola otherwise.

        Args:
            places: Values of the coordinate.
        """
        inside = np.interp(places, self.places, self.roots)
        for end, other in ((0, 1), (-1, -2)):
            if self.roots[end] ** 2 > _ENOUGH / 2:
                run = self.places[end] - self.places[other]
                slope = (self.roots[end] - self.roots[other]) / run if run else 0.0
                beyond = places < self.places[0] if end == 0 else places > self.places[-1]
                inside = np.where(beyond, self.roots[end] + slope * (places - self.places[end]), inside)
        return np.asarray(inside**2)

    def interval(self, likely: Dimensionless = LIKELY) -> tuple[Mixed, Mixed]:
        """Return the ends between which the rise is less than `likely`; infinite where the data do not bound it.

        Args:
            likely: The rise at both ends.
        """
        root = math.sqrt(likely)
        low = float(np.interp(-root, self.roots, self.places)) if self.roots[0] < -root else -math.inf
        high = float(np.interp(root, self.roots, self.places)) if self.roots[-1] > root else math.inf
        return low, high


def profile(law: StepLaw, readings: Readings, fit: DeviceFit, number: int) -> Profile:
    """Follow the likelihood of a coordinate to both sides.

    Args:
        law: The law.
        readings: What was measured on the device.
        fit: Its fit.
        number: Which coordinate.
    """
    likelihood = Likelihood(law, readings, fit.coordinates, fit.is_slow, loose=number)
    likelihood.pull = np.where(np.arange(len(fit.x)) == number, 0.0, fit.pull)
    is_noise = bool(fit.is_noise[number])

    def height(x: Values) -> Dimensionless:
        if not is_noise:
            return likelihood.value(x)
        # The pull on the other noises stands for what the law takes up along them: once is enough.
        own = likelihood.value(x) - 2 * float(likelihood.pull @ x)
        return own + 2 * taken_up(likelihood.derivatives(x)[1], fit.is_noise)

    reach = fit.coordinates[number].reach
    first = _FIRST * min(math.sqrt(fit.covariance[number, number]), reach / 2)
    least = height(fit.x)
    found = {float(fit.x[number]): least}
    others = np.delete(np.arange(len(fit.x)), number)
    following = fit.covariance[others, number] / fit.covariance[number, number]
    for side in (-1.0, 1.0):
        step, x, distance, last, is_first, ahead = first, fit.x, 0.0, 0.0, True, side * following
        while distance < _FARTHEST * reach:
            there = x.copy()
            there[number] = fit.x[number] + side * (distance + step)
            there[others] += ahead * step  # the others go on as they went
            there = likelihood.minimise(there, fixed=number, rest=_REST)
            rise = height(there) - least
            found[float(there[number])] = rise + least
            if is_first and rise > _STEEP and step > 1e-3 * first:
                step /= 3
                continue
            if rise > _ENOUGH:
                break
            is_flat = abs(rise - last) < _FLAT
            ahead = (there - x)[others] / step
            is_first, x, distance, last = False, there, distance + step, rise
            if is_flat and distance > _FARTHEST_FLAT * reach:
                break
            step *= _GROWTH
    places = np.array(sorted(found))
    heights = np.array([found[place] for place in places])
    best = int(np.argmin(heights))
    roots = np.sqrt(heights - heights[best]) * np.where(np.arange(len(places)) < best, -1.0, 1.0)
    roots[:best] = -np.maximum.accumulate(-roots[:best][::-1])[::-1]
    roots[best:] = np.maximum.accumulate(roots[best:])
    return Profile(places, roots, is_vague=law.nodes > 0 and fit.coordinates[number].is_hard_bound)
