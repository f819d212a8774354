"""The figure of `xbar fit-device`: what was measured, and what the fitted laws make of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from devices.fitting import DriftFit, PredictiveCheck, PulseFit, ReadFit, WriteFit

from ...drawing.figures import save_figure, strip
from ...drawing.measured_response import (
    draw_measured,
    draw_measured_steps,
    draw_residuals,
    legend_above,
    traces_of,
)
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import BLUE, GREY, SERIES, VERMILION

_COLUMNS: Final = 3
_PANEL: Final = (3.7, 3.3)
_FITTED: Final = 10.0  # of AICc above the best: laws beyond have no support (Burnham and Anderson, 2002)


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
    panels: list[Callable[[Axes], None]] = []
    if pulses is not None and check is not None:
        traces = traces_of(check)
        panels += [
            lambda axes: draw_measured(axes, traces),
            lambda axes: draw_residuals(axes, traces),
            lambda axes: _draw_steps(axes, pulses, check),
        ]
    if drift is not None:
        panels.append(lambda axes: _draw_drift(axes, drift))
    if writes is not None:
        panels.append(lambda axes: _draw_writes(axes, writes))
    if reads is not None:
        panels.append(lambda axes: _draw_reads(axes, reads))
    columns = min(_COLUMNS, len(panels)) if len(panels) != 4 else 2
    rows = -(-len(panels) // columns)
    figure = new_figure((_PANEL[0] * columns, _PANEL[1] * rows + 0.3))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for letter, axes, draw in zip("abcdefgh", grid.flat, panels, strict=False):
        draw(axes)
        axes.set_title(f"({letter}) {axes.get_title()}", loc="left", fontsize="medium")
        axes.set_title("")
        legend_above(axes)
    figure.suptitle(f"{name}: measured, and fitted", x=0.01, ha="left", fontsize="large")
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
    axes.set_title("programming error")
    strip(axes)


def _draw_reads(axes: Axes, fit: ReadFit) -> None:
    """Noise of a reading against conductance, and the one that the file has."""
    axes.plot(fit.levels, fit.noises, "o", color=GREY, ms=4, label="measured")
    axes.axhline(fit.noise, color=VERMILION, lw=2, label="device file")
    axes.set_ylim(0, 1.35 * max(float(fit.noises.max()), fit.noise))
    axes.set_xlabel("conductance (µS)")
    axes.set_ylabel("noise of a reading (µS)")
    axes.set_title("read noise")
    strip(axes)


def _draw_steps(axes: Axes, fit: PulseFit, check: PredictiveCheck) -> None:
    """Mean measured step in bins of conductance, up and down, and those of the laws that fit."""
    draw_measured_steps(axes, traces_of(check))
    grid = np.linspace(fit.g_min, fit.g_max, 200)
    best = fit.best.aicc
    fitting = [law for law in fit.candidates if law is fit.best or law.aicc - best <= _FITTED]
    others = iter(color for color in SERIES if color != VERMILION)
    for law in fitting:
        up, down = fit.steps(law, grid)
        written = law is fit.best
        color = VERMILION if written else next(others)
        label = f"{law.law}{', written' if written else ''}"
        for sizes, name in ((up, label), (-down, None)):
            axes.plot(
                grid, sizes, color=color, lw=2.2 if written else 1, zorder=4 if written else 3, label=name,
                ls="-" if written else "--",
            )  # fmt: skip
    left_out = [law.law for law in fit.candidates if law.law not in {own.law for own in fitting}]
    if left_out:
        text = f"did not fit: {', '.join(left_out)}"
        axes.text(0.02, 0.02, text, transform=axes.transAxes, fontsize="x-small", color=GREY)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.12 * (high - low), high)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set_xlabel("conductance (µS)")
    axes.set_ylabel("mean step, up and down (µS)")
    axes.set_title("steps, and the laws that fit")
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
    axes.set_title(rf"drift: $\nu$ = {fit.exponent:.3f} ± {fit.exponent_spread:.3f} over devices")
    strip(axes)
