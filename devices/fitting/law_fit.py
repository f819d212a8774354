"""One law, fitted to all devices: the parameters of their distribution, and what a device file says of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from typing_extensions import final

from ..units import Dimensionless, Mixed
from .device_fit import DeviceFit
from .population import Population, population
from .readings import Readings
from .step_law import Coordinate, StepLaw, Values

_WIDEST: Final = 0.3  # relative spread that is written: more would turn bounds inside out; assumed


@final
@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A fitted number, of the mean device.

    Attributes:
        name: What it is called.
        value: In units of the weight, or 1.
        error: Its standard error.
        low: Lower end of the 95 % confidence interval; minus infinity where the data do not bound it.
        high: Its upper end; likewise.
        spread: Standard deviation over devices; None for a single one.
        remark: "" or what is wrong with it: that it is not determined by the data.
    """

    name: str
    value: Mixed
    error: Mixed
    low: Mixed
    high: Mixed
    spread: Mixed | None = None
    remark: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class LawFit:
    """One law, fitted.

    Attributes:
        law: The name of the law.
        parameters: Its fitted numbers, those of the noises last.
        noise: Standard deviation of a step from cycle to cycle, relative to its mean.
        read_noise: Standard deviation of a reading, in units of the weight.
        slow_noise: That of the slow fluctuation; 0 where there is none.
        slow_pulses: After how many pulses its memory has fallen to 1/e.
        aicc: Akaike's information criterion; lower is better, a difference of 10 leaves nothing for the worse one.
        weight: Probability that this is the best of the laws that were tried (Akaike's weight).
        r_squared: Part of the variance of the measured curves that curves without noise explain.
        device: What aihwkit's device of this law is called with, spreads included.
        notes: What had to be changed or assumed for it.
        at_limit: Whether one of the law's own limits is among that.
        devices: The fits of the single devices.
        mean: The coordinates of the mean device.
    """

    law: str
    parameters: tuple[Parameter, ...]
    noise: Dimensionless
    read_noise: Dimensionless
    slow_noise: Dimensionless
    slow_pulses: Mixed
    aicc: Dimensionless
    weight: Dimensionless
    r_squared: Dimensionless
    device: dict[str, Any]
    notes: tuple[str, ...]
    at_limit: bool
    devices: tuple[DeviceFit, ...]
    mean: Values

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


def criterion(fits: Sequence[DeviceFit], readings: Sequence[Readings]) -> Dimensionless:
    """Return AICc = 2 k - 2 ln L + 2 k (k + 1) / (n - k - 1), summed over devices (Burnham and Anderson 2002)."""
    total = 0.0
    for fit, own in zip(fits, readings, strict=True):
        k = len(fit.x)
        total += 2 * k + fit.unlikelihood + 2 * k * (k + 1) / max(1, len(own.after) - k - 1)
    return total


def parameters(fits: Sequence[DeviceFit], over: Sequence[Population]) -> tuple[Parameter, ...]:
    """Return what is reported, with intervals.

    Args:
        fits: The law's fits to the devices.
        over: The distribution of each coordinate.
    """
    return tuple(_parameter(c, own, len(fits)) for c, own in zip(fits[0].coordinates, over, strict=True))


def _parameter(coordinate: Coordinate, own: Population, devices: int) -> Parameter:
    low, high = own.low, own.high
    remark = "not determined by the data" if own.is_open else ""
    # The mean of numbers whose logarithms are normal lies above the middle one.
    lift = math.exp(own.spread**2 / 2) if coordinate.kind == "log" and own.spread < 1 else 1.0
    value = coordinate.shown(own.mean) * lift
    ends = sorted(coordinate.shown(end) for end in (low, high))
    if coordinate.kind == "inverse" and low <= 0:
        ends = [coordinate.shown(high), math.inf]
    if coordinate.kind == "minus inverse" and low <= 0:
        ends = [-math.inf, coordinate.shown(high)]
    factor = {"log": abs(value), "length": abs(value), "plain": 1.0}.get(coordinate.kind, value**2)
    if not math.isfinite(value):
        remark = remark or "at the search limit"
    return Parameter(
        name=coordinate.name,
        value=value,
        error=factor * own.error if math.isfinite(factor) else math.inf,
        low=ends[0] * lift,
        high=ends[1] * lift,
        spread=factor * own.spread if devices > 1 and math.isfinite(factor) else None,
        remark=remark,
    )


def device_of(
    law: StepLaw, fits: Sequence[DeviceFit], over: Sequence[Population]
) -> tuple[dict[str, Any], list[str], bool]:
    """Return what a device file says of the distribution, notes on what had to be changed or assumed, and whether the
    law is at a limit."""
    mean = mean_of(fits[0].coordinates, over)
    spread = np.array([own.spread for own in over])
    device, notes = law.device(mean)
    at_limit = bool(notes)
    gain, asymmetry = _gain_spreads(law, fits) if len(fits) > 1 else (0.0, 0.0)
    bounds = {}
    for i, (coordinate, own) in enumerate(zip(fits[0].coordinates, over, strict=True)):
        if coordinate.name in ("w_max", "w_min"):
            relative = spread[i] / max(abs(mean[i]), 1e-6)
            if own.is_open:
                relative = 0.0
                notes.append(f"{coordinate.name} was not reached: {mean[i]:.3g} of the range is assumed.")
            elif relative > _WIDEST:
                notes.append(
                    f"{coordinate.name} differs by {relative:.0%} over devices; {_WIDEST:.0%} are written."
                )
            bounds[f"{coordinate.name}_dtod"] = min(float(relative), _WIDEST)
    return {
        **device, **law.spreads(mean, spread),
        "dw_min_dtod": min(gain, _WIDEST), "up_down_dtod": min(asymmetry, _WIDEST), **bounds,
    }, notes, at_limit  # fmt: skip


def mean_of(coordinates: Sequence[Coordinate], over: Sequence[Population]) -> Values:
    """Return the coordinates of the mean device: where logarithms are normal, those of the mean number."""
    return np.array(
        [
            own.mean + (own.spread**2 / 2 if coordinate.kind == "log" and own.spread < 1 else 0.0)
            for coordinate, own in zip(coordinates, over, strict=True)
        ]
    )


def _gain_spreads(law: StepLaw, fits: Sequence[DeviceFit]) -> tuple[Dimensionless, Dimensionless]:
    """Return the spread that both directions have in common, and that of their difference; relative."""
    gains, asymmetries, variances = [], [], []
    for fit in fits:
        rows = np.zeros((2, len(fit.x)))
        if law.nodes:
            sums = [float(fit.x[way * law.nodes : (way + 1) * law.nodes].sum()) for way in (0, 1)]
            for way in (0, 1):
                rows[way, way * law.nodes : (way + 1) * law.nodes] = 1 / max(sums[way], 1e-9)
            logs = [math.log(max(value, 1e-9)) for value in sums]
        else:
            rows[0, 0] = rows[1, 1] = 1.0
            logs = [float(fit.x[0]), float(fit.x[1])]
        covariance = rows @ fit.covariance @ rows.T
        gains.append((logs[0] + logs[1]) / 2)
        asymmetries.append((logs[0] - logs[1]) / 2)
        own, mixed = covariance[0, 0] + covariance[1, 1], 2 * covariance[0, 1]
        variances.append(((own + mixed) / 4, (own - mixed) / 4))
    of_gain, of_asymmetry = np.maximum(np.array(variances), 1e-12).T
    return (
        population(np.array(gains), of_gain).spread,
        population(np.array(asymmetries), of_asymmetry).spread,
    )
