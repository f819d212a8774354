"""A command that did what was asked, and doubts what came out."""

from typing import Final, final

from .answer import Answer

DOUBTFUL: Final = 3
"""The exit code of a command whose result is written but should not be trusted."""


@final
class DoubtfulResult(Exception):
    """Raised at the end of a command, when all files are written, to say why they should not be trusted.

    Attributes:
        answer: What the command would have returned; see `Answer`.
    """

    def __init__(self, reason: str, answer: Answer) -> None:
        super().__init__(reason)
        self.answer = answer
