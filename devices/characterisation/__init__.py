"""What a device is like, measured on simulated ones as a device paper would on real ones."""

from dataclasses import dataclass
from pathlib import Path

from typing_extensions import final

from ..catalogue import get
from ..device_model import DeviceModel
from .drift import DriftTrajectories, measure_drift
from .programming import ProgrammingError, measure_programming
from .pulse_response import PulseResponse
from .retention import Retention, measure_retention
from .table import Quantity, write_csv

__all__ = [
    "Characterisation",
    "DriftTrajectories",
    "ProgrammingError",
    "PulseResponse",
    "Quantity",
    "Retention",
    "characterise",
]


@final
@dataclass(frozen=True, kw_only=True)
class Characterisation:
    """What was measured on one kind of device; None or empty where its model states nothing.

    Attributes:
        name: What the catalogue calls the device.
        technology: The kind of memory cell.
        response: How pulses move it.
        programming: How far a write misses, and how much a read scatters.
        drift: What becomes of single devices.
        retention: Errors of weights at some times with each compensation.
    """

    name: str
    technology: str
    response: PulseResponse | None
    programming: ProgrammingError | None
    drift: DriftTrajectories | None
    retention: tuple[Retention, ...]

    def rows(self) -> list[Quantity]:
        """Return all numbers as rows of a table."""
        parts = (self.response, self.programming, self.drift)
        rows = [row for part in parts if part is not None for row in part.rows()]
        return rows + [retention.row() for retention in self.retention]

    def write_csv(self, path: Path | str) -> None:
        """Write the rows to a CSV file."""
        write_csv(self.rows(), Path(path))


def characterise(device: DeviceModel | str, *, devices: int = 1000, seed: int = 0) -> Characterisation:
    """Measure a kind of device on simulated ones.

    Args:
        device: The device, or its name.
        devices: How many to simulate, for each measurement.
        seed: Names devices and noise; the same seed, the same numbers.

    Raises:
        ValueError: If `devices` is below 10, or there is no device of that name.
    """
    if devices < 10:
        raise ValueError(f"`devices` must be at least 10, but is {devices}. Spreads need more of them.")
    model = get(device) if isinstance(device, str) else device
    response = None
    if model.build_training is not None:
        # Here, because compiled code reads its cache when it is imported, and importing `devices` reads no files.
        from .pulse_measurement import device_with_weight, measure_pulse_response

        plain, is_one_way = device_with_weight(model.training_config())
        response = measure_pulse_response(plain, is_one_way=is_one_way, devices=devices, seed=seed)
    ages = model.build is not None
    return Characterisation(
        name=model.name,
        technology=model.technology,
        response=response,
        programming=measure_programming(model, devices=devices, seed=seed) if ages else None,
        drift=measure_drift(model, devices=devices, seed=seed) if ages else None,
        retention=measure_retention(model, devices=devices, seed=seed) if ages else (),
    )
