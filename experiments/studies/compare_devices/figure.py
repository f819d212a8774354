"""The figure of `xbar compare-devices`: accuracy over time, the ranking, and how pulses move the devices."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from devices.characterisation import Characterisation, PulseResponse

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, PALE, Look, device_looks
from ...support.durations import format_time
from ...support.statistics import mean_and_std
from .rows import Group, Row, aged_of, groups_of
from .table import NETWORK_NAMES

_Looks = Mapping[tuple[str, str], Look]


def draw_comparison(rows: Sequence[Row], sheets: Mapping[str, Characterisation], path: Path) -> None:
    """Draw accuracy over time and the ranking, a column for each network; and the pulse response of each device.

    Line and band: mean and standard deviation over all chips of all seeds. Hollow: extrapolated.

    Args:
        rows: The runs.
        sheets: The characterisation of each device.
        path: The PNG file.
    """
    networks = [network for network in NETWORK_NAMES if groups_of(rows, network)]
    names = list(dict.fromkeys((row.device, row.mode) for row in rows))
    looks = dict(zip(names, device_looks([device for device, _ in names]), strict=True))
    responses = {name: sheet.response for name, sheet in sheets.items() if sheet.response is not None}
    pulsed = [name for name, mode in names if mode == "in-situ" and name in responses]
    columns = max(2, len(networks))
    small_rows = -(-len(pulsed) // 4)
    bars = 0.24 * len(names) + 0.9
    heights = [3.4, bars, *([1.7] * small_rows)]
    figure = new_figure((5.2 * columns, sum(heights) + 0.5))
    grid = figure.add_gridspec(2 + small_rows, 4 * columns, height_ratios=heights)
    for column, network in enumerate(networks):
        groups = groups_of(rows, network)
        wide = slice(4 * column, 4 * column + 4)
        _draw_over_time(figure.add_subplot(grid[0, wide]), groups, looks, NETWORK_NAMES[network])
        _draw_ranking(figure.add_subplot(grid[1, wide]), groups, looks)
    for number, name in enumerate(pulsed):
        width = columns
        place = grid[2 + number // 4, width * (number % 4) : width * (number % 4) + width]
        _draw_response(figure.add_subplot(place), name, responses[name], looks[(name, "in-situ")][0])
    handles = {
        name: handle
        for axes in figure.axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(
            handles.values(), handles, loc="outside upper center", ncols=3, frameon=False, fontsize="small"
        )
    save_figure(figure, path)


def _draw_over_time(axes: Axes, groups: Sequence[Group], looks: _Looks, title: str) -> None:
    aging = [group for group in groups if group.times]
    for group in aging:
        color, marker = looks[(group.first.device, group.first.mode)]
        mean, low, high = [], [], []
        for time in group.times:
            values = [value for row in group.rows for value in row.chips[time]]
            middle, spread = mean_and_std(values)
            mean.append(middle)
            low.append(middle - (spread or 0.0))
            high.append(min(1.0, middle + (spread or 0.0)))
        axes.fill_between(group.times, low, high, color=color, alpha=0.15, lw=0)
        line = "--" if group.first.mode == "in-situ" else "-"
        axes.plot(group.times, mean, color=color, lw=1.6, ls=line)
        axes.plot([], [], marker=marker, color=color, lw=1.6, ls=line, ms=5, label=group.name)
        for time, value in zip(group.times, mean, strict=True):
            hollow = time in group.first.extrapolated
            axes.plot(time, value, marker, color=color, ms=5, mfc="white" if hollow else color)
    axes.set_xscale("log")
    times = sorted({time for group in aging for time in group.times})
    axes.xaxis.set_major_locator(FixedLocator(times))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([format_time(time) for time in times], fontsize="x-small", rotation=25, ha="right")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel("time since programming, or the end of training")
    axes.set_ylabel("test accuracy")
    axes.set_title(title, fontsize="medium", loc="left")
    strip(axes)


def _draw_ranking(axes: Axes, groups: Sequence[Group], looks: _Looks) -> None:
    time, aged = aged_of(groups)
    for place, group in enumerate(groups):
        color, marker = looks[(group.first.device, group.first.mode)]
        color = color if group.has_learned else GREY
        fresh, later = group.fresh(), group.at(time) if time is not None and group in aged else None
        if later is not None:
            axes.plot([fresh.value, later.value], [place, place], color=color, lw=1)
            axes.plot(later.value, place, "|", color=color, ms=9)
        axes.errorbar(fresh.value, place, xerr=fresh.std, fmt=marker, color=color, ms=5.5, capsize=2, lw=1)
    axes.set_yticks(range(len(groups)), [group.name for group in groups], fontsize="small")
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel("accuracy, fresh" + ("" if time is None else f"; |: after {format_time(time)}"))
    axes.grid(axis="x", color=PALE, lw=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_response(axes: Axes, name: str, response: PulseResponse, color: str) -> None:
    pulses, mean, spread = response.pulses.numpy(), response.mean.numpy(), response.device_std.numpy()
    axes.fill_between(pulses, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)
    axes.plot(pulses, mean, color=color, lw=1.4)
    axes.set_title(textwrap.fill(name, 18), fontsize="small", loc="left")
    axes.tick_params(labelsize="x-small")
    axes.set_xlabel("pulse", fontsize="x-small")
    axes.set_ylabel("weight", fontsize="x-small")
    axes.axhline(0, color=GREY, lw=0.5)
    strip(axes)
