"""Spans of time as people write them: 1s, 1h, 30d, 1y."""

from typing import Annotated, Final

# As in devices/units.py, which brings torch with it; `xbar --help` shall answer at once. For the same reason the
# parser, which is the library's, is imported where it is called.
Seconds = Annotated[float, "s"]

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
    from devices.times import SECONDS_PER_UNIT, parse_time  # brings torch with it

    times = set()
    for entry in text.split(","):
        seconds = parse_time(entry)
        if seconds is None or not 0 < seconds < float("inf"):
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
    from devices.times import SECONDS_PER_UNIT  # brings torch with it

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
