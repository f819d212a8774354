"""What a process receives from the others for one layer: bytes and exchanges, counted where they come in."""

from collections import Counter
from dataclasses import dataclass, field

from typing_extensions import final


@final
@dataclass
class Traffic:
    """Counts of one process, by phase: "forward", "backward" or "update", to which agreed numbers belong.

    Attributes:
        received: Bytes from other processes.
        exchanges: Times that this process has waited for others.
    """

    received: Counter[str] = field(default_factory=Counter)
    exchanges: Counter[str] = field(default_factory=Counter)

    def note(self, phase: str, received: int) -> None:
        """Count one exchange.

        Args:
            phase: When.
            received: Bytes of it that came from other processes.
        """
        self.received[phase] += received
        self.exchanges[phase] += 1

    def copy(self) -> "Traffic":
        """Return the counts as they stand."""
        return Traffic(self.received.copy(), self.exchanges.copy())

    def since(self, before: "Traffic") -> "Traffic":
        """Return what was counted since then."""
        return Traffic(self.received - before.received, self.exchanges - before.exchanges)
