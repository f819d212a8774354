"""What a user may have meant by a name that does not exist."""

import difflib
from collections.abc import Iterable


def closest(wrong: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that are nearly the wrong one, the closest first, whatever the case.

    Example:
        >>> closest("Fcn_digit", ["fcn_digits", "pcm"])
        ['fcn_digits']
        >>> closest("x", ["fcn_digits"])
        []
    """
    names = {name.lower(): name for name in known}
    return [names[name] for name in difflib.get_close_matches(wrong.lower(), names, n=3)]


def choose(wrong: str, known: Iterable[str]) -> str:
    """Return the last sentence of an error about a wrong name.

    Example:
        >>> choose("fcn_digts", ["fcn_digits", "pcm"]), choose("x", ["fcn_digits"])
        ('Did you mean fcn_digits?', 'Choose one.')
    """
    close = closest(wrong, known)
    return f"Did you mean {' or '.join(close)}?" if close else "Choose one."
