"""How far a command has come: a bar in a terminal or notebook, a line a minute in a log."""

import sys
from typing import Annotated, Any, Final, TextIO, final

from tqdm.auto import tqdm

# As in devices/units.py, which brings torch with it.
Seconds = Annotated[float, "s"]

_SECONDS_BEFORE_THE_FIRST_LINE: Final[Seconds] = 3.0
_SECONDS_BETWEEN_LINES: Final[Seconds] = 60.0


@final
class _Lines:
    """A file in which nothing is written over: what tqdm draws again becomes a line of its own."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a drawing of the bar as a line."""
        line = text.strip("\r\n ")
        if line:
            self._file.write(f"{line}\n")

    def flush(self) -> None:
        """Write what waits."""
        self._file.flush()


def is_terminal() -> bool:
    """Whether somebody watches: only then may a line be drawn over."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def progress_bar(
    *, total: int | None, unit: str, desc: str | None = None, initial: int = 0, leave: bool = True
) -> "tqdm[Any]":
    """Return a bar with the time that is left.

    Args:
        total: Steps, chips, runs, ... in all; None if that is not known yet.
        unit: What they are.
        desc: What is done.
        initial: How many were done before.
        leave: Whether a bar stays in the terminal when all is done.
    """
    if is_terminal():
        return tqdm(total=total, unit=unit, desc=desc, initial=initial, leave=leave, dynamic_ncols=True)
    return tqdm(
        total=total,
        unit=unit,
        desc=desc,
        initial=initial,
        file=_Lines(sys.stderr),
        ascii=True,
        ncols=0,  # numbers only
        delay=_SECONDS_BEFORE_THE_FIRST_LINE,
        mininterval=_SECONDS_BETWEEN_LINES,
        maxinterval=_SECONDS_BETWEEN_LINES,
        leave=False,
    )
