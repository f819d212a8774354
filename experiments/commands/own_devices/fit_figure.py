"""The figure of `xbar fit-device`: what was measured, and what the fitted laws make of it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devices.fitting import DriftFit, PredictiveCheck, PulseFit, ReadFit, WriteFit

from ...drawing.figures import save_figure, strip
from ...drawing.palette import BLUE, GREY, SERIES, VERMILION


def draw_fits(
    pulses: PulseFit | None,
    check: PredictiveCheck | None,
    drift: DriftFit | None,
    writes: WriteFit | None,
    reads: ReadFit | None,
    name: str,
    path: Path,
) -> None:
    """Draw the pulse response with its laws, steps against conductance, drift, programming error, read noise.

    Args:
        pulses: The fitted pulse response, or None.
        check: Its comparison with simulated devices, or None.
        drift: The fitted drift, or None.
        writes: The fitted programming error, or None.
        reads: The fitted noise of readings, or None.
        name: What the device is called.
        path: The PNG file.
    """
    others = [own for own in (drift, writes, reads) if own is not None]
    panels = 2 * (pulses is not None) + len(others)
    figure = Figure(figsize=(4.6 * panels, 3.7), layout="constrained")
    axes = list(np.ravel(figure.subplots(1, panels)))
    if pulses is not None:
        _draw_curves(axes.pop(0), pulses, check)
        _draw_steps(axes.pop(0), pulses)
    if drift is not None:
        _draw_drift(axes.pop(0), drift)
    if writes is not None:
        _draw_writes(axes.pop(0), writes)
    if reads is not None:
        _draw_reads(axes.pop(0), reads)
    figure.suptitle(name, fontsize=11)
    save_figure(figure, path)


def _draw_writes(axes: Axes, fit: WriteFit) -> None:
    """Root mean square error by target, with its own error, and the polynomial of the file."""
    target, _, error, count = np.array(fit.by_target()).T
    axes.errorbar(
        target, error, error / np.sqrt(2 * count), fmt="o", color=GREY, ms=4, capsize=2, label="measured"
    )
    grid = np.linspace(0, max(fit.g_max, float(target.max())), 100)
    axes.plot(grid, fit.spread(grid), color=VERMILION, lw=2, label="device file")
    axes.set_ylim(0, 1.35 * max(float(error.max()), float(fit.spread(grid).max())))
    axes.set_xlabel("target (µS)")
    axes.set_ylabel("rms error of a write (µS)")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    strip(axes)


def _draw_reads(axes: Axes, fit: ReadFit) -> None:
    """Noise of a reading against conductance, and the one that the file has."""
    axes.plot(fit.levels, fit.noises, "o", color=GREY, ms=4, label="measured")
    axes.axhline(fit.noise, color=VERMILION, lw=2, label="device file")
    axes.set_ylim(0, 1.35 * max(float(fit.noises.max()), fit.noise))
    axes.set_xlabel("conductance (µS)")
    axes.set_ylabel("noise of a reading (µS)")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    strip(axes)


def _draw_curves(axes: Axes, fit: PulseFit, check: PredictiveCheck | None) -> None:
    if check is not None:
        band = check.traces[0]
        which = "90 % of simulated devices" + (", first trace" if len(fit.traces) > 1 else "")
        axes.fill_between(
            range(len(band.low)), band.low, band.high, color=BLUE, alpha=0.25, lw=0, label=which
        )
    for number, trace in enumerate(fit.traces):
        label = "measured" if number == 0 else None
        axes.plot(trace.after, ".", color=GREY, ms=3, mew=0, alpha=0.5, label=label)
    first = fit.traces[0]
    axes.plot(fit.curve(fit.best, first), color=VERMILION, lw=2, label=f"{fit.best.law}, without noise")
    axes.set_xlabel("pulse")
    axes.set_ylabel("conductance (µS)")
    axes.legend(fontsize=8, frameon=False)
    strip(axes)


def _draw_steps(axes: Axes, fit: PulseFit) -> None:
    """Mean measured step in bins of conductance, up and down, and the steps of all laws."""
    before = np.concatenate([trace.before for trace in fit.traces])
    change = np.concatenate([trace.after - trace.before for trace in fit.traces])
    pulses = np.concatenate([trace.pulses for trace in fit.traces])
    edges = np.linspace(fit.g_min, fit.g_max, 11)
    for way, marker in ((1, "^"), (-1, "v")):
        where, mean, error = [], [], []
        for low, high in pairwise(edges):
            inside = (pulses == way) & (before >= low) & (before <= high)
            if inside.sum() > 2:
                where.append((low + high) / 2)
                mean.append(change[inside].mean())
                error.append(change[inside].std(ddof=1) / np.sqrt(inside.sum()))
        axes.errorbar(where, mean, error, fmt=marker, color=GREY, ms=5, capsize=2, zorder=5)
    grid = np.linspace(fit.g_min, fit.g_max, 200)
    others = iter(color for color in SERIES if color != VERMILION)
    for law in fit.candidates:
        up, down = fit.steps(law, grid)
        best = law is fit.best
        color = VERMILION if best else next(others)
        for sizes, label in ((up, law.law), (-down, None)):
            axes.plot(grid, sizes, color=color, lw=2.2 if best else 1, zorder=4 if best else 3, label=label)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set_xlabel("conductance (µS)")
    axes.set_ylabel("mean step up (▲) and down (▼) (µS)")
    axes.legend(fontsize=7.5, frameon=False, ncols=2)
    strip(axes)


def _draw_drift(axes: Axes, fit: DriftFit) -> None:
    for number, (trace, start, nu) in enumerate(zip(fit.traces, fit.start, fit.exponents, strict=True)):
        color = (BLUE, VERMILION)[number % 2]
        times = np.geomspace(trace.times[trace.times > 0][0], fit.last_time, 50)
        axes.plot(trace.times, trace.conductances, ".", color=color, ms=5, mew=0, alpha=0.7)
        curve = start * ((times + fit.reference_time) / fit.reference_time) ** -nu
        axes.plot(times, curve, color=color, lw=0.9, alpha=0.7)
    axes.set_xscale("log")
    axes.set_xlabel("time since programming (s)")
    axes.set_ylabel("conductance (µS)")
    axes.set_title(rf"$\nu$ = {fit.exponent:.3f} ± {fit.exponent_spread:.3f} over devices", fontsize=9)
    strip(axes)
