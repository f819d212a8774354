"""Means over seeds or chips, how sure they are, and how tables write them: once for every study."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

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
