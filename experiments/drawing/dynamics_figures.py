"""Figures of what was recorded while a network learned in situ: over the training, and over the image plane."""

import math
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..runs.watching.record import OF_THE_UPDATE, Column, Record
from .figures import save_figure, strip
from .output.figure_page import new_figure
from .palette import AMOUNT, GREY, SERIES

_STYLES: Final = ("-", (0, (4, 1.5)), (0, (1, 1)), "-.")
# Each panel: quantity, title, label of the axis.
_PANELS: Final = (
    ("cosine", "Direction of the update", "cosine to the ideal update"),
    ("gain", "Size of the update", "gain against the ideal update"),
    ("signal_to_noise", "Update signal-to-noise", "wanted / error, as powers"),
    ("symmetry_distance", "Distance from symmetry points", "rms, device units"),
    ("at_bound", "Devices at a bound", "fraction of devices"),
    ("weight_norm", "Weight norm of a tile", "device units"),
    ("weight_spread", "Weight spread in a tile", "std, device units"),
)
# A map whose largest value exceeds the smallest by more than this is drawn on a logarithmic scale.
_WIDE_SPAN: Final = 30.0


def draw_dynamics(record: Record, title: str, path: Path) -> None:
    """Draw every recorded quantity over the training, one line for each layer.

    Quantities of an update scatter from step to step: the thin line is what was recorded, the thick one a running
    median. Pulses are drawn for each role that devices have in the algorithm.

    Args:
        record: What was recorded.
        title: Which run it is.
        path: The PNG file.
    """
    extra = [
        draw
        for quantity, draw in (("copies_rms", _draw_copies), ("weight_snr", _draw_weight_snr))
        if record.layers_with(quantity)
    ]
    rows = 3 if not extra else 4
    figure = new_figure((12.5, 8.6 * rows / 3))
    grid = figure.subplots(rows, 3)
    colors = dict(zip(record.layers, SERIES * math.ceil(len(record.layers) / len(SERIES)), strict=False))
    for axes, (quantity, name, unit) in zip(grid.flat, _PANELS, strict=False):
        thick = []
        for layer, color in colors.items():
            values = record.of_layer(layer, quantity)
            if quantity in OF_THE_UPDATE:
                axes.plot(record.steps, values, color=color, linewidth=0.6, alpha=0.35)
                values = _running_median(values)
            thick.append(values)
            axes.plot(record.steps, values, color=color, linewidth=1.8, label=layer)
        _finish(axes, name, unit, record)
        if quantity == "gain":
            # Where hardly anything is wanted, the ratio can be anything; it must not set the scale.
            _limit(axes, np.concatenate(thick))
        if all(np.isnan(record.of_layer(layer, quantity)).all() for layer in colors):
            axes.text(
                0.5, 0.5, "not defined for these devices", transform=axes.transAxes, color=GREY, ha="center"
            )
    grid.flat[4].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    grid.flat[4].set_ylim(bottom=0)
    if np.nanmin([np.nanmin(record.of_layer(layer, "signal_to_noise")) for layer in colors]) > 0:
        grid.flat[2].set_yscale("log")
    _draw_pulses(grid.flat[7], record, colors)
    _draw_histogram(grid.flat[8], record, colors)
    for axes, draw in zip_longest(grid.flat[9:], extra):
        if draw is None:
            axes.remove()
        else:
            draw(axes, record, colors)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    save_figure(figure, path)


def draw_pulse_maps(record: Record, title: str, path: Path) -> None:
    """Draw the pulses that devices have received as a map over the image plane, for each local layer.

    A location's colour is the mean over the devices of the tile that serves it, since the start of the training.
    One row for each role that devices have in the algorithm. Nothing is drawn, and an older figure is removed, if no
    layer has a map.

    Args:
        record: What was recorded.
        title: Which run it is.
        path: The PNG file.
    """
    found = [
        (layer, role, record.on_map(layer, f"{role}/pulses_mean"))
        for layer in record.layers
        for role in record.roles(layer)
    ]
    maps = {(layer, role): pulses for layer, role, pulses in found if pulses is not None}
    if not maps:
        path.unlink(missing_ok=True)
        return
    layers, roles = (list(dict.fromkeys(names)) for names in zip(*maps, strict=True))
    figure = new_figure((1.2 + 3.7 * len(layers), 0.9 + 3.5 * len(roles)))
    grid = figure.subplots(len(roles), len(layers), squeeze=False)
    for row, role in zip(grid, roles, strict=True):
        for axes, layer in zip(row, layers, strict=True):
            pulses = maps[layer, role]
            image = axes.imshow(pulses, cmap=AMOUNT, norm=_scale_of(pulses), interpolation="nearest")
            bar = figure.colorbar(image, ax=axes, shrink=0.85)
            bar.set_label("pulses per device", fontsize="medium")
            bar.outline.set_visible(False)
            height, width = pulses.shape
            tiles = len(np.unique(record.columns[f"{layer}/tile_of_location"]))
            what = f"{layer}: {height} x {width} locations, {tiles} {'tile' if tiles == 1 else 'tiles'}"
            axes.set_title(
                what + ("" if role == "main" else f"\n{role} devices"), loc="left", fontsize="medium"
            )
            axes.set_xlabel("column of the image plane", fontsize="medium")
            axes.set_ylabel("row", fontsize="medium")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    last = int(record.steps[-1]) + 1
    figure.suptitle(f"{title}: pulses per device in {last} steps", x=0.01, ha="left", fontsize="large")
    save_figure(figure, path)


def _draw_pulses(axes: Axes, record: Record, colors: dict[str, str]) -> None:
    """Draw the pulses of a mean device, and of the one that received most."""
    for layer, color in colors.items():
        for role, style in zip(record.roles(layer), _STYLES, strict=False):
            mean = record.of_layer(layer, f"{role}/pulses_mean")
            most = record.columns[f"{layer}/{role}/pulses_max"].max(axis=1)
            axes.plot(record.steps, mean, color=color, linewidth=1.8, linestyle=style)
            axes.plot(record.steps, most, color=color, linewidth=0.8, linestyle=style, alpha=0.6)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    _finish(axes, "Pulses since the start", "pulses (thin: most of all)", record)
    _name_roles(axes, record)


def _draw_copies(axes: Axes, record: Record, colors: dict[str, str]) -> None:
    """Draw how far the copies of a kernel are from their mean, and the one weight that is farthest."""
    for layer in record.layers_with("copies_rms"):
        axes.plot(record.steps, record.of_layer(layer, "copies_rms"), color=colors[layer], linewidth=1.8)
        most = record.of_layer(layer, "copies_largest")
        axes.plot(record.steps, most, color=colors[layer], linewidth=0.8, alpha=0.6)
    _scale_positive(axes)
    _finish(axes, "Difference of copies", "rms / rms weight (thin: largest)", record)


def _draw_weight_snr(axes: Axes, record: Record, colors: dict[str, str]) -> None:
    """Draw how equal the kernels of all locations are."""
    infinite = []
    for layer in record.layers_with("weight_snr"):
        values = record.of_layer(layer, "weight_snr")
        axes.plot(record.steps, values, color=colors[layer], linewidth=1.8)
        if np.isnan(values).all():
            infinite.append(layer)
    if infinite:
        # One weight that is the same everywhere is enough, for example behind a pixel that is always dark.
        text = f"{', '.join(infinite)}: infinite, as some weights are equal everywhere"
        axes.text(0.5, 0.02, text, transform=axes.transAxes, color=GREY, ha="center", fontsize="small")
    _scale_positive(axes)
    _finish(axes, "Weight signal-to-noise over locations", "mean² / variance", record)


def _scale_positive(axes: Axes) -> None:
    """Use a logarithmic scale if there is anything to show on it."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if (values > 0).any():
        axes.set_yscale("log")


def _draw_histogram(axes: Axes, record: Record, colors: dict[str, str]) -> None:
    """Draw how many devices received how many pulses, at the end, in bins that double in width."""
    top = 1
    for layer, color in colors.items():
        for role, style in zip(record.roles(layer), _STYLES, strict=False):
            counts = record.columns[f"{layer}/{role}/pulses_histogram"][-1]
            top = max(top, int(np.flatnonzero(counts).max(initial=0)))
            fractions = counts / counts.sum()
            axes.stairs(
                fractions, np.arange(len(counts) + 1) - 0.5, color=color, linewidth=1.6, linestyle=style
            )
    axes.set_xlim(-0.5, top + 0.5)
    ticks = np.unique(np.linspace(0, top, min(top + 1, 7)).round().astype(int))
    axes.set_xticks(ticks, [_short(int(record.columns["pulse_bins"][tick])) for tick in ticks])
    axes.set_xlabel("pulses (each bin: from here to the double)")
    axes.set_ylabel("fraction of devices")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_title("Pulses per device at the end", loc="left", fontsize="large")
    _name_roles(axes, record)
    strip(axes)


def _limit(axes: Axes, values: Column) -> None:
    """Let an axis show zero, and nearly all of some values, but not the most extreme ones."""
    known = values[np.isfinite(values)]
    if len(known):
        low, high = np.quantile(known, [0.05, 0.95])
        margin = 0.15 * max(high - low, high, 1e-3)
        axes.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)


def _name_roles(axes: Axes, record: Record) -> None:
    roles = record.roles(record.layers[0])
    if len(roles) > 1:
        for role, style in zip(roles, _STYLES, strict=False):
            axes.plot([], [], color=GREY, linestyle=style, label=f"{role} devices")
        axes.legend(frameon=False, fontsize="small")


def _finish(axes: Axes, name: str, unit: str, record: Record) -> None:
    axes.set_title(name, loc="left", fontsize="large")
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.set_xlim(0, max(int(record.steps[-1]), 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    strip(axes)


def _running_median(values: Column) -> Column:
    """Return medians over windows of a twentieth of the rows, NaN left out; shorter ones at the ends."""
    half = len(values) // 40
    windows = [values[max(i - half, 0) : i + half + 1] for i in range(len(values))]
    return np.array([np.median(w[np.isfinite(w)]) if np.isfinite(w).any() else np.nan for w in windows])


def _scale_of(values: Column) -> Normalize:
    """Return a colour scale from the smallest to the largest value; logarithmic if they are far apart."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > _WIDE_SPAN:
        return LogNorm(low, high)
    return Normalize(0.0 if low < 0.5 * high else low, high if high > 0 else 1.0)


def _short(count: int) -> str:
    """Write a count in few letters: 512, 1k, 33k, 1M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.0f}{letter}"
    return str(count)
