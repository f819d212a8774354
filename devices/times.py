"""Times after programming: as people write them, and those at which a device model may be asked."""

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Final

from typing_extensions import final

from .units import Seconds

TEN_YEARS: Seconds = 10 * 365.25 * 24 * 3600.0

SECONDS_PER_UNIT: Final = {
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "month": 30 * 86400.0,
    "y": 365 * 86400.0,
}


def parse_time(text: str) -> Seconds | None:
    """Read one time as people write it.

    Args:
        text: For example "1d"; a bare number is in seconds. A month is 30 days, a year 365.

    Returns:
        The time in seconds, 0 and infinity included, or None if the text is no time.

    Example:
        >>> parse_time("1.5h"), parse_time("90"), parse_time("soon")
        (5400.0, 90.0, None)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([a-z]*)\s*", text)
    if match is None or (match.group(2) or "s") not in SECONDS_PER_UNIT:
        return None
    return float(match.group(1)) * SECONDS_PER_UNIT[match.group(2) or "s"]


def seconds_of(time: Seconds | str) -> Seconds:
    """Return a time in seconds, given as a number or as people write it.

    Args:
        time: Seconds since the end of programming, or for example "1d".

    Raises:
        ValueError: If it is no time, or negative or not finite.

    Example:
        >>> seconds_of("1d"), seconds_of(90)
        (86400.0, 90)
    """
    seconds = parse_time(time) if isinstance(time, str) else time
    is_text = isinstance(time, str)
    if not isinstance(seconds, Real) or isinstance(seconds, bool) or (is_text and not math.isfinite(seconds)):
        raise ValueError(
            f"`time` must be a number of seconds, or a number with a unit of {', '.join(SECONDS_PER_UNIT)}, but is "
            f"{time!r}. Write for example '1d'."
        )
    if not is_text:
        _check_is_time(seconds)
    return seconds


@final
@dataclass(frozen=True)
class TimeRange:
    """Every time from `first` to `last` after the end of programming, and the moment of programming itself.

    Time 0 belongs to every range: it is the state that the write left behind.

    Attributes:
        first: Where the law of drift or relaxation begins.
        last: Where it ends.
    """

    first: Seconds = 0.0
    last: Seconds = math.inf

    def __contains__(self, time: Seconds) -> bool:
        return time == 0 or self.first <= time <= self.last

    def check(self, time: Seconds) -> None:
        """Refuse a time outside the range.

        Args:
            time: Seconds since the end of programming.

        Raises:
            ValueError: If the time is negative, not finite, or outside the range.
        """
        _check_is_time(time)
        if time not in self:
            raise ValueError(
                f"`time` must be 0 or lie in [{self.first:g}, {self.last:g}] s, but is {time:g} s. "
                "The device model states no law outside this range."
            )


@final
@dataclass(frozen=True)
class MeasuredTimes:
    """A few single times after the end of programming, with nothing published between or beyond them.

    Attributes:
        times: The measured times, ascending.
    """

    times: tuple[Seconds, ...]

    def __contains__(self, time: Seconds) -> bool:
        return time in self.times

    def check(self, time: Seconds) -> None:
        """Refuse a time at which nothing was measured.

        Args:
            time: Seconds since the end of programming.

        Raises:
            ValueError: If the time is negative, not finite, or none of the measured ones.
        """
        _check_is_time(time)
        if time not in self:
            measured = ", ".join(f"{measured:g}" for measured in self.times)
            raise ValueError(
                f"`time` must be one of the measured times ({measured} s), but is {time:g} s. "
                "The device model was measured at these times only and is not interpolated."
            )


ValidTimes = TimeRange | MeasuredTimes


def _check_is_time(time: Seconds) -> None:
    if not (math.isfinite(time) and time >= 0):
        raise ValueError(
            f"`time` must be finite and at least 0 s, but is {time:g} s. "
            "Count it from the end of programming, as aihwkit's `t_inference`."
        )
