"""What every reproduction of a table is: pieces of work that can be done side by side, and their values."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from devices.units import Dimensionless, Seconds

from ....drawing.sections import Section
from ..judgement import Pattern, Verdict
from ..tables import Key, PublishedTable

Scale = Literal["smoke", "laptop", "paper"]


@final
@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a reproduction is asked for.

    Attributes:
        scale: "smoke", "laptop" or "paper".
        runs: Folder for what it leaves behind.
        data_dir: Folder of the data sets.
        threads: Threads of each piece.
        only: Keep only pieces whose names contain one of these words; all if empty.
    """

    scale: Scale
    runs: Path
    data_dir: str
    threads: int
    only: tuple[str, ...] = ()


class Reproduction(ABC):
    """How a published table is computed.

    Attributes:
        table_name: The table.
        trains: Whether there is less of it at a smaller scale.
    """

    table_name: ClassVar[str]
    trains: ClassVar[bool] = True

    def __init__(self, table: PublishedTable, ask: Ask) -> None:
        self.table, self.ask = table, ask
        self.settings: dict[str, Any] = table.at(ask.scale)

    @property
    @abstractmethod
    def work(self) -> Callable[[Any], object]:
        """What is done for each piece: a function of a module that can be repeated, and goes on where it stopped."""

    @abstractmethod
    def pieces(self) -> dict[str, Any]:
        """Return all pieces, by the name that a progress bar shows."""

    @abstractmethod
    def is_done(self, piece: Any) -> bool:
        """Say whether a piece is finished."""

    @abstractmethod
    def values(self) -> dict[Key, Dimensionless]:
        """Return what finished pieces say about the cells of the table."""

    def patterns(self, values: Mapping[Key, Dimensionless]) -> list[Pattern]:
        """Return the paper's claims about several cells, and whether they hold."""
        return []

    def told(self, sections: Sequence[Section]) -> list[Pattern]:
        """Return the paper's claims about what `more` shows, and whether they hold.

        Args:
            sections: Of `more`, and of earlier studies.
        """
        return []

    def same(self) -> dict[Key, Key]:
        """Return by cell another one that the very same training is judged by."""
        return {}

    def more(self) -> list[Section]:
        """Return what else there is to show: a second referee, what was left out, how long it took."""
        return []

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the sections of `more`, by which those of earlier studies are found."""
        return ()

    def chosen(self) -> dict[str, Any]:
        """Return the pieces that were asked for."""
        only = self.ask.only
        return {
            name: piece
            for name, piece in self.pieces().items()
            if not only or any(word in name for word in only)
        }

    def remarks(self) -> dict[Key, str]:
        """Return by cell with which training it was computed, where that was less than published."""
        return {}

    def explanations(self, verdicts: Sequence[Verdict], sections: Sequence[Section]) -> dict[Key, str]:
        """Return what was tested to explain cells that differ.

        Args:
            verdicts: On all cells.
            sections: What else there is to show.
        """
        return {}

    def seconds(self) -> Seconds:
        """Return the processor time of all that is done, in s, as far as it was noted."""
        return 0.0
