"""Ctrl-C and SIGTERM between two steps of the work, never within one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, final

_STOP_FILE: Final[ContextVar[Path | None]] = ContextVar("_STOP_FILE", default=None)


@contextmanager
def stopped_by(file: Path) -> Iterator[None]:
    """Let every interruption within the block be requested also by a file: as soon as it exists."""
    token = _STOP_FILE.set(file)
    try:
        yield
    finally:
        _STOP_FILE.reset(token)


@final
class RunInterrupted(Exception):
    """The user or the system has asked the work to stop; everything needed to continue is saved.

    Attributes:
        signal_number: What was received.
        how_to_continue: The command that goes on from here.
    """

    def __init__(self, signal_number: int, how_to_continue: str) -> None:
        super().__init__(f"Stopped; everything is saved. Continue with: {how_to_continue}")
        self.signal_number = signal_number
        self.how_to_continue = how_to_continue


@final
class Interruption:
    """Note a request to stop, until the work has come to a place where it can stop.

    An optimizer's step that is cut in two leaves weights that no uninterrupted run ever has; so the first
    Ctrl-C or SIGTERM is only noted. The second one stops at once.

    Args:
        how_to_continue: The command that goes on after a stop.
        on_request: Called as soon as a signal has come.
        is_patient: Whether further signals change nothing: in one of several processes, whose launcher hands on what
            the terminal has sent to all of them already, and ends them if they take too long.
    """

    def __init__(
        self, how_to_continue: str, on_request: Callable[[], None] | None = None, *, is_patient: bool = False
    ) -> None:
        self._is_patient = is_patient
        self.how_to_continue = how_to_continue
        self.signal_number: int | None = None
        self._on_request = on_request
        self._stop_file = _STOP_FILE.get()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        # Only the main thread may handle signals; elsewhere they keep their usual meaning.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            if self._is_patient:
                return
            raise KeyboardInterrupt
        self.signal_number = number
        if self._on_request is not None:
            self._on_request()

    def stop_if_requested(self) -> None:
        """End the work here if that was asked for.

        Raises:
            RunInterrupted: If a signal has come, or the file of `stopped_by` exists.
        """
        if self._stop_file is not None and self._stop_file.exists():
            self.signal_number = self.signal_number or signal.SIGINT
        if self.signal_number is not None:
            raise RunInterrupted(self.signal_number, self.how_to_continue)
