"""Does the device that was written do what was measured? Simulated devices go through the measured pulse scheme.

The devices are made and pulsed by the same code as in training, each trace's copies start where it started, and are
read with the noises of the fit. Three things are compared, each with the band that 90 % of the simulated devices keep
to: the curve, point by point; the scatter from reading to reading; and the range that was reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import final

from ..aihwkit_adapter import PulsedDevice
from ..measurements import PulseTrace
from ..streams import derive_seed, generator
from ..units import Dimensionless, MicroSiemens
from .pulse_fit import PulseFit, law_named
from .readings import Readings
from .screening import readings_of, unscaled
from .step_law import Values

_COPIES: Final = 200  # of each trace: the ends of a band to about 1.5 % of the copies; assumed
_BAND: Final = (0.05, 0.95)
MOST_OUTSIDE: Final = 0.2
"""Part of the points that may lie outside the band of 90 %, before a fit is doubtful."""


@final
@dataclass(frozen=True, kw_only=True)
class PredictedTrace:
    """One measured trace among its simulated copies, in µS.

    Attributes:
        trace: What was measured.
        low: (n,) lower end of the band of 90 % after each pulse.
        middle: (n,) median.
        high: (n,) upper end.
        inside: (n,) whether the measured point lies in it.
        scatter: Standard deviation of the change from reading to reading: measured, and the band's ends.
        reached: Highest less lowest reading: measured, and the band's ends.
    """

    trace: PulseTrace
    low: Values
    middle: Values
    high: Values
    inside: NDArray[np.bool_]
    scatter: tuple[MicroSiemens, MicroSiemens, MicroSiemens]
    reached: tuple[MicroSiemens, MicroSiemens, MicroSiemens]

    def outside_where(self) -> str:
        """Name the stretch of pulses, a tenth of the trace, in which most points lie outside."""
        stretches = np.array_split(np.arange(len(self.inside)), min(10, len(self.inside)))
        worst = max(stretches, key=lambda own: float((~self.inside[own]).mean()))
        missed = worst[~self.inside[worst]]
        above = bool((self.trace.after[missed] > self.high[missed]).mean() > 0.5)
        return (
            f"device {self.trace.device}, pulses {worst[0] + 1} to {worst[-1] + 1}, "
            f"{'above' if above else 'below'} the band"
        )


@final
@dataclass(frozen=True, kw_only=True)
class PredictiveCheck:
    """All traces among their copies.

    Attributes:
        traces: One for each device.
        copies: How many simulated devices each was compared with.
    """

    traces: tuple[PredictedTrace, ...]
    copies: int

    @property
    def inside(self) -> Dimensionless:
        """Part of the measured points that lie in the band."""
        return float(np.concatenate([trace.inside for trace in self.traces]).mean())

    @property
    def passes(self) -> bool:
        """Whether few enough points lie outside."""
        return self.inside >= 1 - MOST_OUTSIDE

    def within(self, name: str) -> int:
        """Return for how many traces `scatter` or `reached` lies in its band."""
        return sum(low <= own <= high for own, low, high in (getattr(trace, name) for trace in self.traces))

    def where(self) -> list[str]:
        """Name the worst stretch of each trace that leaves the band too often, the worst trace first."""
        bad = [
            trace
            for trace in self.traces
            if trace.inside.mean() < 1 - MOST_OUTSIDE and not trace.inside.all()
        ]
        return [trace.outside_where() for trace in sorted(bad, key=lambda own: own.inside.mean())]


@torch.no_grad()
def predictive_check(
    fit: PulseFit, device: PulsedDevice, *, copies: int = _COPIES, seed: int = 0
) -> PredictiveCheck:
    """Send simulated devices through the measured pulse scheme.

    Args:
        fit: What was fitted; its best law has the noises of the readings.
        device: The device that was written, as it is read again.
        copies: Simulated devices for each trace.
        seed: Names devices and noises; the same seed, the same answer.
    """
    readings = [readings_of(trace, fit.g_min, fit.g_max) for trace in fit.traces]
    simulated = _simulate(fit, device, readings, copies, seed)
    return PredictiveCheck(
        traces=tuple(
            _compare(trace, unscaled(own, fit.g_min, fit.g_max))
            for trace, own in zip(fit.traces, simulated, strict=True)
        ),
        copies=copies,
    )


def _simulate(
    fit: PulseFit, device: PulsedDevice, readings: Sequence[Readings], copies: int, seed: int
) -> list[Values]:
    """Return the readings of all copies of each trace: (copies, n)."""
    # Here, because compiled code reads its cache when it is imported, and importing `devices` reads no files.
    from ..pulsed import fabricate, send_pulses
    from .filter import starts

    array = fabricate(device, 1, len(readings), copies, seed=derive_seed(seed, "predictive check"))
    rng = generator(seed, "predictive check", "pulses")
    noise = np.random.default_rng(derive_seed(seed, "predictive check", "readings"))
    law, size = fit.best, (len(readings), copies)
    kept = np.exp(-1 / law.slow_pulses) if law.slow_pulses > 0 else 0.0
    longest = max(len(own.after) for own in readings)
    shown = np.empty((longest, *size))
    slow = law.slow_noise * noise.normal(size=size)
    for i in range(longest):
        rows = [row for row, own in enumerate(readings) if i < len(own.after)]
        starting = [row for row in rows if readings[row].begins[i]]
        if starting:
            weight = array.hidden_weight.clone()
            for row in starting:
                own = law.devices[row]
                places, likely = starts(law_named(law.law), own.x, readings[row], own.is_slow, i)
                start = noise.choice(places, size=copies, p=likely)
                weight[0, row] = torch.tensor(start, dtype=torch.float32)
                # What is left of the first reading is its noise, in part of it slow.
                left, slow_part = readings[row].before[i] - start, law.slow_noise**2
                part = slow_part / max(slow_part + law.read_noise**2, 1e-18)
                slow[row] = part * left + np.sqrt(part) * law.read_noise * noise.normal(size=copies)
            array.set_weights(weight, rng=rng)
        counts = torch.zeros(array.shape, dtype=torch.int64)
        for row in rows:
            counts[0, row] = 1 if readings[row].is_up[i] else -1
        send_pulses(array, counts, rng=rng)
        slow = kept * slow + law.slow_noise * np.sqrt(1 - kept**2) * noise.normal(size=size)
        shown[i] = array.weight[0].numpy() + slow + law.read_noise * noise.normal(size=size)
    return [shown[: len(own.after), row].T for row, own in enumerate(readings)]


def _compare(trace: PulseTrace, simulated: Values) -> PredictedTrace:
    low, middle, high = np.quantile(simulated, (_BAND[0], 0.5, _BAND[1]), axis=0)
    same = trace.pulses[1:] == trace.pulses[:-1]

    def scatter(values: Values) -> Values:
        return np.asarray(np.diff(values, axis=-1)[..., same].std(axis=-1))

    return PredictedTrace(
        trace=trace,
        low=low,
        middle=middle,
        high=high,
        inside=(low <= trace.after) & (trace.after <= high),
        scatter=(float(scatter(trace.after)), *_ends(scatter(simulated))),
        reached=(float(np.ptp(trace.after)), *_ends(np.ptp(simulated, axis=-1))),
    )


def _ends(values: Values) -> tuple[MicroSiemens, MicroSiemens]:
    low, high = np.quantile(values, _BAND)
    return float(low), float(high)
