"""Say that loops are being compiled, where a first run on a machine would stand still for long without a word."""

import sys
import time
from functools import cache
from threading import Timer
from typing import Any, Final, final

from numba.core import event
from typing_extensions import override

from devices.units import Seconds

from .progress_bar import is_terminal

_KIND: Final = "numba:compile"  # numba sends it where no cache holds the loop, at the start and at the end
_PATIENCE: Final[Seconds] = 2.0
_SAID: Final = (
    "Compiling loops that run here for the first time: up to two minutes, and once on this machine."
)


@final
class CompilationNotice(event.Listener):  # type: ignore[misc]
    """Says once that loops are being compiled, when all of them together have taken longer than patience lasts.

    Args:
        patience: How long compiling may take in silence, in s.
    """

    def __init__(self, patience: Seconds) -> None:
        self._left, self._depth, self._began = patience, 0, 0.0
        self._timer: Timer | None = None

    @override
    def on_start(self, event: Any) -> None:
        self._depth += 1  # a loop that calls others is compiled with them
        if self._depth == 1 and self._left >= 0:
            self._began = time.monotonic()
            self._timer = Timer(self._left, self._say)
            self._timer.daemon = True
            self._timer.start()

    @override
    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= time.monotonic() - self._began

    def _say(self) -> None:
        self._left = -1.0
        print(_SAID, file=sys.stderr, flush=True)


@cache
def announce_compiling() -> None:
    """Let this process say that it compiles, once, if somebody watches."""
    if is_terminal():
        event.register(_KIND, CompilationNotice(_PATIENCE))
