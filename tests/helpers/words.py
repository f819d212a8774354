"""Words of command lines."""

from collections.abc import Sequence


def without(words: Sequence[str], *options: str) -> list[str]:
    """Leave options with one value each out of a command line, where they would have no effect."""
    idle = {place + more for place, word in enumerate(words) if word in options for more in (0, 1)}
    return [word for place, word in enumerate(words) if place not in idle]
