"""Spans of time as people write them: 1s, 1h, 30d, 1y."""

import re
from typing import Annotated, Final

# As in devices/units.py, which brings torch with it; `xbar --help` shall answer at once.
Seconds = Annotated[float, "s"]

SECONDS_PER_UNIT: Final = {
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "month": 30 * 86400.0,
    "y": 365 * 86400.0,
}
_WORDS: Final = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "month": "month",
    "y": "year",
}


def parse_times(text: str) -> tuple[Seconds, ...]:
    """Read a comma-separated list of times.

    Args:
        text: For example "1s,1h,1d,1month,1y"; a bare number is in seconds. A month is 30 days, a year 365.

    Returns:
        The times in seconds, in rising order, each once.

    Raises:
        ValueError: If an entry is no positive time.

    Example:
        >>> parse_times("1d, 90, 1h")
        (90.0, 3600.0, 86400.0)
    """
    times = set()
    for entry in text.split(","):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([a-z]*)\s*", entry)
        unit = match.group(2) or "s" if match else ""
        seconds = float(match.group(1)) * SECONDS_PER_UNIT.get(unit, 0.0) if match else 0.0
        if not 0 < seconds < float("inf"):
            raise ValueError(
                f"`times` must be positive numbers with a unit of {', '.join(SECONDS_PER_UNIT)}, but has "
                f"{entry!r}. Write for example 1s,1h,1d,1month,1y."
            )
        times.add(seconds)
    return tuple(sorted(times))


def format_time(seconds: Seconds) -> str:
    """Write a time in the largest unit that leaves a round number.

    Example:
        >>> format_time(2_592_000), format_time(7200), format_time(1.5)
        ('1 month', '2 hours', '1.5 seconds')
    """
    for unit in reversed(SECONDS_PER_UNIT):
        count = seconds / SECONDS_PER_UNIT[unit]
        if count >= 1 and count == round(count, 2):
            return f"{count:g} {_WORDS[unit]}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def write_times(times: tuple[Seconds, ...]) -> str:
    """Write times so that `parse_times` reads the same again.

    Example:
        >>> write_times((1.0, 3600.0))
        '1s,3600s'
    """
    return ",".join(f"{seconds!r}s".replace(".0s", "s") for seconds in map(float, times))
