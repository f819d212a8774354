"""What is read off the runs of `xbar in-situ`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

from devices.units import Dimensionless


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        device: Name of the memory cell, or "digital".
        placement: Key of `PLACEMENTS`.
        seed: The run's seed.
        run: The run's folder.
        command: The `xbar train` line that repeats it.
        accuracy: Test accuracy as trained, mean over readings.
        pulses: Pulses per device of the first layer; None without devices.
        course: What happened to the devices of the first layer over the training; see `course.course_of`.
        did_learn: Whether the network learned at all; see `chance.RULE`.
    """

    device: str
    placement: str
    seed: int
    run: str
    command: str
    accuracy: Dimensionless
    pulses: Dimensionless | None
    course: Mapping[str, list[float | None]] = field(default_factory=dict)
    did_learn: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return asdict(self)
