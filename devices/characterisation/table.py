"""Rows of a characterisation: what was measured, its value, its spread, its unit."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import final

from ..files import write_atomically
from ..units import Dimensionless


@final
@dataclass(frozen=True)
class Quantity:
    """One measured number.

    Attributes:
        name: What it is.
        value: How much, in `unit`.
        spread: From device to device unless the note says otherwise, in `unit`; None where there is none.
        unit: "1", "µS", "s".
        note: How it was measured, or what to beware of.
    """

    name: str
    value: Dimensionless
    spread: Dimensionless | None
    unit: str
    note: str = ""


def over_devices(name: str, sample: Tensor, unit: str, note: str = "") -> Quantity | None:
    """Summarise a quantity that every device has: median, and half the width that holds the middle 68 %.

    For normal numbers that is mean and standard deviation; a few broken devices do not matter.

    Args:
        name: What it is.
        sample: One number for each device; NaN for those that have none.
        unit: Its unit.
        note: How it was measured.

    Returns:
        The row; None if no device has the quantity.
    """
    has_it = sample.isfinite()
    if not has_it.any():
        return None
    # As many devices as a characterisation has; `quantile` takes up to 16 million.
    low, middle, high = torch.quantile(sample[has_it].double(), torch.tensor([0.1587, 0.5, 0.8413]).double())
    part = float(has_it.double().mean())
    if part < 1:
        note = (
            f"{note}; {100 * part:.1f} % of the devices have one" if note else f"{100 * part:.1f} % have one"
        )
    return Quantity(name, float(middle), float(high - low) / 2, unit, note)


def write_csv(rows: Iterable[Quantity], path: Path) -> None:
    """Write rows to a CSV file with a heading.

    Args:
        rows: The rows.
        path: The file; its folder must exist.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Quantity))
    for row in rows:
        writer.writerow("" if value is None else value for value in astuple(row))
    write_atomically(path, text.getvalue().encode())
