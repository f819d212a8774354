"""How far a training has come: the counters of its checkpoint."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, final

from crossbar import EventLedger
from devices.units import Dimensionless, Seconds

from ..support.typed_values import typed


@final
@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        data: Fingerprint of the images.
        epoch: Number of finished epochs.
        step: Number of finished steps in the present epoch.
        loss_sum: Sum of the loss over the images of the present epoch.
        correct: Number of them that were classified correctly; of another metric the sum of their scores.
        seconds: Time spent in the present epoch.
        history: One record for each finished epoch.
        events: Ledger of all finished steps, in the types of JSON; empty before the first step.
    """

    data: str
    epoch: int = 0
    step: int = 0
    loss_sum: Dimensionless = 0.0
    correct: Dimensionless = 0
    seconds: Seconds = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    events: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Any, path: Path, epochs: int, steps: int) -> "Progress":
        """Check what a checkpoint says.

        Raises:
            ValueError: If that cannot be a training of so many epochs and steps.
        """
        types = {item.name: type(getattr(cls(data=""), item.name)) for item in fields(cls)}
        try:
            if not isinstance(values, dict) or not _are_of(types, values):
                raise ValueError("they have other names or types")
            progress = typed(cls, values)
            if not 0 <= progress.epoch <= epochs or not 0 <= progress.step < steps:
                raise ValueError(f"there is no step {progress.step} of epoch {progress.epoch}")
            numbers = [record.get("epoch", i) for i, record in enumerate(progress.history, start=1)]
            if numbers != list(range(1, progress.epoch + 1)):
                raise ValueError("`history` is not that of its epochs")
            if (progress.correct < 0 and type(progress.correct) is int) or progress.seconds < 0:
                raise ValueError("counts and durations must be 0 or more")
            if progress.events:
                EventLedger.from_json(progress.events)
        except ValueError as error:
            raise ValueError(
                f"`path` must hold the counters of this training, but those in {path} are damaged: {error}. "
                "Start over with --force."
            ) from None
        return cls(**values)  # as they were written: the epoch of a line of the log is a whole number


def _are_of(types: dict[str, type], values: dict[str, Any]) -> bool:
    """Say whether values have the types of the fields; a sum of scores may be of whole numbers or fractions."""
    found = {name: type(value) for name, value in values.items()}
    return {**found, "correct": types["correct"]} == types and found.get("correct") in (int, float)
