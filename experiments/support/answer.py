"""What a command has found: with `--json` one JSON document on the standard output, and nothing else there."""

import contextlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

from .json_files import read_json

Answer = Path | dict[str, Any] | list[Any]
"""What every command returns: the file of its numbers or, where it writes none, its table in the types of JSON."""

DOUBTFUL: Final = 3
"""The exit code of a command whose result is written but should not be trusted."""


@final
class DoubtfulResult(Exception):
    """Raised at the end of a command, when all files are written, to say why they should not be trusted.

    Attributes:
        answer: What the command would have returned.
    """

    def __init__(self, reason: str, answer: Answer) -> None:
        super().__init__(reason)
        self.answer = answer


@contextmanager
def messages_elsewhere() -> Iterator[None]:
    """Let what is printed within the block, tables and progress, go to the standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def as_json(answer: Answer) -> str:
    """Write what a command returned as JSON.

    Args:
        answer: A file of numbers, or values in the types of JSON; paths among them are written as text.
    """
    content = read_json(answer) if isinstance(answer, Path) else answer
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=_as_text)
    return text.encode(errors="backslashreplace").decode()


def _as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"`answer` must be in the types of JSON, but holds a {type(value).__name__}.")
