"""Fit step laws to a measured pulse response, and choose among them.

What is fitted is each single change of conductance, not the whole curve: noise adds up along a curve, so its points
are not independent, but its steps are. A step has the mean of the law and the variance

    sigma^2 = (noise * mean)^2 + 2 read^2

from cycle to cycle and from the two readings. Means by weighted least squares (scipy), variances by maximum
likelihood, in turn until both stay. The likelihood of all steps gives Akaike's criterion in its form for small
samples, AICc = 2 k - 2 ln L + 2 k (k + 1) / (n - k - 1) (Burnham and Anderson 2002); the law with the lowest is
chosen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize
from scipy.stats import t as student
from typing_extensions import final

from ..units import Dimensionless, MicroSiemens
from .laws import STEP_LAWS, StepLaw, Values
from .measurements import PulseTrace, read_pulse_traces

_FEWEST: Final = 10  # pulses in each direction, and 2 for each parameter; assumed
_ROUNDS: Final = 8  # of means and variances in turn; they stay after 3 or 4
_SMALLEST_READ: Final = 1e-6  # of the range: rounding of the file; assumed
_CERTAIN: Final = 4.0  # standard errors by which a response must stand out; 3e-5 by chance for each direction


@final
@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A fitted number.

    Attributes:
        name: What the law calls it.
        value: In units of the weight, or 1.
        error: Its standard error.
        low: Lower end of the 95 % confidence interval.
        high: Its upper end.
    """

    name: str
    value: Dimensionless
    error: Dimensionless
    low: Dimensionless
    high: Dimensionless


@final
@dataclass(frozen=True, kw_only=True)
class LawFit:
    """One law, fitted.

    Attributes:
        law: The name of the law.
        parameters: Its fitted numbers.
        noise: Standard deviation of a step from cycle to cycle, relative to its mean.
        read_noise: Standard deviation of a reading, in units of the weight.
        aicc: Akaike's information criterion; lower is better, a difference of 10 leaves nothing for the worse one.
        weight: Probability that this is the best of the laws that were tried (Akaike's weight).
        r_squared: Part of the variance of the measured curves that curves without noise explain.
        device: What aihwkit's device of this law is called with.
    """

    law: str
    parameters: tuple[Parameter, ...]
    noise: Dimensionless
    read_noise: Dimensionless
    aicc: Dimensionless
    weight: Dimensionless
    r_squared: Dimensionless
    device: dict[str, Any]

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


@final
@dataclass(frozen=True, kw_only=True)
class PulseFit:
    """All laws that were tried.

    Attributes:
        candidates: The laws, the best first.
        traces: What was measured.
        g_min: The lowest conductance that was measured, in µS: weight -1.
        g_max: The highest: weight 1.
        gain_spread: Standard deviation of the step size over devices, relative to its mean; None for one device.
        bound_spread: Likewise of the largest distance from the middle that devices reach.
    """

    candidates: tuple[LawFit, ...]
    traces: tuple[PulseTrace, ...]
    g_min: MicroSiemens
    g_max: MicroSiemens
    gain_spread: Dimensionless | None
    bound_spread: Dimensionless | None

    @property
    def best(self) -> LawFit:
        """The law with the lowest criterion."""
        return self.candidates[0]

    def pulses(self) -> dict[str, Any]:
        """Return the section [pulses] of a device file."""
        return {
            "law": self.best.law,
            **self.best.device,
            "dw_min_std": self.best.noise,
            "dw_min_dtod": self.gain_spread or 0.0,
            "up_down_dtod": 0.0,
            "w_max_dtod": self.bound_spread or 0.0,
            "w_min_dtod": self.bound_spread or 0.0,
        }

    def curve(self, fit: LawFit, trace: PulseTrace) -> Values:
        """Return the conductance after each pulse of a trace as the law has it, without noise, in µS."""
        law = next(law for law in STEP_LAWS if law.name == fit.law)
        values = np.array([parameter.value for parameter in fit.parameters])
        return _unscaled(_integrate(law, values, trace, self.g_min, self.g_max), self.g_min, self.g_max)


def fit_pulse_response(measured: Path | str, laws: Sequence[str] | None = None) -> PulseFit:
    """Fit step laws to how pulses change the conductance of one or several devices.

    Args:
        measured: The CSV file; see `devices.fitting.measurements`.
        laws: The laws to try; all six if None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a law has another name, or the measurement does not show how pulses move the device.
    """
    chosen = [law for law in STEP_LAWS if laws is None or law.name in laws]
    unknown = [name for name in laws or () if name not in {law.name for law in STEP_LAWS}]
    if unknown or not chosen:
        names = ", ".join(law.name for law in STEP_LAWS)
        raise ValueError(f"`laws` must be some of {names}, but are {list(laws or ())}. Correct the name.")
    traces = read_pulse_traces(measured)
    _check(traces, Path(measured))
    readings = np.concatenate([np.concatenate([trace.before, trace.after]) for trace in traces])
    g_min, g_max = float(readings.min()), float(readings.max())
    steps = _Steps.of(traces, g_min, g_max)
    gains = _gains(steps, len(traces))
    fits = [_fit(law, steps, gains) for law in chosen]
    best = min(fit.aicc for fit in fits)
    total = sum(math.exp(-(fit.aicc - best) / 2) for fit in fits)
    ranked = sorted(zip(chosen, fits, strict=True), key=lambda pair: pair[1].aicc)
    curves = np.concatenate([_scaled(trace.after, g_min, g_max) for trace in traces])
    candidates = tuple(
        LawFit(
            law=law.name,
            parameters=fit.intervals(law),
            noise=fit.noise,
            read_noise=fit.read,
            aicc=fit.aicc,
            weight=math.exp(-(fit.aicc - best) / 2) / total,
            r_squared=1
            - float(
                np.square(
                    np.concatenate([_integrate(law, fit.values, trace, g_min, g_max) for trace in traces])
                    - curves
                ).sum()
                / np.square(curves - curves.mean()).sum()
            ),
            device=law.device(fit.values),
        )
        for law, fit in ranked
    )
    return PulseFit(
        candidates=candidates,
        traces=tuple(traces),
        g_min=g_min,
        g_max=g_max,
        gain_spread=_spread(gains) if len(traces) > 1 else None,
        bound_spread=_bound_spread(traces, g_min, g_max) if len(traces) > 1 else None,
    )


@dataclass(frozen=True)
class _Steps:
    """All single steps of all devices, as weights."""

    before: Values
    change: Values
    is_up: NDArray[np.bool_]
    device: NDArray[np.int64]

    @classmethod
    def of(cls, traces: Sequence[PulseTrace], g_min: float, g_max: float) -> "_Steps":
        before, after = (
            _scaled(np.concatenate([getattr(trace, name) for trace in traces]), g_min, g_max)
            for name in ("before", "after")
        )
        pulses = np.concatenate([trace.pulses for trace in traces])
        numbers = np.repeat(np.arange(len(traces)), [len(trace.pulses) for trace in traces])
        return cls(before, after - before, pulses > 0, numbers)


@dataclass(frozen=True)
class _Fit:
    values: Values
    covariance: Values
    noise: float
    read: float
    aicc: float
    freedom: int

    def intervals(self, law: StepLaw) -> tuple[Parameter, ...]:
        reach = float(student.ppf(0.975, self.freedom))
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return tuple(
            Parameter(
                name=name,
                value=float(value),
                error=float(error),
                low=float(value - reach * error),
                high=float(value + reach * error),
            )
            for name, value, error in zip(law.parameters, self.values, errors, strict=True)
        )


def _fit(law: StepLaw, steps: _Steps, gains: Values) -> _Fit:
    """Fit one law: means by weighted least squares and variances by likelihood, in turn."""
    gain = gains[steps.device]
    up, down = (max(1e-6, float(np.abs(steps.change[steps.is_up == way].mean()))) for way in (True, False))
    lowest, highest = law.limits()
    values = np.clip(law.start(up, down), lowest + 1e-12, highest - 1e-12)

    def mean(at: Values) -> Values:
        return gain * law.change(at, steps.before, steps.is_up)

    sigma = np.full(len(steps.change), max(1e-9, float(steps.change.std())))
    noise, read = 0.3, 0.01
    for _ in range(_ROUNDS):
        solution = least_squares(
            lambda at, sigma=sigma: (steps.change - mean(at)) / sigma,
            values,
            bounds=(lowest, highest),
            x_scale=np.maximum(np.abs(values), 1e-3),
            max_nfev=400,
        )
        values = solution.x
        noise, read = _variances(steps.change - mean(values), mean(values), noise, read)
        sigma = np.sqrt((noise * mean(values)) ** 2 + 2 * read**2)
    residual = (steps.change - mean(values)) / sigma
    log_likelihood = -0.5 * float(np.sum(residual**2 + np.log(2 * math.pi * sigma**2)))
    n, k = len(residual), len(values) + law.measured_bounds + 2
    aicc = 2 * k - 2 * log_likelihood + 2 * k * (k + 1) / max(1, n - k - 1)
    return _Fit(values, np.linalg.pinv(solution.jac.T @ solution.jac), noise, read, aicc, max(1, n - k))


def _variances(residual: Values, mean: Values, noise: float, read: float) -> tuple[float, float]:
    """Find the noise from cycle to cycle and that of a reading that make the residuals most likely."""

    def unlikelihood(logs: Values) -> float:
        variance = (math.exp(logs[0]) * mean) ** 2 + 2 * (math.exp(logs[1]) ** 2 + _SMALLEST_READ**2)
        return float(np.sum(residual**2 / variance + np.log(variance)))

    start = np.log([max(noise, 1e-4), max(read, 10 * _SMALLEST_READ)])
    found = minimize(unlikelihood, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4}).x
    return math.exp(found[0]), math.hypot(math.exp(found[1]), _SMALLEST_READ)


def _gains(steps: _Steps, devices: int) -> Values:
    """Estimate by which factor the steps of each device differ from the mean one, at the same weight."""
    if devices == 1:
        return np.ones(1)
    places = np.clip(((steps.before + 1) * 4).astype(int), 0, 7) + 8 * steps.is_up
    typical = np.array(
        [steps.change[places == place].mean() if (places == place).any() else 0.0 for place in range(16)]
    )
    expected = typical[places]
    gains = np.array(
        [
            (steps.change * expected)[steps.device == device].sum()
            / max(1e-30, float(np.square(expected)[steps.device == device].sum()))
            for device in range(devices)
        ]
    )
    return np.maximum(gains / gains.mean(), 1e-3)


def _spread(values: Values) -> float:
    return float(values.std(ddof=1) / values.mean())


def _bound_spread(traces: Sequence[PulseTrace], g_min: float, g_max: float) -> float:
    reached = np.array([_scaled(np.concatenate([t.before, t.after]), g_min, g_max).max() for t in traces])
    return _spread(reached) if reached.mean() > 0 else 0.0


def _scaled(conductance: Values, g_min: float, g_max: float) -> Values:
    return 2 * (conductance - g_min) / (g_max - g_min) - 1


def _unscaled(weight: Values, g_min: float, g_max: float) -> Values:
    return g_min + (weight + 1) / 2 * (g_max - g_min)


def _integrate(law: StepLaw, values: Values, trace: PulseTrace, g_min: float, g_max: float) -> Values:
    """Return the weight after each pulse of a trace, without noise; where a series begins, as measured."""
    before = _scaled(trace.before, g_min, g_max)
    continues = np.concatenate([[False], trace.before[1:] == trace.after[:-1]])
    weights = np.empty(len(before))
    w = np.empty(1)
    for i, is_up in enumerate(trace.pulses > 0):
        w = w if continues[i] else before[i : i + 1]
        w = w + law.change(values, w, np.array([is_up]))
        weights[i] = w[0]
    return weights


def _check(traces: Sequence[PulseTrace], path: Path) -> None:
    """Refuse a measurement from which no law follows."""
    pulses = np.concatenate([trace.pulses for trace in traces]) if traces else np.zeros(0)
    for direction, name in ((1, "up"), (-1, "down")):
        count = int((pulses == direction).sum())
        if count < _FEWEST:
            raise ValueError(
                f"`measured` must hold at least {_FEWEST} pulses {name}, but {path} holds {count}. "
                "Give the conductance after each pulse, some tens in each direction."
            )
    change = np.concatenate([trace.after - trace.before for trace in traces])
    if not np.ptp(np.concatenate([trace.after for trace in traces])) > 0:
        raise ValueError(
            f"`measured` must show conductances that change, but in {path} all are equal. Check the columns."
        )
    for direction, name, verb in ((1, "up", "raise"), (-1, "down", "lower")):
        steps = direction * change[pulses == direction]
        error = float(steps.std(ddof=1)) / math.sqrt(len(steps))
        if steps.mean() <= _CERTAIN * error:
            raise ValueError(
                f"`measured` must hold pulses {name} that {verb} the conductance, but in {path} they change it by "
                f"{direction * steps.mean():.3g} ± {error:.1g} µS on average. "
                "Check the direction of the pulses, or measure more of them."
            )
