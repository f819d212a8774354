"""Means over seeds or chips, how sure they are, and how tables write them: once for every study."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import stdtrit

_CONFIDENCE: Final = 0.95
NOTHING: Final = "-"
"""What tables show where nothing is known."""


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation; a single value has no deviation."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def student_reach(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of the mean of two values or more, by Student's t."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2)) * error


@final
@dataclass(frozen=True)
class Mean:
    """A mean over seeds, or over chips.

    Attributes:
        value: The mean.
        std: Standard deviation over them; None for one.
        reach: Half of its 95 % interval by Student's t; None for one.
        number: How many there are.
    """

    value: float
    std: float | None
    reach: float | None
    number: int

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for one value."""
        return None if self.std is None else self.std / math.sqrt(self.number)

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Mean | None":
        """Return the mean of those values that there are, or None."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        return cls.of_all(known) if known else None

    @classmethod
    def of_all(cls, values: Sequence[float]) -> "Mean":
        """Return the mean of one value or more, all of which are known."""
        value, std = mean_and_std(values)
        return cls(value, std, None if std is None else student_reach(values), len(values))

    @classmethod
    def of_differences(cls, pairs: Iterable[tuple[float | None, float | None]]) -> "Mean | None":
        """Return the mean of first less second, pair by pair; a value without its partner does not count."""
        return cls.of([a - b for a, b in pairs if a is not None and b is not None])

    def percent(self) -> str:
        """Write an accuracy: mean and standard deviation."""
        return f"{_in_percent(self)} %"

    def points(self) -> str:
        """Write a difference of accuracies: mean and 95 % interval, in percentage points."""
        reach = "" if self.reach is None else f" ± {100 * self.reach:.1f}"
        return f"{100 * self.value:+.1f}{reach} points"


@final
@dataclass(frozen=True)
class Difference:
    """A mean difference of scores, and how sure it is.

    Attributes:
        value: The mean.
        error: Its standard error.
        reach: Half of its 95 % interval.
    """

    value: float
    error: float
    reach: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.reach

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.reach

    def points(self) -> str:
        """Write it as percentage points, with its 95 % interval."""
        return f"{100 * self.value:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}]"


def crossed_difference(differences: Float[NDArray[np.float64], "samples images"]) -> Difference:
    """Return the mean of differences over chips (or seeds) and test images, both of which are samples.

    Every chip answered the same images, so a difference varies with the chip, with the image, and with both: a table
    of two crossed random factors. Its mean squares M give the variance of the mean (Searle, Casella, McCulloch,
    Variance Components, 1992, chapter 4),

        (M_chips + M_images - M_both) / (chips * images),

    with no negative variance of the images. In the interval M_chips is taken times the square of Student's t of
    chips - 1 degrees of freedom, and that of the images times the square of theirs: few chips widen it as they do
    alone. In simulations such intervals hold the truth in 94 to 99 % of the cases (a test computes it).

    Args:
        differences: Of two samples or more, and two images or more.
    """
    samples, images = differences.shape
    value = float(differences.mean())
    of_samples, of_images = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - of_samples[:, None] - of_images[None, :] + value
    m_samples = images * float(np.var(of_samples, ddof=1))
    m_images = samples * float(np.var(of_images, ddof=1))
    m_both = float(np.square(rest).sum()) / ((samples - 1) * (images - 1))
    t_samples, t_images = (float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) for n in (samples, images))

    def spread(t_samples: float, t_images: float) -> float:
        of_images = t_images**2 * max(m_images - m_both, 0.0)
        whole = max(t_samples**2 * m_samples + of_images, t_images**2 * m_images)
        return math.sqrt(whole / (samples * images))

    return Difference(value, spread(1.0, 1.0), spread(t_samples, t_images))


def percent(values: Iterable[float | None]) -> str:
    """Write accuracies: mean and standard deviation.

    Example:
        >>> percent([0.5, 0.7]), percent([0.5]), percent([])
        ('60.0 ± 14.1 %', '50.0 %', '-')
    """
    mean = Mean.of(values)
    return NOTHING if mean is None else mean.percent()


def bare_percent(values: Iterable[float | None]) -> str:
    """Write accuracies in per cent without the sign, for columns that name the unit."""
    mean = Mean.of(values)
    return NOTHING if mean is None else _in_percent(mean)


def _in_percent(mean: Mean) -> str:
    return f"{100 * mean.value:.1f}" + ("" if mean.std is None else f" ± {100 * mean.std:.1f}")


def number(value: float | None) -> str:
    """Write a number with three digits, without an exponent where it is of a readable size.

    Example:
        >>> number(0.01234), number(1234.5), number(3.2e7), number(None)
        ('0.0123', '1234', '3.2e7', '-')
    """
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return str(value)
    magnitude = math.floor(math.log10(abs(value)))
    if -4 <= magnitude < 5:
        return f"{value:.{max(0, 2 - magnitude)}f}"
    return f"{value:.1e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
