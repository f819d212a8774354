"""How far a training has come: the counters of its checkpoint."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, final

from devices.units import Dimensionless, Seconds


@final
@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        data: Fingerprint of the images.
        epoch: Number of finished epochs.
        step: Number of finished steps in the present epoch.
        loss_sum: Sum of the loss over the images of the present epoch.
        correct: Number of them that were classified correctly.
        seconds: Time spent in the present epoch.
        history: One record for each finished epoch.
        events: Ledger of all finished steps, in the types of JSON; empty before the first step.
    """

    data: str
    epoch: int = 0
    step: int = 0
    loss_sum: Dimensionless = 0.0
    correct: int = 0
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
        if (
            not isinstance(values, dict)
            or {name: type(value) for name, value in values.items()} != types
            or not 0 <= values["epoch"] <= epochs
            or not 0 <= values["step"] < steps
            or len(values["history"]) != values["epoch"]
        ):
            raise ValueError(
                f"`path` must hold the counters of this training, but those in {path} are damaged."
            )
        return cls(**values)
