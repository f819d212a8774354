"""Refuse measurements from which no law follows, and put the others in a row."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..measurements import PulseTrace
from ..units import MicroSiemens
from .readings import Readings
from .step_law import Values

_FEWEST: Final = 10  # pulses in each direction; assumed
_CERTAIN: Final = 4.0  # standard errors by which a response must stand out; 3e-5 by chance for each direction


def scaled(conductance: Values, g_min: MicroSiemens, g_max: MicroSiemens) -> Values:
    """Return conductances as weights that span [-1, 1]."""
    return 2 * (conductance - g_min) / (g_max - g_min) - 1


def unscaled(weight: Values, g_min: MicroSiemens, g_max: MicroSiemens) -> Values:
    """Return weights as conductances, in µS."""
    return np.asarray(g_min + (weight + 1) / 2 * (g_max - g_min))


def begins(trace: PulseTrace) -> NDArray[np.bool_]:
    """Return before which pulses a series begins: where the reading before is not that after the pulse before."""
    return np.concatenate([[True], trace.before[1:] != trace.after[:-1]])


def readings_of(trace: PulseTrace, g_min: MicroSiemens, g_max: MicroSiemens) -> Readings:
    """Return the pulses and readings of one device, as weights."""
    before, after = (scaled(values, g_min, g_max) for values in (trace.before, trace.after))
    return Readings(before, after, trace.pulses > 0, begins(trace))


def check(traces: Sequence[PulseTrace], path: Path) -> None:
    """Refuse a measurement from which no law follows.

    Args:
        traces: What was measured.
        path: Where it comes from.

    Raises:
        ValueError: If pulses are missing, nothing changes, or pulses do not move the devices in their direction.
    """
    for trace in traces:
        if not len(trace.pulses):
            raise ValueError(
                f"`measured` must hold pulses of each device, but {path} holds none of {trace.device[:40]!r}: a "
                "single reading only says where it starts. Add its pulses, or leave it out."
            )
    pulses = np.concatenate([trace.pulses for trace in traces]) if traces else np.zeros(0)
    for direction, name in ((1, "up"), (-1, "down")):
        count = int((pulses == direction).sum())
        if count < _FEWEST:
            raise ValueError(
                f"`measured` must hold at least {_FEWEST} pulses {name}, but {path} holds {count}. "
                "Give the conductance after each pulse, some tens in each direction."
            )
    if not np.ptp(np.concatenate([trace.after for trace in traces])) > 0:
        raise ValueError(
            f"`measured` must show conductances that change, but in {path} all are equal. Check the columns."
        )
    for direction, name, verb in ((1, "up", "raise"), (-1, "down", "lower")):
        gain, error = _gain_of(traces, direction)
        if gain <= _CERTAIN * error:
            raise ValueError(
                f"`measured` must hold pulses {name} that {verb} the conductance, but in {path} they change it by "
                f"{direction * gain:.3g} ± {error:.1g} µS in all. Check the direction of the pulses, or measure more "
                "of them."
            )


def _gain_of(traces: Sequence[PulseTrace], direction: int) -> tuple[MicroSiemens, MicroSiemens]:
    """Return how far pulses of one direction moved the devices, from quarter to quarter of each series; its error."""
    gain, variance = 0.0, 0.0
    for trace in traces:
        turns = np.flatnonzero(np.diff(trace.pulses)) + 1
        for pulses, series in zip(np.split(trace.pulses, turns), np.split(trace.after, turns), strict=True):
            quarter = len(series) // 4
            if pulses[0] == direction and quarter >= 2:
                first, last = series[:quarter], series[-quarter:]
                gain += direction * float(last.mean() - first.mean())
                variance += float(first.var(ddof=1) + last.var(ddof=1)) / quarter
    return gain, math.sqrt(variance)
