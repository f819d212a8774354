"""In what formats figures are written beside PNG."""

import os
from typing import Final

VARIABLE: Final = "XBAR_FIGURES"
KNOWN: Final = ("svg", "pdf")


def figure_formats() -> tuple[str, ...]:
    """Return the formats beside PNG that the environment variable XBAR_FIGURES names, for example "svg,pdf"."""
    return tuple(name for name in KNOWN if name in os.environ.get(VARIABLE, "").split(","))


def ask_for_formats(words: list[str]) -> list[str]:
    """Take `--format` out of a command line, and ask for what it names in this process and those that it starts.

    Args:
        words: The command line.

    Returns:
        The command line without it.

    Raises:
        ValueError: If it names no format.
    """
    if "--format" not in words:
        return words
    start = words.index("--format") + 1
    end = next(
        (place for place in range(start, len(words)) if words[place] not in ("png", *KNOWN)), len(words)
    )
    if end == start:
        given = words[start] if start < len(words) else "left out"
        raise ValueError(f"`--format` must be png, svg or pdf, or several of them, but is {given}.")
    os.environ[VARIABLE] = ",".join(words[start:end])
    return words[: start - 1] + words[end:]
