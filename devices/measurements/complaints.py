"""All bad lines of a file, in one sentence with their numbers."""

from pathlib import Path
from typing import Final

from typing_extensions import final

_LONGEST: Final = 40  # characters of a cell that are shown


@final
class Complaints:
    """What is wrong in the lines of a file, until it is said.

    Args:
        path: The file.
        what: What errors call it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._lines: dict[str, list[int]] = {}
        self._example: dict[str, str] = {}
        self._advice = "Correct these lines, or leave them out"

    def add(self, line: int, rule: str, value: str, advice: str | None = None) -> None:
        """Note a bad line.

        Args:
            line: Its number in the file, from 1.
            rule: What must hold.
            value: What is there.
            advice: What to do, if not what is always to be done.
        """
        self._lines.setdefault(rule, []).append(line)
        self._example.setdefault(rule, value[:_LONGEST])
        self._advice = advice or self._advice

    def settle(self) -> None:
        """Say what was noted.

        Raises:
            ValueError: If any line is bad; names all of them.
        """
        if not self._lines:
            return
        parts = []
        for rule, lines in self._lines.items():
            several = len(set(lines)) > 1
            first = " first" if several else ""
            parts.append(f"{rule} in {_lines(lines)} (is{first} {self._example[rule]})")
        raise ValueError(
            f"`{self._what}` must be right in every line, but in {self._path} {'; '.join(parts)}. {self._advice}."
        )


def _lines(numbers: list[int]) -> str:
    """Write line numbers, runs of them as first and last."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    if len(words) > 1:
        words = [", ".join(words[:-1]) + f" and {words[-1]}"]
    return f"{'lines' if len(set(numbers)) > 1 else 'line'} {words[0]}"
