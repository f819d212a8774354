"""Fit step laws to a measured pulse response, and choose among them.

Noise from cycle to cycle adds up along a curve, noise of readings does not; so neither points nor steps of a measured
curve are independent. Laws are fitted by the likelihood that `filter` computes of both (scipy), which also gives the
confidence intervals, from its curvature, and Akaike's criterion in its form for small samples,
AICc = 2 k - 2 ln L + 2 k (k + 1) / (n - k - 1) (Burnham and Anderson 2002). The law with the lowest is chosen.

Where readings are much noisier than steps, one curve cannot tell the noise of steps from the law: its wandering looks
like another law, the noise is found too small, and so are the intervals. Several curves, up and down, settle it. Hard
bounds are the extreme readings, so poor readings also move the bounds of laws that have them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize
from typing_extensions import final

from ..units import Dimensionless, MicroSiemens
from .laws import STEP_LAWS, StepLaw, Values
from .measurements import PulseTrace, read_pulse_traces
from .readings import Readings

_FEWEST: Final = 10  # pulses in each direction, and 2 for each parameter; assumed
_READS: Final = (1e-3, 0.05)  # noises of a reading to start from, in weights; assumed
_ROUNDS: Final = 5
_SHIFT: Final = 1e-4  # of a parameter's own size, for derivatives
_GAIN: Final = 0.01  # in -2 ln L, below which a round is the last
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

    def steps(self, fit: LawFit, conductance: Values) -> tuple[Values, Values]:
        """Return the mean step up and that down at conductances, in µS; without the bounds of the range."""
        law = next(law for law in STEP_LAWS if law.name == fit.law)
        values = np.array([parameter.value for parameter in fit.parameters])
        w = _scaled(conductance, self.g_min, self.g_max)
        half = (self.g_max - self.g_min) / 2
        up, down = (half * law.steps(values, w, np.full(len(w), way)) for way in (True, False))
        return up, down


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
    shown = np.concatenate([np.concatenate([trace.before, trace.after]) for trace in traces])
    g_min, g_max = float(shown.min()), float(shown.max())
    readings = _readings(traces, g_min, g_max)
    gains = _gains(readings, len(traces))
    fits = [_fit(law, readings, gains) for law in chosen]
    best = min(fit.aicc for fit in fits)
    total = sum(math.exp(-(fit.aicc - best) / 2) for fit in fits)
    ranked = sorted(zip(chosen, fits, strict=True), key=lambda pair: pair[1].aicc)
    curves = np.concatenate([_scaled(trace.after, g_min, g_max) for trace in traces])
    candidates = tuple(
        LawFit(
            law=law.name,
            parameters=fit.intervals(law, gains),
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


def _readings(traces: Sequence[PulseTrace], g_min: MicroSiemens, g_max: MicroSiemens) -> Readings:
    """Put all traces behind each other, as weights.

    Pulses at the very end of the range that change nothing are left out: they say that there is a bound, but nothing
    about steps, and a law that is zero there would be rewarded for each of them.
    """
    before, after = (
        _scaled(np.concatenate([getattr(trace, name) for trace in traces]), g_min, g_max)
        for name in ("before", "after")
    )
    kept = (before != after) | (np.abs(before) < 1)
    begins = np.concatenate([~_continues(trace) for trace in traces])
    begins[1:] |= ~kept[:-1]
    is_up = np.concatenate([trace.pulses for trace in traces]) > 0
    device = np.repeat(np.arange(len(traces)), [len(trace.pulses) for trace in traces])
    return Readings(before[kept], after[kept], is_up[kept], begins[kept], device[kept])


def _continues(trace: PulseTrace) -> NDArray[np.bool_]:
    """Return for which pulses the reading before is that after the pulse before."""
    return np.concatenate([[False], trace.before[1:] == trace.after[:-1]])


@dataclass(frozen=True)
class _Fit:
    values: Values
    covariance: Values
    noise: Dimensionless
    read: Dimensionless
    aicc: Dimensionless
    freedom: int

    def intervals(self, law: StepLaw, gains: Values) -> tuple[Parameter, ...]:
        """Return the parameters of the mean device: sizes of steps are uncertain by the sample of devices, too."""
        from scipy.stats import t as student  # here: it takes half a second, which `import crossbar` need not

        reach = float(student.ppf(0.975, self.freedom if len(gains) == 1 else len(gains) - 1))
        of_sample = _spread(gains) ** 2 / len(gains) if len(gains) > 1 else 0.0
        is_size = np.array([name.startswith(("step_", "up_", "down_")) for name in law.parameters])
        variance = np.maximum(np.diag(self.covariance), 0.0) + is_size * self.values**2 * of_sample
        errors = np.sqrt(variance)
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


def _fit(law: StepLaw, readings: Readings, gains: Values) -> _Fit:
    """Fit one law with the noise of its steps and of the readings: the most likely of all."""
    # Here, because compiled code reads its cache when it is imported, and importing `devices` reads no files.
    from .filter import deviations, unlikelihood

    up, down = (max(1e-6, abs(float(readings.change[readings.is_up == way].mean()))) for way in (True, False))
    lowest, highest = law.limits()
    start = np.clip(law.start(up, down), lowest, highest)
    # The same in all: numbers of order one, noises by their logarithm.
    scale = np.concatenate([np.maximum(np.abs(start), 1e-3), [1.0, 1.0]])
    limits = [
        *zip(lowest / scale[:-2], highest / scale[:-2], strict=True),
        (math.log(1e-3), math.log(200.0)),
        (math.log(1e-6), math.log(2.0)),
    ]

    def predict(x: Values) -> tuple[Values, Values]:
        noise, read = np.exp(x[-2:])
        return deviations(law, x[:-2] * scale[:-2], float(noise), float(read), readings, gains)

    def unlikely(x: Values) -> Dimensionless:
        return unlikelihood(*predict(x))

    found = None
    for values, read in ((_by_least_squares(law, readings, gains), _READS[0]), (start, _READS[1])):
        first = np.concatenate([values, [math.log(0.3), math.log(read)]]) / scale
        for _ in range(_ROUNDS):  # anew where it stopped: steps that end at a bound have a kink
            again = minimize(unlikely, first, method="L-BFGS-B", bounds=limits, options={"maxiter": 300})
            gained = unlikely(first) - again.fun
            first = again.x
            if gained < _GAIN:
                break
        if found is None or again.fun < found.fun:
            found = again
    assert found is not None
    n, k = len(readings.after), len(start) + law.measured_bounds + 2
    return _Fit(
        found.x[:-2] * scale[:-2],
        _covariance(predict, found.x, limits)[:-2, :-2] * np.outer(scale[:-2], scale[:-2]),
        float(np.exp(found.x[-2])),
        float(np.exp(found.x[-1])),
        found.fun + 2 * k + 2 * k * (k + 1) / max(1, n - k - 1),
        max(1, n - k),
    )


def _by_least_squares(law: StepLaw, readings: Readings, gains: Values) -> Values:
    """Fit the steps one by one, which is nearly right where readings are good: a place to start from."""
    up, down = (max(1e-6, abs(float(readings.change[readings.is_up == way].mean()))) for way in (True, False))
    lowest, highest = law.limits()
    values = np.clip(law.start(up, down), lowest + 1e-12, highest - 1e-12)
    gain = gains[readings.device]

    def mean(at: Values) -> Values:
        return gain * law.change(at, readings.before, readings.is_up)

    for _ in range(3):
        sigma = np.sqrt((0.3 * mean(values)) ** 2 + 2 * _READS[0] ** 2)
        values = least_squares(
            lambda at, sigma=sigma: (readings.change - mean(at)) / sigma,
            values,
            bounds=(lowest, highest),
            x_scale=np.maximum(np.abs(values), 1e-3),
            max_nfev=400,
        ).x
    return values


def _covariance(
    predict: Callable[[Values], tuple[Values, Values]],
    x: Values,
    limits: Sequence[tuple[Dimensionless, Dimensionless]],
) -> Values:
    """Invert Fisher's information of Gaussian readings. A parameter at its limit is taken as known."""
    free = [i for i, (low, high) in enumerate(limits) if low + _SHIFT <= x[i] <= high - _SHIFT]
    variance = predict(x)[1]
    slopes = []
    for shift in np.eye(len(x))[free] * _SHIFT:
        (more, more_variance), (less, less_variance) = predict(x + shift), predict(x - shift)
        of_mean = (more - less) / np.sqrt(variance)
        slopes.append(
            np.concatenate([of_mean, (more_variance - less_variance) / variance / math.sqrt(2)]) / 2
        )
    jacobian = np.array(slopes) / _SHIFT
    covariance = np.zeros((len(x), len(x)))
    covariance[np.ix_(free, free)] = np.linalg.pinv(jacobian @ jacobian.T, rcond=1e-12, hermitian=True)
    return covariance


def _gains(steps: Readings, devices: int) -> Values:
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


def _spread(values: Values) -> Dimensionless:
    return float(values.std(ddof=1) / values.mean())


def _bound_spread(traces: Sequence[PulseTrace], g_min: MicroSiemens, g_max: MicroSiemens) -> Dimensionless:
    reached = np.array([_scaled(np.concatenate([t.before, t.after]), g_min, g_max).max() for t in traces])
    return _spread(reached) if reached.mean() > 0 else 0.0


def _scaled(conductance: Values, g_min: MicroSiemens, g_max: MicroSiemens) -> Values:
    return 2 * (conductance - g_min) / (g_max - g_min) - 1


def _unscaled(weight: Values, g_min: MicroSiemens, g_max: MicroSiemens) -> Values:
    return g_min + (weight + 1) / 2 * (g_max - g_min)


def _integrate(
    law: StepLaw, values: Values, trace: PulseTrace, g_min: MicroSiemens, g_max: MicroSiemens
) -> Values:
    """Return the weight after each pulse of a trace, without noise; where a series begins, as measured."""
    before = _scaled(trace.before, g_min, g_max)
    continues = _continues(trace)
    weights = np.empty(len(before))
    w = np.empty(1)
    for i, is_up in enumerate(trace.pulses > 0):
        w = w if continues[i] else before[i : i + 1]
        w = w + law.change(values, w, np.array([is_up]))
        weights[i] = w[0]
    return weights


def _check(traces: Sequence[PulseTrace], path: Path) -> None:
    """Refuse a measurement from which no law follows."""
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
