"""Names that come from files become parts of file names: they are names, never paths."""

from typing import Final

_FORBIDDEN: Final = frozenset("/\\")
_LONGEST: Final = 100  # of the 255 bytes that a file's name may have, whose beginning and ending are ours


def check_name(name: str) -> str | None:
    """Return what a name must be if it is none; None if it can be part of a file's name on any system."""
    if not name.strip() or name != name.strip():
        return "a name without blanks at its ends"
    if name.startswith(".") or _FORBIDDEN & set(name):
        return "a name, not a path"
    if len(name.encode(errors="replace")) > _LONGEST or not name.isprintable():
        return f"a name of up to {_LONGEST} printable characters"
    return None
