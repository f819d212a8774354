"""Fit a power law of drift to readings of several devices.

    g(t) = g_0 ((t + t_0) / t_0) ** -nu

A straight line for each device, in the logarithms; nu differs from device to device, and what the finite precision of
each line adds to its scatter is taken off.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from ..measurements import DriftTrace, Layout, read_drift_traces
from ..units import Dimensionless, MicroSiemens, Mixed, Seconds

_FEWEST_READINGS: Final = 3  # of a device: two lie on every line
_FEWEST_DEVICES: Final = 3  # for a spread
_SHORTEST: Final = 2.0  # ratio of the last time to the first; assumed
_RARE: Final = 0.01  # probability by chance from which on a correlation is mentioned


@final
@dataclass(frozen=True, kw_only=True)
class DriftFit:
    """Drift of several devices.

    Attributes:
        traces: What was measured.
        reference_time: t_0, in s.
        exponents: nu of each device.
        start: g_0 of each device, in µS.
        exponent: Mean of nu.
        exponent_error: Its standard error.
        exponent_interval: Its 95 % confidence interval.
        exponent_spread: Standard deviation of nu over devices.
        programming_noise: Standard deviation of g_0 about the targets, in µS; None where no targets are known.
        residual: Scatter of the readings about the lines, relative.
        last_time: The last reading, in s.
        correlation: Of nu with g_0, and the probability to see it by chance.
    """

    traces: tuple[DriftTrace, ...]
    reference_time: Seconds
    exponents: NDArray[np.float64]
    start: NDArray[np.float64]
    exponent: Dimensionless
    exponent_error: Dimensionless
    exponent_interval: tuple[Dimensionless, Dimensionless]
    exponent_spread: Dimensionless
    programming_noise: MicroSiemens | None
    residual: Dimensionless
    last_time: Seconds
    correlation: tuple[Dimensionless, Dimensionless]

    @property
    def depends_on_conductance(self) -> bool:
        """Whether devices drift differently at other conductances, which a device file does not state."""
        return self.correlation[1] < _RARE

    def drift(self) -> dict[str, Mixed]:
        """Return the section [drift] of a device file."""
        return {
            "exponent": self.exponent,
            "exponent_spread": self.exponent_spread,
            "reference_time": self.reference_time,
            "programming_noise": self.programming_noise or 0.0,
            "read_noise": 0.0,
            "last_time": self.last_time,
        }


def fit_drift(
    measured: Path | str,
    *,
    reference_time: Seconds | None = None,
    layout: Layout | None = None,
    notes: list[str] | None = None,
) -> DriftFit:
    """Fit the drift of several devices.

    Args:
        measured: The CSV file; see `devices.measurements`.
        reference_time: t_0, in s; the earliest reading's time if None.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If `reference_time` is not positive, or there are too few devices, readings or times.
    """
    # Here: it takes half a second, which `import crossbar` need not.
    from scipy.stats import linregress, pearsonr
    from scipy.stats import t as student

    path = Path(measured)
    traces = read_drift_traces(path, layout, notes)
    _check(traces, path)
    t_0 = (
        min(float(time) for trace in traces for time in trace.times if time > 0)
        if reference_time is None
        else reference_time
    )
    if not 0 < t_0 < math.inf:
        raise ValueError(
            f"`reference_time` must be above 0 s, but is {t_0:g}. Give the time of the first reading."
        )
    lines = [linregress(-np.log((trace.times + t_0) / t_0), np.log(trace.conductances)) for trace in traces]
    nu = np.array([line.slope for line in lines])
    start = np.exp([line.intercept for line in lines])
    squares = sum(
        float(
            np.square(
                np.log(trace.conductances) - line.intercept + line.slope * np.log((trace.times + t_0) / t_0)
            ).sum()
        )
        for trace, line in zip(traces, lines, strict=True)
    )
    freedom = sum(len(trace.times) - 2 for trace in traces)
    residual = math.sqrt(squares / freedom)
    # The same scatter for all: that of a single line of few points says little.
    of_lines = np.mean(
        [
            residual**2 / float(np.square(x - x.mean()).sum())
            for x in (np.log((t.times + t_0) / t_0) for t in traces)
        ]
    )
    error = float(nu.std(ddof=1)) / math.sqrt(len(nu))
    reach = float(student.ppf(0.975, len(nu) - 1)) * error
    targets = [(g - trace.target) for g, trace in zip(start, traces, strict=True) if trace.target is not None]
    related = pearsonr(start, nu) if np.ptp(start) > 0 and np.ptp(nu) > 0 else (0.0, 1.0)
    return DriftFit(
        traces=tuple(traces),
        reference_time=float(t_0),
        exponents=nu,
        start=start,
        exponent=float(nu.mean()),
        exponent_error=error,
        exponent_interval=(float(nu.mean()) - reach, float(nu.mean()) + reach),
        exponent_spread=math.sqrt(max(0.0, float(nu.var(ddof=1)) - float(of_lines))),
        programming_noise=float(np.sqrt(np.mean(np.square(targets)))) if len(targets) > 1 else None,
        residual=residual,
        last_time=float(max(trace.times[-1] for trace in traces)),
        correlation=(float(related[0]), float(related[1])),
    )


def _check(traces: list[DriftTrace], path: Path) -> None:
    """Refuse readings from which no law follows."""
    if len(traces) < _FEWEST_DEVICES:
        raise ValueError(
            f"`drift` must hold at least {_FEWEST_DEVICES} devices, but {path} holds {len(traces)}. "
            "Name them in the column `device`: their spread is part of the model."
        )
    for trace in traces:
        if len(trace.times) < _FEWEST_READINGS:
            raise ValueError(
                f"`drift` must hold at least {_FEWEST_READINGS} readings of each device, but {path} holds "
                f"{len(trace.times)} of device {trace.device}. Add some, or leave this device out."
            )
        first = trace.times[trace.times > 0][0]
        if trace.times[-1] < _SHORTEST * first:
            raise ValueError(
                f"`drift` must follow a device for {_SHORTEST:g} times its first reading's time, but {path} ends at "
                f"{trace.times[-1]:g} s for device {trace.device}. It goes with the logarithm of time: wait longer."
            )
