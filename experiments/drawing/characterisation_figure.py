"""The figure of `xbar devices NAME`: a device as a device paper would show it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from torch import Tensor

from devices.characterisation import (
    Characterisation,
    DriftTrajectories,
    ProgrammingError,
    PulseResponse,
    Quantity,
    Retention,
)
from devices.units import MicroSiemens, Mixed, Seconds

from .figures import save_figure, strip
from .measured_response import (
    MeasuredTrace,
    Values,
    draw_measured,
    draw_measured_steps,
    draw_residuals,
    legend_above,
)
from .output.figure_page import new_figure
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
_SMALL: Final = "x-small"


@final
@dataclass(frozen=True)
class _Unit:
    """What pulses change, as it is drawn.

    Attributes:
        name: With its unit.
        zero: Where a weight of 0 lies.
        one: How much a weight of 1 is.
    """

    name: str = "weight"
    zero: Mixed = 0.0
    one: Mixed = 1.0

    def place(self, weights: Tensor) -> Values:
        """Return where weights lie."""
        return np.asarray(self.zero + self.one * weights.numpy())

    def size(self, changes: Tensor) -> Values:
        """Return how large changes of weights are."""
        return np.asarray(self.one * changes.numpy())


def draw_characterisation(
    characterisation: Characterisation,
    path: Path,
    conductances: tuple[MicroSiemens, MicroSiemens] | None = None,
    measured: Sequence[MeasuredTrace] = (),
) -> None:
    """Draw what simulated devices do, one panel for each kind of measurement, and what was measured on real ones.

    Args:
        characterisation: What `characterise` returned.
        path: The PNG file.
        conductances: Those of the weights -1 and 1, to draw pulse responses in µS; None if they are not known.
        measured: The measured pulse response that the device was fitted to, if there is one.
    """
    unit = _Unit()
    if conductances is not None:
        low, high = conductances
        unit = _Unit("conductance (µS)", (low + high) / 2, (high - low) / 2)
    panels = _panels(characterisation, unit, measured)
    columns = 2 if len(panels) == 4 else _COLUMNS
    rows = -(-len(panels) // columns)
    figure = new_figure((_PANEL[0] * columns, _PANEL[1] * rows + 0.4))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for letter, axes, draw in zip("abcdefghij", grid.flat, panels, strict=False):
        draw(axes)
        axes.set_title(f"({letter}) {axes.get_title()}", loc="left", fontsize="medium")
        axes.set_title("")
        legend_above(axes)
    how = "simulated and measured" if measured else "simulated"
    figure.suptitle(
        f"{characterisation.name}: {characterisation.technology}, {how}", x=0.01, ha="left", fontsize="large"
    )
    save_figure(figure, path)


def _panels(
    characterisation: Characterisation, unit: _Unit, measured: Sequence[MeasuredTrace]
) -> list[Callable[[Axes], None]]:
    panels: list[Callable[[Axes], None]] = []
    response, programming = characterisation.response, characterisation.programming
    drift, retention = characterisation.drift, characterisation.retention
    if response is not None:
        panels.append(lambda axes: _draw_ramp(axes, response, unit))
        panels.append(lambda axes: _draw_steps(axes, response, unit, measured))
        if programming is None:
            panels.append(lambda axes: _write_numbers(axes, response.rows()))
    if measured:
        panels[1:1] = [
            lambda axes: draw_measured(axes, measured),
            lambda axes: draw_residuals(axes, measured),
        ]
    if programming is not None:
        panels.append(lambda axes: _draw_programming(axes, programming))
    if drift is not None:
        panels += [lambda axes: _draw_trajectories(axes, drift), lambda axes: _draw_spread(axes, drift)]
    if retention:
        is_continuous = drift is None or drift.is_continuous
        panels.append(lambda axes: _draw_retention(axes, retention, is_continuous))
    return panels


def _draw_ramp(axes: Axes, response: PulseResponse, unit: _Unit) -> None:
    pulses, mean = response.pulses.numpy(), unit.place(response.mean)
    for std, color, alpha, label in (
        (unit.size(response.device_std), BLUE, 0.22, "device to device"),
        (unit.size(response.cycle_std), VERMILION, 0.30, "cycle to cycle"),
    ):
        axes.fill_between(pulses, mean - std, mean + std, color=color, alpha=alpha, lw=0, label=f"± {label}")
    axes.plot(pulses, unit.place(response.traces[0]), color=GREY, lw=0.7, label="one device")
    axes.plot(pulses, mean, color="black", lw=1.6, label="mean")
    if not response.is_one_way:
        turn = float(pulses[response.turn - 1])
        axes.axvline(turn, color=GREY, lw=0.8, ls=":")
        for x, text in ((0.25, "pulses up"), (0.75, "pulses down")):
            axes.text(x, 0.03, text, transform=axes.transAxes, ha="center", fontsize=_SMALL, color=GREY)
    axes.set_xlim(0, float(pulses[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    _foot_room(axes)
    axes.set_xlabel("pulses")
    axes.set_ylabel(unit.name)
    axes.set_title("pulse response, standard scheme")
    strip(axes)


def _draw_steps(axes: Axes, response: PulseResponse, unit: _Unit, measured: Sequence[MeasuredTrace]) -> None:
    levels = unit.place(response.levels)
    up, down, noise = (unit.size(own) for own in (response.step_up, response.step_down, response.cycle_noise))
    if measured:
        draw_measured_steps(axes, measured, sign_of_down=1.0)
    simulated = ", simulated" if measured else ""
    axes.plot(levels, up, color=BLUE, lw=1.6, marker="^", ms=3, label=f"mean step up{simulated}")
    if not response.is_one_way:
        axes.plot(levels, down, color=VERMILION, lw=1.6, marker="v", ms=3, label=f"mean step down{simulated}")
    axes.plot(levels, noise, color=GREY, lw=1.2, ls="--", label="noise of one pulse, as read")
    values = np.concatenate([own[np.isfinite(own) & (own > 0)] for own in (up, down, noise)])
    # Where noise is many times the step a linear axis would show nothing but the noise.
    if values.max() > 20 * np.median(values) or values.max() > 20 * np.nanmedian(up):
        axes.set_yscale("log")
        axes.set_ylim(values.min() / 1.5, values.max() * 1.5)
    else:
        axes.set_ylim(0, 1.08 * max(values.max(), axes.get_ylim()[1] / 1.05))
    axes.set_xlabel(unit.name)
    axes.set_ylabel(
        unit.name.replace("conductance", "size of a step") if "(" in unit.name else "size of a step in weight"
    )
    axes.set_title("step of one pulse")
    strip(axes)


def _write_numbers(axes: Axes, rows: list[Quantity]) -> None:
    axes.set_axis_off()
    axes.set_title("median and spread over devices, of weights")
    for index, row in enumerate(rows):
        y = 0.95 - index * 0.088
        axes.text(0.0, y, row.name, transform=axes.transAxes, fontsize="small", va="top")
        value, spread = _rounded(row)
        for x, text in ((0.74, value), (1.0, spread)):
            axes.text(x, y, text, transform=axes.transAxes, fontsize="small", va="top", ha="right")


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
    _foot_room(axes)
    axes.set_xlabel("target conductance (µS)")
    axes.set_ylabel("error (µS)")
    axes.set_title("programming error and read noise")
    strip(axes)


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
            label=f"target {g_target:.3g} µS",
        )
    axes.set_xlabel(label)
    axes.set_ylabel("devices")
    strip(axes)


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
    axes.set_ylim(0, 1.08 * max(max(point.error for point in retention), 1e-3))
    _label_times(axes, retention[0].time, retention[-1].time)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel("time since programming")
    axes.set_ylabel("rms error of weights / rms")
    if any(point.is_extrapolated for point in retention):
        _say(axes, "hollow: extrapolated")
    axes.set_title("retention with compensation")
    strip(axes)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.98, 0.03, text, transform=axes.transAxes, ha="right", fontsize=_SMALL, color=GREY)


def _label_times(axes: Axes, first: Seconds, last: Seconds) -> None:
    times = [time for time in _TIMES if 0.5 * first <= time <= 2 * last]
    axes.xaxis.set_major_locator(FixedLocator(times))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: _TIMES.get(time, "")))
    axes.set_xlim(first / 2, last * 2)


def _foot_room(axes: Axes) -> None:
    """Leave space for a word below the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.08 * (high - low), high)
