"""The figure of `xbar devices NAME`: a device as a device paper would show it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from devices.characterisation import (
    Characterisation,
    DriftTrajectories,
    ProgrammingError,
    PulseResponse,
    Quantity,
    Retention,
)
from devices.units import Seconds

from .figures import save_figure, strip
from .palette import AMBER, BLUE, COMPENSATIONS, GREY, SKY, VERMILION

_LEVELS: Final = (SKY, BLUE, AMBER, VERMILION)
# The later ones are drawn smaller, so that equal points of all of them can be seen.
_LOOKS: Final = {
    "none": ("none", "s", 8.5),
    "global": ("one factor", "o", 6.2),
    "per_tile": ("per tile", "D", 3.8),
    "per_column": ("per bit line", ".", 3.2),
}
_TIMES: Final[dict[Seconds, str]] = {
    1.0: "1 s",
    60.0: "1 min",
    3600.0: "1 h",
    86400.0: "1 d",
    30 * 86400.0: "1 mo",
    365.25 * 86400.0: "1 y",
}
_PANEL: Final = (4.1, 3.1)
_COLUMNS: Final = 3
_SMALL: Final = 7.5


def draw_characterisation(characterisation: Characterisation, path: Path) -> None:
    """Draw what was measured on a device, one panel for each kind of measurement.

    Args:
        characterisation: What `characterise` returned.
        path: The PNG file.
    """
    panels = _panels(characterisation)
    columns = 2 if len(panels) == 4 else _COLUMNS
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for letter, axes, draw in zip("abcdefgh", grid.flat, panels, strict=False):
        draw(axes)
        axes.set_title(f"({letter}) {axes.get_title()}", loc="left", fontsize=9.5)
        axes.set_title("")
    figure.suptitle(
        f"{characterisation.name}: {characterisation.technology}, simulated", x=0.01, ha="left", fontsize=11
    )
    save_figure(figure, path)


def _panels(characterisation: Characterisation) -> list[Callable[[Axes], None]]:
    panels: list[Callable[[Axes], None]] = []
    response, programming = characterisation.response, characterisation.programming
    drift, retention = characterisation.drift, characterisation.retention
    if response is not None:
        panels += [lambda axes: _draw_ramp(axes, response), lambda axes: _draw_steps(axes, response)]
        if programming is None:
            panels.append(lambda axes: _write_numbers(axes, response.rows()))
    if programming is not None:
        panels.append(lambda axes: _draw_programming(axes, programming))
    if drift is not None:
        panels += [lambda axes: _draw_trajectories(axes, drift), lambda axes: _draw_spread(axes, drift)]
    if retention:
        is_continuous = drift is None or drift.is_continuous
        panels.append(lambda axes: _draw_retention(axes, retention, is_continuous))
    return panels


def _draw_ramp(axes: Axes, response: PulseResponse) -> None:
    pulses, mean = response.pulses.numpy(), response.mean.numpy()
    for std, color, alpha, label in (
        (response.device_std.numpy(), BLUE, 0.22, "device to device"),
        (response.cycle_std.numpy(), VERMILION, 0.30, "cycle to cycle"),
    ):
        axes.fill_between(pulses, mean - std, mean + std, color=color, alpha=alpha, lw=0, label=f"± {label}")
    axes.plot(pulses, response.traces[0].numpy(), color=GREY, lw=0.7, label="one device")
    axes.plot(pulses, mean, color="black", lw=1.6, label="mean")
    if not response.is_one_way:
        turn = float(pulses[response.turn - 1])
        axes.axvline(turn, ymax=0.78, color=GREY, lw=0.8, ls=":")  # below the legend
        for x, text in ((0.25, "pulses up"), (0.75, "pulses down")):
            axes.text(x, 0.03, text, transform=axes.transAxes, ha="center", fontsize=_SMALL, color=GREY)
    axes.set_xlim(0, float(pulses[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    _head_room(axes)
    axes.set_xlabel("pulses")
    axes.set_ylabel("weight")
    axes.set_title("pulse response")
    _finish(axes, columns=2)


def _draw_steps(axes: Axes, response: PulseResponse) -> None:
    levels = response.levels.numpy()
    axes.plot(levels, response.step_up.numpy(), color=BLUE, lw=1.6, marker="^", ms=4, label="mean step up")
    if not response.is_one_way:
        axes.plot(
            levels,
            response.step_down.numpy(),
            color=VERMILION,
            lw=1.6,
            marker="v",
            ms=4,
            label="mean step down",
        )
    axes.plot(
        levels, response.cycle_noise.numpy(), color=GREY, lw=1.2, ls="--", label="noise of one pulse, as read"
    )
    values = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in _curves(response)])
    # Where noise is many times the step a linear axis would show nothing but the noise.
    if values.max() > 20 * np.median(values) or values.max() > 20 * response.step_up.nanmedian():
        axes.set_yscale("log")
        axes.set_ylim(values.min() / 1.5, values.max() * 6)
    else:
        axes.set_ylim(0, 1.45 * values.max())
    axes.set_xlabel("weight")
    axes.set_ylabel("size of a step in weight")
    axes.set_title("step of one pulse")
    _finish(axes)


def _curves(response: PulseResponse) -> list[np.ndarray]:
    return [response.step_up.numpy(), response.step_down.numpy(), response.cycle_noise.numpy()]


def _write_numbers(axes: Axes, rows: list[Quantity]) -> None:
    axes.set_axis_off()
    axes.set_title("median and spread over devices")
    for index, row in enumerate(rows):
        y = 0.95 - index * 0.088
        axes.text(0.0, y, row.name, transform=axes.transAxes, fontsize=8.5, va="top")
        value, spread = _rounded(row)
        for x, text in ((0.74, value), (1.0, spread)):
            axes.text(x, y, text, transform=axes.transAxes, fontsize=8.5, va="top", ha="right")


def _rounded(row: Quantity) -> tuple[str, str]:
    """Write a value with as many digits as its spread of two digits leaves meaning in."""
    if not row.spread:
        return f"{row.value:.3g}", ""
    digits = max(0, 1 - math.floor(math.log10(row.spread)))
    return f"{row.value:z,.{digits}f}", f"± {row.spread:,.{digits}f}"


def _draw_programming(axes: Axes, programming: ProgrammingError) -> None:
    g = programming.g_target.numpy()
    axes.plot(g, programming.std.numpy(), color="black", lw=1.8, label="write: spread")
    axes.plot(g, programming.mean.numpy(), color=GREY, lw=1.2, ls="--", label="write: mean miss")
    colors = (SKY, BLUE, VERMILION)
    is_any_outside = False
    for time, outside, std, color in zip(
        programming.read_times, programming.is_extrapolated, programming.read_std, colors, strict=False
    ):
        if float(std.max()) > 0:
            is_any_outside |= outside
            mark = "*" if outside else ""
            axes.plot(g, std.numpy(), color=color, lw=1.2, label=f"one read, after {_TIMES[time]}{mark}")
    if is_any_outside:
        _say(axes, "* extrapolated")
    axes.axhline(0, color=GREY, lw=0.6)
    _head_room(axes)
    axes.set_xlabel("target conductance (µS)")
    axes.set_ylabel("error (µS)")
    axes.set_title("programming error and read noise")
    _finish(axes, columns=2)


def _draw_trajectories(axes: Axes, drift: DriftTrajectories) -> None:
    times = drift.times.numpy()
    line = "-" if drift.is_continuous else ":"
    marker = "" if drift.is_continuous else "o"
    for level, color in enumerate(_LEVELS[: len(drift.g_target)]):
        for trace in drift.traces[level].numpy():
            axes.plot(times, trace, color=color, lw=0.7, ls=line, marker=marker, ms=3, alpha=0.8)
    if drift.is_extrapolated.any():
        _shade_extrapolated(axes, drift)
    axes.set_xscale("log")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    _label_times(axes, float(times[0]), float(times[-1]))
    axes.set_xlabel("time since programming")
    axes.set_ylabel("conductance (µS)")
    axes.set_title("single devices, written to four targets")
    strip(axes)


def _shade_extrapolated(axes: Axes, drift: DriftTrajectories) -> None:
    """Shade times that nobody measured; they are at the end, at the beginning, or both."""
    times, outside = drift.times.numpy(), drift.is_extrapolated.numpy()
    inside = np.flatnonzero(~outside)
    edges = [(times[0], times[-1])] if not len(inside) else []
    if len(inside) and inside[0] > 0:
        edges.append((times[0], times[inside[0]]))
    if len(inside) and inside[-1] < len(times) - 1:
        edges.append((times[inside[-1]], times[-1]))
    for first, last in edges:
        axes.axvspan(first, last, color=GREY, alpha=0.12, lw=0)
        middle = float(np.sqrt(first * last))
        axes.text(
            middle,
            0.02,
            "extrapolated",
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=_SMALL,
            color=GREY,
        )


def _draw_spread(axes: Axes, drift: DriftTrajectories) -> None:
    if drift.exponents is not None:
        samples, label = drift.exponents.numpy(), "drift exponent"
        axes.set_title("drift exponents")
    else:
        when = _TIMES.get(drift.change_time, f"{drift.change_time:g} s")
        samples, label = drift.change.numpy(), f"relative change after {when}"
        axes.set_title("change of conductance")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    known = samples[np.isfinite(samples)]
    low, high = np.quantile(known, [0.002, 0.998])
    margin = 0.05 * (high - low) or 0.01
    bins = np.linspace(low - margin, high + margin, 41).tolist()
    for sample, g_target, color in zip(samples, drift.g_target.tolist(), _LEVELS, strict=False):
        axes.hist(
            sample[np.isfinite(sample)],
            bins=bins,
            histtype="step",
            color=color,
            lw=1.5,
            label=f"{g_target:.3g} µS",
        )
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.set_xlabel(label)
    axes.set_ylabel("devices")
    _finish(axes, title="target")


def _draw_retention(axes: Axes, retention: tuple[Retention, ...], is_continuous: bool) -> None:
    for kind, (name, marker, size) in _LOOKS.items():
        color = COMPENSATIONS[kind]
        points = [point for point in retention if point.compensation == kind]
        times = [point.time for point in points]
        errors = [point.error for point in points]
        # Between single measurements nothing is known.
        line = "-" if is_continuous else "none"
        axes.plot(times, errors, marker, color=color, ls=line, lw=1.2, ms=size, label=name)
        outside = [point for point in points if point.is_extrapolated]
        axes.plot(
            [point.time for point in outside],
            [point.error for point in outside],
            marker,
            color=color,
            ms=size,
            markerfacecolor="white",
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.4 * max(max(point.error for point in retention), 1e-3))
    _label_times(axes, retention[0].time, retention[-1].time)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel("time since programming")
    axes.set_ylabel("rms error of weights / rms")
    if any(point.is_extrapolated for point in retention):
        _say(axes, "hollow: extrapolated")
    axes.set_title("retention with compensation")
    _finish(axes, columns=2)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.98, 0.03, text, transform=axes.transAxes, ha="right", fontsize=_SMALL, color=GREY)


def _label_times(axes: Axes, first: Seconds, last: Seconds) -> None:
    times = [time for time in _TIMES if 0.5 * first <= time <= 2 * last]
    axes.xaxis.set_major_locator(FixedLocator(times))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: _TIMES.get(time, "")))
    axes.set_xlim(first / 2, last * 2)


def _head_room(axes: Axes) -> None:
    """Leave space for a legend above and a word below the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.08 * (high - low), high + 0.28 * (high - low))


def _finish(axes: Axes, columns: int = 1, title: str | None = None) -> None:
    axes.legend(
        fontsize=_SMALL,
        frameon=False,
        ncols=columns,
        loc="upper right" if title else "upper left",
        title=title,
        title_fontsize=_SMALL,
        columnspacing=1.0,
        handlelength=1.6,
    )
    strip(axes)
