"""What `xbar fit-device` says: the table of laws, parameters with intervals, comparison with simulated devices."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from devices.fitting import DriftFit, Parameter, PredictiveCheck, PulseFit, ReadFit, WriteFit
from devices.fitting.pulse_fit import OF_LIMITS

_CLEAR: Final = 3.0  # standard errors from which on a mean miss is mentioned


def summary(
    pulses: PulseFit | None, drift: DriftFit | None, writes: WriteFit | None, reads: ReadFit | None
) -> str:
    """Return what the device file says of itself.

    Args:
        pulses: The fitted pulse response, or None.
        drift: The fitted drift, or None.
        writes: The fitted programming error, or None.
        reads: The fitted noise of readings, or None.
    """
    parts = []
    if pulses is not None:
        best = pulses.best
        parts.append(
            f"Steps of the law {best.law}, R² {best.r_squared:.3f} of the curves without noise, weight "
            f"{best.weight:.2f} among {len(pulses.candidates)} laws, from {_devices(len(pulses.traces))}."
        )
        if pulses.undecided:
            parts.append(f"The data do not decide between it and {_and(pulses.undecided)}.")
        parts.extend(best.notes)
        if pulses.g_min < 0:
            parts.append("The measurement was in arbitrary units: the range of conductances is assumed.")
    if drift is not None:
        parts.append(f"Power-law drift of {len(drift.traces)} devices until {drift.last_time:g} s.")
        if drift.depends_on_conductance:
            parts.append(
                f"Exponents depend on the conductance (r = {drift.correlation[0]:.2f}), which is left out."
            )
    if writes is not None:
        parts.append(f"Programming error by target, of {len(writes.writes.targets)} writes.")
    if reads is not None:
        parts.append(f"Noise of one reading, of {_devices(len(reads.series))} read again and again.")
    return " ".join(parts)


def not_modelled(
    fit: PulseFit | None, drift: DriftFit | None, writes: WriteFit | None, reads: ReadFit | None
) -> str:
    """Return what was measured or not, and the device file leaves out.

    Args:
        fit: The fitted pulse response, or None.
        drift: The fitted drift, or None.
        writes: The fitted programming error, or None.
        reads: The fitted noise of readings, or None.
    """
    parts = []
    if fit is not None:
        half, best = (fit.g_max - fit.g_min) / 2, fit.best
        if reads is None:
            parts.append(f"Noise of the readings, ±{best.read_noise * half:.3g} µS.")
        if best.slow_noise > 0:
            parts.append(
                f"A slow fluctuation of ±{best.slow_noise * half:.3g} µS that lasts about {best.slow_pulses:.0f} "
                "pulses."
            )
        if len(fit.traces) == 1:
            parts.append("What differs from device to device: one was measured.")
        parts.append("Correlations between the parameters of a device.")
    if writes is not None:
        if drift is None:
            parts.append("Drift: none was measured, and every time counts as extrapolated.")
        if abs(writes.miss) > _CLEAR * writes.miss_error:
            parts.append(
                f"That writes miss by {writes.miss:+.3g} µS on average: it is part of the spread about the target."
            )
    elif drift is not None and drift.programming_noise is None:
        parts.append("Programming errors: no targets were measured.")
    if reads is not None:
        if reads.depends_on_conductance:
            parts.append(
                f"That the noise of a reading goes as conductance to the power of {reads.growth[0]:.2g}."
            )
        if reads.slow > reads.noise / 2:
            parts.append(f"Slow changes between readings, ±{reads.slow:.3g} µS.")
    return " ".join([*parts, "Temperature, endurance."])


def pulse_lines(fit: PulseFit) -> list[str]:
    """Return the table of laws, and the parameters of the best.

    Args:
        fit: The fitted pulse response.
    """
    count = sum(len(trace.pulses) for trace in fit.traces)
    lines = [
        f"{count:,} pulses on {_devices(len(fit.traces))}, {fit.g_min:.4g} to {fit.g_max:.4g} µS",
        f"{'law':<14}{'numbers':>8}{'AICc':>10}{'weight':>8}{'R²':>8}{'noise':>8}{'reading':>9}{'slow':>9}",
    ]
    for law in fit.candidates:
        r_squared = f"{law.r_squared:.3f}" if law.r_squared > -1 else "< -1"
        limit = "  at a limit" if law.at_limit else ""
        lines.append(
            f"{law.law:<14}{len(law.parameters):>8}{law.aicc - fit.best.aicc:>+10.1f}{law.weight:>8.2f}"
            f"{r_squared:>8}{law.noise:>8.2f}{law.read_noise:>9.4f}{law.slow_noise:>9.4f}{limit}"
        )
    lines += [f"{name:<14} left out: {reason}" for name, reason in fit.left_out.items()]
    lines += [
        "AICc: above the chosen one; a law at a limit must be better by 10. noise: of a step, relative to it.",
        "reading, slow: of the weight, which spans [-1, 1].",
        *_undecided(fit),
        "",
        f"{fit.best.law}, mean device, with 95 % confidence intervals"
        + (
            " and spread over devices:"
            if len(fit.traces) > 1
            else " (one device: they say nothing of others):"
        ),
        *map(_parameter_line, fit.best.parameters),
        *(f"Note: {note}" for note in fit.best.notes),
    ]
    return lines


def _undecided(fit: PulseFit) -> list[str]:
    if not fit.undecided:
        return []
    at_limit = [law.law for law in fit.candidates if law.law in fit.undecided and law.at_limit]
    handicap = (
        f", where one at a limit ({_and(at_limit)}) has to be lower by more than {OF_LIMITS:g}"
        if at_limit
        else ""
    )
    return [
        f"The data do not decide between {_and([fit.best.law, *fit.undecided])}: no AICc is clearly lower{handicap}. "
        f"{fit.best.law}, which has the fewest numbers, is written; --law {fit.undecided[0]} takes another."
    ]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _parameter_line(p: Parameter) -> str:
    spread = "" if p.spread is None else f"   ± {p.spread:.2g}"
    remark = f"   {p.remark}" if p.remark else ""
    return f"  {p.name:<12}{_number(p.value):>10}   [{_number(p.low)}, {_number(p.high)}]{spread}{remark}"


def _number(value: float) -> str:
    if not math.isfinite(value) or abs(value) > 1e6:
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}"


def check_lines(check: PredictiveCheck) -> list[str]:
    """Return how the written device compares with the measurement.

    Args:
        check: The comparison.
    """
    count = len(check.traces)
    lines = [
        f"The written device in the measured pulse scheme, {check.copies} copies of each trace:",
        f"  curve    {check.inside:.0%} of the points inside the band of 90 %"
        + ("" if check.passes else "   WARNING: fewer than 80 %"),
    ]
    for name, what in (("scatter", "from reading to reading"), ("reached", "highest less lowest reading")):
        own = [getattr(trace, name) for trace in check.traces]
        mean, low, high = (sum(part) / count for part in zip(*own, strict=True))
        lines.append(
            f"  {name:<8} {what}: {mean:.3g} µS, simulated {low:.3g} to {high:.3g}"
            + ("" if count == 1 else f" (means; {check.within(name)} of {count} devices inside)")
        )
    return lines + [f"  outside: {place}" for place in check.where()]


def drift_lines(fit: DriftFit) -> list[str]:
    """Return what drift was found.

    Args:
        fit: The fitted drift.
    """
    low, high = fit.exponent_interval
    lines = [
        f"Drift of {len(fit.traces)} devices until {fit.last_time:g} s, t_0 = {fit.reference_time:g} s",
        f"  exponent    {fit.exponent:.4f}   [{low:.4f}, {high:.4f}], spread {fit.exponent_spread:.4f} over devices",
        f"  readings    ±{fit.residual:.2%} about the power laws",
    ]
    if fit.programming_noise is not None:
        lines.append(f"  programming ±{fit.programming_noise:.3g} µS about the targets")
    if fit.depends_on_conductance:
        r, p = fit.correlation
        lines.append(
            f"  Warning: exponents depend on the conductance (r = {r:.2f}, p = {p:.1g}), which is left out."
        )
    return lines


def write_lines(fit: WriteFit) -> list[str]:
    """Return how far writes miss.

    Args:
        fit: The fitted programming error.
    """
    law = " ".join(f"{c:+.3g} x^{k}" if k else f"{c:.3g}" for k, c in enumerate(fit.coefficients))
    lines = [
        f"Programming error of {len(fit.writes.targets)} writes to {_devices(fit.writes.devices)}, "
        f"±{fit.error:.3g} µS, mean miss {fit.miss:+.3g} ± {fit.miss_error:.1g} µS",
        f"  law         {law} µS, x = g / {fit.g_max:.4g} µS",
        f"  {'target (µS)':<12}{'miss':>10}{'error':>10}{'law':>10}{'writes':>8}",
    ]
    for target, miss, error, count in fit.by_target():
        law_here = float(fit.spread(np.array([target]))[0])
        lines.append(f"  {target:<12.4g}{miss:>+10.3g}{error:>10.3g}{law_here:>10.3g}{count:>8}")
    if fit.writes.targets.max() > 1.02 * fit.g_max:
        lines.append(
            f"  Warning: targets go beyond the largest conductance of the device, {fit.g_max:.4g} µS."
        )
    return lines


def read_lines(fit: ReadFit) -> list[str]:
    """Return how far readings scatter.

    Args:
        fit: The fitted noise of readings.
    """
    lines = [
        f"Noise of a reading, of {sum(len(own.conductances) for own in fit.series)} readings of "
        f"{_devices(len(fit.series))}: ±{fit.noise:.3g} ± {fit.error:.1g} µS; slow changes ±{fit.slow:.3g} µS",
    ]
    if fit.depends_on_conductance:
        power, p = fit.growth
        lines.append(
            f"  Warning: it goes as conductance to the power of {power:.2g} (p = {p:.1g}), which is left out."
        )
    return lines


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
