"""What a training has reached, and what had to happen for it: validation accuracy against the events so far.

A measurement is made after every epoch, and between epochs, on at most 1,000 validation images, as often as the run
asks for. It changes nothing: the same run without it learns the same, and its passes are not among the events.
`curve.jsonl` has one line for each:

    {"step": 94, "loss": 0.31, "accuracy": 0.905, "events": {...}}

`step` counts the steps taken, `events` is the ledger of all of them (`crossbar.EventLedger`); null where nothing
learns on devices, as a training in software happens on no chip.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

from crossbar import EventLedger
from devices.files import parse_json, read_text, write_atomically
from devices.units import Dimensionless

from ...support.typed_values import typed

_FIELDS: Final = ("step", "loss", "accuracy", "events")


@final
@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How a network did on the validation images while it was trained.

    Attributes:
        step: Number of steps taken.
        loss: Mean loss.
        accuracy: Fraction of images classified correctly; of other metrics their value, 1 at the best.
        events: Ledger of all steps so far, in the types of JSON; None where nothing learns on devices.
    """

    step: int
    loss: Dimensionless
    accuracy: Dimensionless
    events: dict[str, Any] | None

    @property
    def ledger(self) -> EventLedger | None:
        """What all steps so far made happen."""
        return None if self.events is None else EventLedger.from_json(self.events)

    def to_line(self) -> str:
        """Return the measurement as a line of the file."""
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, allow_nan=False) + "\n"


@final
class Curve:
    """Collects the measurements of a training.

    Args:
        every: Steps between two measurements within an epoch; 0 for none.
        on_measure: Told of every measurement, also of those before an interruption; what it raises ends it all.
    """

    def __init__(self, every: int, on_measure: Callable[[Measurement], None] | None = None) -> None:
        self._every = every
        self._on_measure = on_measure
        self._measurements: list[Measurement] | None = []

    def is_due(self, step: int) -> bool:
        """Say whether to measure after so many steps, if no epoch ends there."""
        return bool(self._every) and step % self._every == 0

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement."""
        if self._measurements is not None:
            self._measurements.append(measurement)
        if self._on_measure is not None:
            self._on_measure(measurement)

    def save(self, path: Path) -> None:
        """Write all measurements, whole or not at all."""
        if self._measurements is not None:
            write_atomically(path, "".join(one.to_line() for one in self._measurements).encode())

    def restore(self, path: Path, step: int) -> None:
        """Read the measurements of an interrupted training back; those after its last checkpoint are made again.

        A training that an earlier version has begun has none, and is given none: half a curve would mislead.

        Raises:
            ValueError: If the file is damaged.
            FileNotFoundError: If it is missing, although it was asked for.
        """
        if step == 0:
            return
        if not path.exists() and not self._every:
            self._measurements = None
            return
        self._measurements = [one for one in read_curve(path) if one.step <= step]
        for measurement in self._measurements:
            if self._on_measure is not None:
                self._on_measure(measurement)


def read_curve(path: Path) -> list[Measurement]:
    """Read the measurements of a training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """
    try:
        lines = read_text(path, "run").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f"`run` must be a whole run folder, but {path} is missing.") from None
    try:
        found = [typed(Measurement, parse_json(line), f"line {i}") for i, line in enumerate(lines, start=1)]
        for one in found:
            if one.accuracy > 1 or one.step < 1:
                raise ValueError(f"step {one.step} has the accuracy {one.accuracy}")
            if one.events is not None:
                EventLedger.from_json(one.events)
        if any(later.step <= one.step for one, later in pairwise(found)):
            raise ValueError("its steps do not ascend")
    except ValueError as error:
        raise ValueError(
            f"`run` must hold an undamaged curve.jsonl, but {path} is damaged: {error}. Start the run over with "
            "--force."
        ) from None
    return found
