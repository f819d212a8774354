"""Fit step laws to a measured pulse response, and choose among them.

Noise from cycle to cycle adds up along a curve, noise of readings does not, and a slow fluctuation does for a while;
`filter` computes the likelihood of all three together, for each device by itself. The devices are then a sample: mean
and spread of their parameters follow in `population`. Akaike's criterion chooses the law, the sum over devices of its
form for small samples. A slow fluctuation is looked for with the best law first, and with the others if it is there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from typing_extensions import final

from ..measurements import Layout, PulseTrace, read_pulse_traces
from ..units import Dimensionless, MicroSiemens, Mixed
from .device_fit import DeviceFit, fit_device
from .distribution import curves_of, distribution
from .law_fit import LawFit, criterion, device_of, mean_of, parameters
from .laws import FREE_LAWS, STEP_LAWS
from .polygon_laws import LookupTable
from .readings import Readings
from .restricted import restricted
from .screening import check, readings_of, scaled, unscaled
from .step_law import StepLaw, Values

ALL_LAWS: Final = (*STEP_LAWS, *FREE_LAWS)
FREE_LAW_NAMES: Final = tuple(law.name for law in FREE_LAWS)
"""Laws for devices that none of the six describes."""

_CERTAIN: Final = 10.0  # by which a slow fluctuation must lower the criterion; assumed
OF_LIMITS: Final = 10.0  # by which a law at a limit must be better than others; assumed
_UNDECIDED: Final = (
    2.0  # by which the criterion must differ for data to decide (Burnham and Anderson 2002, 2.6)
)
Progress = Callable[[int, int], None]


@final
@dataclass(frozen=True, kw_only=True)
class PulseFit:
    """All laws that were tried.

    Attributes:
        candidates: The laws, the best first: of those between which the criterion does not decide, the one with the
            fewest numbers. A law that sits at a limit stands behind others that are nearly as good.
        traces: What was measured.
        g_min: The lowest conductance that was measured, in µS: weight -1.
        g_max: The highest: weight 1.
        gain_spread: Standard deviation of the step size over devices, relative to its mean; None for one device.
        bound_spread: Likewise of the bounds.
        left_out: Why a law is missing, by its name.
    """

    candidates: tuple[LawFit, ...]
    traces: tuple[PulseTrace, ...]
    g_min: MicroSiemens
    g_max: MicroSiemens
    gain_spread: Dimensionless | None
    bound_spread: Dimensionless | None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> LawFit:
        """The law that is written."""
        return self.candidates[0]

    @property
    def undecided(self) -> tuple[str, ...]:
        """Other laws that do as well as the best: their criterion is not higher by more than 2."""
        others = (law for law in self.candidates[1:] if law.aicc <= self.best.aicc + _UNDECIDED)
        return tuple(law.law for law in sorted(others, key=lambda law: law.aicc))

    def pulses(self) -> dict[str, Any]:
        """Return the section [pulses] of a device file."""
        law = law_named(self.best.law)
        return {"law": law.file_law, **self.best.device, "dw_min_std": self.best.noise}

    def table(self) -> list[tuple[Mixed, ...]] | None:
        """Return conductance, step up, its spread, step down and its spread, in µS; None if the best is no table."""
        law = law_named(self.best.law)
        if not isinstance(law, LookupTable):
            return None
        half = (self.g_max - self.g_min) / 2
        return [
            (float(unscaled(np.array(w), self.g_min, self.g_max)), *(half * size for size in sizes))
            for w, *sizes in law.rows(self.best.mean)
        ]

    def curve(self, fit: LawFit, trace: PulseTrace) -> Values:
        """Return the conductance after each pulse of a trace as its own fit has it, without noise, in µS."""
        from .filter import curve  # here: compiled code reads its cache

        number = next(i for i, own in enumerate(self.traces) if own is trace)
        own = readings_of(trace, self.g_min, self.g_max)
        return unscaled(curve(law_named(fit.law), fit.devices[number].x, own), self.g_min, self.g_max)

    def steps(self, fit: LawFit, conductance: Values) -> tuple[Values, Values]:
        """Return the mean device's step up and that down at conductances, in µS; without the bounds of the range."""
        from .filter import mean_steps  # here: compiled code reads its cache

        w = scaled(conductance, self.g_min, self.g_max)
        half = (self.g_max - self.g_min) / 2
        up, down = (half * mean_steps(law_named(fit.law), fit.mean, w, way) for way in (True, False))
        return up, down


def law_named(name: str) -> StepLaw:
    """Return the law of that name."""
    return next(law for law in ALL_LAWS if law.name == name)


def fit_pulse_response(
    measured: Path | str,
    laws: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    layout: Layout | None = None,
    notes: list[str] | None = None,
) -> PulseFit:
    """Fit step laws to how pulses change the conductance of one or several devices.

    Args:
        measured: The CSV file; see `devices.measurements`.
        laws: The laws to try; the six of `STEP_LAWS` if None.
        progress: Called with the number of fits that are done, and of all.
        layout: What the user says of its columns and units.
        notes: Where to say how it was read, if it is not in the plain form.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a law has another name, the measurement does not show how pulses move the device, or no law
            can be fitted.
    """
    unknown = [name for name in laws or () if name not in {law.name for law in ALL_LAWS}]
    chosen = [law for law in ALL_LAWS if (law in STEP_LAWS if laws is None else law.name in laws)]
    if unknown or not chosen:
        names = ", ".join(law.name for law in ALL_LAWS)
        raise ValueError(f"`laws` must be some of {names}, but are {list(laws or ())}. Correct the name.")
    traces = read_pulse_traces(measured, layout, notes)
    check(traces, Path(measured))
    return fit_traces(traces, chosen, progress)


def fit_traces(
    traces: Sequence[PulseTrace], laws: Sequence[StepLaw] = STEP_LAWS, progress: Progress | None = None
) -> PulseFit:
    """Fit step laws to traces that were checked.

    Args:
        traces: What was measured.
        laws: The laws to try.
        progress: Called with the number of fits that are done, and of all.

    Raises:
        ValueError: If no law can be fitted.
    """
    shown = np.concatenate([np.concatenate([trace.before, trace.after]) for trace in traces])
    g_min, g_max = float(shown.min()), float(shown.max())
    readings = [readings_of(trace, g_min, g_max) for trace in traces]
    fits, left_out = fit_all(laws, readings, progress)
    if not fits:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ValueError(f"`measured` must suit one of the laws, but none can be fitted ({reasons}).")
    criteria = {name: criterion(own, readings) for name, own in fits.items()}
    best = min(criteria.values())
    total = sum(math.exp(-(value - best) / 2) for value in criteria.values())
    candidates = [
        _law_fit(law_named(name), fits[name], readings, value, math.exp(-(value - best) / 2) / total)
        for name, value in sorted(criteria.items(), key=lambda item: item[1])
    ]
    candidates.sort(key=_height)
    # Of laws between which the data do not decide, the one with the fewest numbers.
    as_good = [own for own in candidates if _height(own) <= _height(candidates[0]) + _UNDECIDED]
    simplest = min(as_good, key=lambda own: len(own.parameters))
    candidates = [simplest, *(own for own in candidates if own is not simplest)]
    written = candidates[0]
    exact = restrict(law_named(written.law), fits[written.law], readings)
    candidates[0] = _law_fit(
        law_named(written.law), exact, readings, written.aicc, written.weight, is_exact=True
    )
    several, device = len(traces) > 1, candidates[0].device
    return PulseFit(
        candidates=tuple(candidates),
        traces=tuple(traces),
        g_min=g_min,
        g_max=g_max,
        gain_spread=device["dw_min_dtod"] if several else None,
        bound_spread=(device["w_max_dtod"] + device["w_min_dtod"]) / 2 if several else None,
        left_out=left_out,
    )


def _height(fit: LawFit) -> Dimensionless:
    """Return the criterion by which laws are ranked: one at a limit must be clearly better than others."""
    return fit.aicc + (OF_LIMITS if fit.at_limit else 0.0)


def fit_all(
    laws: Sequence[StepLaw], readings: Sequence[Readings], progress: Progress | None
) -> tuple[dict[str, list[DeviceFit]], dict[str, str]]:
    """Fit every law to every device; a law that fails on one is left out, with the reason."""
    done, total = 0, 2 * len(laws) * len(readings)
    left_out: dict[str, str] = {}

    def fit(law: StepLaw, plain: Sequence[DeviceFit] | None) -> list[DeviceFit] | None:
        nonlocal done
        found = []
        try:
            for number, own in enumerate(readings):
                found.append(fit_device(law, own, None if plain is None else plain[number]))
                done += 1
                if progress is not None:
                    progress(done, total)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            if plain is None:
                left_out[law.name] = str(error) or type(error).__name__
            done += len(readings) - len(found)
            return None
        return found

    plain = {law.name: own for law in laws if (own := fit(law, None)) is not None}
    ranked = sorted(plain, key=lambda name: criterion(plain[name], readings))
    fits = dict(plain)
    for name in ranked:
        slow = fit(law_named(name), plain[name])
        better = slow is not None and criterion(slow, readings) < criterion(plain[name], readings) - _CERTAIN
        if better and slow is not None:
            fits[name] = slow
        elif name == ranked[0]:
            break  # the best law has no use for it
    if progress is not None:
        progress(total, total)
    return fits, left_out


def restrict(law: StepLaw, fits: Sequence[DeviceFit], readings: Sequence[Readings]) -> list[DeviceFit]:
    """Return the fits of restricted likelihood, whose noises and errors are not too small.

    Args:
        law: The law.
        fits: The most likely ones.
        readings: What was measured on each device.
    """
    return [restricted(law, own, fit) for fit, own in zip(fits, readings, strict=True)]


def _law_fit(
    law: StepLaw,
    fits: Sequence[DeviceFit],
    readings: Sequence[Readings],
    aicc: Dimensionless,
    weight: Dimensionless,
    *,
    is_exact: bool = False,
) -> LawFit:
    from .filter import curve  # here: compiled code reads its cache

    likelihoods = [
        curves_of(law, own, fit, is_alone=len(fits) == 1)
        for fit, own in zip(fits, readings, strict=True)
        if is_exact
    ]
    over = distribution(fits, likelihoods)
    mean = mean_of(fits[0].coordinates, over)
    device, notes, at_limit = device_of(law, fits, over)
    shown = parameters(fits, over)
    numbers = {c.name: c.shown(own.mean) for c, own in zip(fits[0].coordinates, over, strict=True)}
    curves = [curve(law, fit.x, own) for fit, own in zip(fits, readings, strict=True)]
    measured = np.concatenate([own.after for own in readings])
    left = float(np.square(np.concatenate(curves) - measured).sum())
    return LawFit(
        law=law.name,
        parameters=shown,
        noise=law.relative_spread(mean) if isinstance(law, LookupTable) else numbers["noise"],
        read_noise=numbers["read_noise"],
        slow_noise=numbers.get("slow_noise", 0.0),
        slow_pulses=numbers.get("slow_pulses", 0.0),
        aicc=aicc,
        weight=weight,
        r_squared=1 - left / float(np.square(measured - measured.mean()).sum()),
        device=device,
        notes=tuple(notes),
        at_limit=at_limit,
        devices=tuple(fits),
        mean=mean,
    )
