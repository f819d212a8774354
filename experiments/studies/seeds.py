"""The runs of a study that differ in their seeds only, and means over them."""

from abc import ABC
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ..data.chance import mark
from ..support.statistics import Mean


class HasLearned(Protocol):
    """Something that says whether its network learned."""

    @property
    def did_learn(self) -> bool:
        """Whether the network learned at all; see `chance.RULE`."""


Row = TypeVar("Row", bound=HasLearned)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Seeds(ABC, Generic[Row]):
    """Runs that differ in their seeds only.

    Attributes:
        rows: One for each seed.
    """

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """A run that stands for what all have in common."""
        return self.rows[0]

    @property
    def mark(self) -> str:
        """What names the seeds that did not learn."""
        return mark([row.did_learn for row in self.rows])

    @property
    def has_learned(self) -> bool:
        """Whether any of the networks learned; else there is nothing to price or to rank."""
        return any(row.did_learn for row in self.rows)

    def of(self, quantity: Callable[[Row], float | None]) -> Mean | None:
        """Return the mean of a quantity over the seeds that have it, or None."""
        return Mean.of(map(quantity, self.rows))


def by_key(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[tuple[Item, ...]]:
    """Group items by a key, in the order in which keys appear."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [tuple(group) for group in groups.values()]
