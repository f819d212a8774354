"""Which classes a network takes for which: its answers to the test images, counted by class and answer.

Counted in the same passes as the accuracies: nothing is read or drawn for it. A sequence counts at every position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, final, get_args

import torch
from torch import Tensor

from devices.units import Dimensionless

from .objective import Objective

State = Literal["digital", "as_trained", "aged"]
"""Whose answers: of the weights in floating point, of devices as training left them, of chips at the last time."""

Counts = list[list[int]]
"""Images of each class (line) by answer (column), over all readings and chips."""

Confusion = dict[State, Counts]
"""By state of the network; empty of a regression, and where there are more than `MOST_CLASSES` classes."""

STATES: Final[tuple[State, ...]] = get_args(State)
MOST_CLASSES: Final = 100


@final
@dataclass
class ConfusionLog:
    """Collects answers over batches, readings and chips.

    Attributes:
        objective: What the network is trained for; a regression has no classes to confuse.
    """

    objective: Objective
    _counts: dict[State, Tensor] = field(default_factory=dict)

    def note(self, state: State, scores: Tensor, labels: Tensor) -> None:
        """Note the answers to a batch: for each example the class with the largest score.

        Args:
            state: Whose answers they are.
            scores: Outputs of the network: (batch, classes) or (batch, positions, classes).
            labels: The right ones: (batch) or (batch, positions).
        """
        classes = scores.shape[-1]
        if self.objective.is_regression or classes > MOST_CLASSES:
            return
        places = labels.flatten() * classes + scores.argmax(dim=-1).flatten()
        counts = torch.bincount(places.cpu(), minlength=classes**2).reshape(classes, classes)
        self._counts[state] = self._counts.get(state, torch.zeros_like(counts)) + counts

    def counted(self) -> Confusion:
        """Return what was noted, in the types of JSON."""
        return {state: self._counts[state].tolist() for state in STATES if state in self._counts}


def refuse_impossible(confusion: Confusion) -> None:
    """Refuse what no network answers.

    Raises:
        ValueError: If lines and columns are not the same classes, or a count is negative.
    """
    if len({len(counts) for counts in confusion.values()}) > 1 or any(
        len(line) != len(counts) or min(line) < 0 for counts in confusion.values() for line in counts
    ):
        raise ValueError("`confusion` must count every class by every class, 0 or more, but does not")


def by_class(counts: Sequence[Sequence[int]]) -> list[Dimensionless | None]:
    """Return the part of each class that is answered rightly; None of a class without images.

    Example:
        >>> by_class([[3, 1], [0, 0]])
        [0.75, None]
    """
    return [line[own] / sum(line) if any(line) else None for own, line in enumerate(counts)]


def most_taken_for(counts: Sequence[Sequence[int]], own: int) -> tuple[int, int] | None:
    """Return the wrong answer that a class gets most often, and how often; None if all its answers are right.

    Example:
        >>> most_taken_for([[5, 0, 2], [0, 1, 0], [0, 0, 1]], 0)
        (2, 2)
    """
    wrong = {answer: number for answer, number in enumerate(counts[own]) if answer != own and number}
    return max(wrong.items(), key=lambda item: item[1], default=None)
