"""The times after programming at which a device model may be asked; beyond them it refuses to answer."""

import math
from dataclasses import dataclass

from typing_extensions import final

from .units import Seconds

TEN_YEARS: Seconds = 10 * 365.25 * 24 * 3600.0


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
