"""A measured pulse response among simulated devices: what is kept of it beside a device file, and its panels."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, final

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from numpy.typing import NDArray

from devices import DeviceModel
from devices.files import read_text
from devices.fitting import PredictiveCheck
from devices.units import MicroSiemens

from .figures import strip
from .palette import BLUE, GREY, VERMILION

_ENDING: Final = "_response.csv"
_COLUMNS: Final = ("before", "measured", "low", "middle", "high")
_BINS: Final = 10  # of the conductance, for mean steps
_FEWEST: Final = 3  # steps in a bin
_NAMES: Final = ("before", "after", "low", "middle", "high")
Values = NDArray[np.float64]


@final
@dataclass(frozen=True, kw_only=True)
class MeasuredTrace:
    """The readings of one measured device, and those of 90 % of its simulated copies, in µS.

    Attributes:
        device: Its name.
        pulses: (n,) 1 up, -1 down.
        before: (n,) reading before each pulse.
        after: (n,) reading after it.
        low: (n,) lower end of the band.
        middle: (n,) median of the copies.
        high: (n,) upper end.
    """

    device: str
    pulses: Values
    before: Values
    after: Values
    low: Values
    middle: Values
    high: Values

    @property
    def is_outside(self) -> NDArray[np.bool_]:
        """(n,) whether a reading leaves the band."""
        return (self.after < self.low) | (self.after > self.high)


def traces_of(check: PredictiveCheck) -> list[MeasuredTrace]:
    """Return the traces of a comparison with simulated devices."""
    return [
        MeasuredTrace(
            device=own.trace.device, pulses=own.trace.pulses.astype(float), before=own.trace.before,
            after=own.trace.after, low=own.low, middle=own.middle, high=own.high,
        )
        for own in check.traces
    ]  # fmt: skip


def response_csv(traces: Sequence[MeasuredTrace]) -> str:
    """Return a table of all pulses: readings, ends and middle of the band, reading less middle; in µS."""
    text = io.StringIO()
    text.write("# in µS; low, high: of 90 % of simulated devices\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("device", "number", "pulse", *_COLUMNS, "residual"))
    for own in traces:
        columns = zip(own.pulses, own.before, own.after, own.low, own.middle, own.high, strict=True)
        for number, (pulse, *values) in enumerate(columns, start=1):
            residual = values[1] - values[3]
            writer.writerow((own.device, number, f"{pulse:.0f}", *(f"{v:.6g}" for v in (*values, residual))))
    return text.getvalue()


def response_beside(device_file: Path) -> Path:
    """Return where `xbar fit-device` puts the measurement of a device file."""
    return device_file.with_name(f"{device_file.stem}{_ENDING}")


def read_response(path: Path) -> list[MeasuredTrace]:
    """Read what `response_csv` returned.

    Raises:
        ValueError: If it is something else.
    """
    lines = [line for line in read_text(path, "device").splitlines() if not line.startswith("#")]
    rows: dict[str, list[list[float]]] = {}
    try:
        for row in csv.DictReader(lines):
            numbers = [float(row[name]) for name in ("pulse", *_COLUMNS)]
            if not np.isfinite(numbers).all():
                raise ValueError("a number is not finite")
            rows.setdefault(row["device"], []).append(numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"`device` must have an undamaged measurement beside it, or none, but {path} is damaged ({error}). "
            "Fit it again, or remove that file."
        ) from None
    return [
        MeasuredTrace(device=device, **dict(zip(("pulses", *_NAMES), np.array(values).T, strict=True)))
        for device, values in rows.items()
    ]


def measured_on(
    device: DeviceModel, asked: str
) -> tuple[tuple[MicroSiemens, MicroSiemens] | None, list[MeasuredTrace]]:
    """Return the conductances of the weights -1 and 1 of a user's device, and the measurement beside its file.

    Args:
        device: The device.
        asked: Its name, which has neither, or its file.

    Raises:
        ValueError: If the measurement is damaged.
    """
    if not asked.endswith(".toml") or device.g_max is None or device.g_min is None:
        return None, []
    file = response_beside(Path(asked))
    return (device.g_min, device.g_max), read_response(file) if file.exists() else []


def draw_measured(axes: Axes, traces: Sequence[MeasuredTrace]) -> None:
    """Draw all readings against the pulse number, one device in black with the band of its copies."""
    first = traces[0]
    numbers = np.arange(1, len(first.after) + 1)
    axes.fill_between(
        numbers, first.low, first.high, color=BLUE, alpha=0.25, lw=0, label="90 % of its simulated copies"
    )
    for number, own in enumerate(traces[1:]):
        label = "other devices, measured" if number == 0 else None
        axes.plot(
            np.arange(1, len(own.after) + 1),
            own.after,
            ".",
            color=GREY,
            ms=2.5,
            mew=0,
            alpha=0.5,
            label=label,
        )
    axes.plot(numbers, first.after, ".", color="black", ms=4, mew=0, label=f"device {first.device}, measured")
    axes.set_xlabel("pulse")
    axes.set_ylabel("conductance (µS)")
    axes.set_title("measured pulse response")
    strip(axes)


def draw_residuals(axes: Axes, traces: Sequence[MeasuredTrace]) -> None:
    """Draw readings less the median of their copies, those outside the band of their own device in colour."""
    first = traces[0]
    numbers = np.arange(1, len(first.after) + 1)
    low, high = first.low - first.middle, first.high - first.middle
    axes.fill_between(numbers, low, high, color=BLUE, alpha=0.25, lw=0, label=f"90 %, device {first.device}")
    for outside, color, name in ((False, GREY, "inside its band"), (True, VERMILION, "outside")):
        label: str | None = name
        for own in traces:
            chosen = own.is_outside == outside
            places = np.flatnonzero(chosen) + 1
            left = (own.after - own.middle)[chosen]
            axes.plot(places, left, ".", color=color, ms=3, mew=0, alpha=0.7, label=label)
            label = None
    part = np.concatenate([own.is_outside for own in traces]).mean()
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set_xlabel("pulse")
    axes.set_ylabel("measured less median (µS)")
    axes.set_title(f"residuals: {part:.0%} outside (10 % expected)")
    strip(axes)


def draw_measured_steps(axes: Axes, traces: Sequence[MeasuredTrace], sign_of_down: float = -1.0) -> None:
    """Draw mean measured steps in bins of conductance, with their standard errors.

    Args:
        axes: Where.
        traces: What was measured.
        sign_of_down: -1 to show steps down as negative numbers, 1 to show their size.
    """
    before = np.concatenate([own.before for own in traces])
    change = np.concatenate([own.after - own.before for own in traces])
    pulses = np.concatenate([own.pulses for own in traces])
    edges = np.linspace(before.min(), before.max(), _BINS + 1)
    for way, marker, name in ((1.0, "^", "up"), (-1.0, "v", "down")):
        where, mean, error = [], [], []
        sign = 1.0 if way > 0 else -sign_of_down
        for low, high in pairwise(edges):
            inside = (pulses == way) & (before >= low) & (before <= high)
            if inside.sum() >= _FEWEST:
                where.append((low + high) / 2)
                mean.append(sign * change[inside].mean())
                error.append(change[inside].std(ddof=1) / np.sqrt(inside.sum()))
        axes.errorbar(
            where,
            mean,
            error,
            fmt=marker,
            color=GREY,
            ms=4.5,
            capsize=2,
            lw=1,
            zorder=5,
            label=f"{name}, measured",
        )


def legend_above(axes: Axes, columns: int = 2) -> None:
    """Put the legend between the title, which stands at the left, and the axes, where no data are."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    rows = -(-len(handles) // columns)
    axes.legend(
        handles, labels, fontsize="x-small", frameon=False, ncols=columns, loc="lower left",
        bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.1, columnspacing=1.0, handlelength=1.4, labelspacing=0.25,
    )  # fmt: skip
    axes.set_title(
        axes.get_title(loc="left"),
        loc="left",
        fontsize="medium",
        pad=4 + 1.05 * float(rcParams["font.size"]) * rows,
    )
