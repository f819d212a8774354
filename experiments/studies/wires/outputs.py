"""The tables and the figure of `xbar wires`."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from devices.files import write_atomically

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import AMOUNT, GREY, SERIES
from ...drawing.sections import Section, Table, csv_of, markdown_of
from ...support.statistics import mean_and_std, percent
from .layouts import Layout
from .maps import VoltageMap
from .points import Point


def draw_and_write(
    points: Sequence[Point],
    maps: Sequence[VoltageMap],
    notes: Sequence[str],
    sample: dict[str, Any],
    folder: Path,
) -> None:
    """Write table and figure into a run's folder, and print the table and what was written."""
    sections = sections_of(points, notes, sample)
    text = markdown_of("", sections)
    csv_file, md_file, png_file = (folder / f"wires.{ending}" for ending in ("csv", "md", "png"))
    write_atomically(csv_file, csv_of(sections).encode())
    write_atomically(md_file, text.encode())
    _draw(points, maps, sample, png_file)
    print(f"\n{text}")
    print(f"numbers: {folder / 'wires.json'}, {csv_file}\ntable:   {md_file}\nfigure:  {png_file}")


def sections_of(points: Sequence[Point], notes: Sequence[str], sample: dict[str, Any]) -> list[Section]:
    """Return the table, accuracy and the layer whose outputs the wires move most, and all plain numbers."""
    text = (
        f"{sample['run']}: {sample['chips']} {sample['device']} chips right after programming, "
        f"{sample['test_images']} test images. Error: change of a layer's outputs by the wires, without noise (rms), "
        "of the layer that changes most."
    )
    header = [
        "arrays", "ohm per segment", "accuracy, exact", "accuracy, aihwkit's `ir_drop`", "error, exact",
        "error, aihwkit", "missed by aihwkit", "layer",
    ]  # fmt: skip
    rows = []
    for point in points:
        cells = [str(_layout(point)), f"{point.ohm:g}", percent(point.exact)]
        if point.errors:
            worst = max(point.errors, key=lambda name: point.errors[name].exact)
            error = point.errors[worst]
            parts = map(_part, (error.exact, error.aihwkit, error.missed))
            cells += [percent(point.aihwkit), *parts, worst]
        rows.append(cells + [""] * (len(header) - len(cells)))
    table = Table(header=header, rows=rows, align="l" * len(header))
    return [Section(text=(text,), table=table, records=list(_records(points))), Section(text=notes)]


def _layout(point: Point) -> Layout:
    return Layout(point.layout, point.tile_size)


def _part(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 1 else f"{100 * value:.0f} %"


def _records(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    """Return a line for each chip, and one for each layer."""
    for point in points:
        place = {"layout": point.layout, "tile_size": point.tile_size, "ohm": point.ohm, "chip": ""}
        for chip, (exact, aihwkit) in enumerate(zip(point.exact, point.aihwkit, strict=True)):
            yield place | {"chip": chip, "accuracy_exact": exact, "accuracy_aihwkit": aihwkit}
        for layer, error in point.errors.items():
            found = {"error_exact": error.exact, "error_aihwkit": error.aihwkit, "missed": error.missed}
            yield place | {"layer": layer, **found}


def _draw(points: Sequence[Point], maps: Sequence[VoltageMap], sample: dict[str, Any], path: Path) -> None:
    figure = new_figure((11, 7.4 if maps else 4.2))
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1)) if maps else [figure]
    accuracy, error, missed = halves[0].subplots(1, 3)
    layouts = list(dict.fromkeys(_layout(point) for point in points))
    for layout, color in zip(layouts, SERIES * len(layouts), strict=False):
        mine = [point for point in points if _layout(point) == layout]
        ideal = statistics.fmean(mine[0].exact)
        wired = [point for point in mine if point.errors]
        ohms = [point.ohm for point in wired]
        _band(accuracy, ohms, [point.exact for point in wired], color, str(layout), "-")
        _band(accuracy, ohms, [point.aihwkit for point in wired], color, None, ":")
        accuracy.plot(ohms[0] / 2, ideal, marker="<", color=color, ms=6, clip_on=False)
        for axes, name, style in ((error, "exact", "-"), (error, "aihwkit", ":"), (missed, "missed", "-")):
            worst = [max(point.errors.values(), key=lambda e: e.exact) for point in wired]
            axes.plot(ohms, [getattr(e, name) for e in worst], style, color=color, lw=1.8, marker="o", ms=4)
    for axes, title in (
        (accuracy, "accuracy (◂ ideal wires)"),
        (error, "error of the layer that changes most"),
        (missed, "part of that error which `ir_drop` misses"),
    ):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("ohm per wire segment")
        axes.set_title(title, loc="left", fontsize="medium")
        if axes is not accuracy:  # aihwkit's polynomial leaves every linear scale
            axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        strip(axes)
    missed.axhline(1, color=GREY, lw=1, ls=(0, (5, 3)))
    missed.annotate(
        "as bad as no model of wires", (0.02, 1.06), xycoords=("axes fraction", "data"), fontsize="small"
    )
    missed.set_ylim(min(0.1, missed.get_ylim()[0]), max(2.0, missed.get_ylim()[1]))
    legend = accuracy.legend(
        frameon=False, fontsize="small", loc="lower left", title="solid: exact; dotted: aihwkit"
    )
    legend.get_title().set_fontsize(8)
    figure.suptitle(
        f"{sample['run']}, {sample['chips']} {sample['device']} chips, {sample['test_images']} test images",
        x=0.01,
        ha="left",
        fontsize="large",
    )
    if maps:
        _draw_maps(halves[1], maps)
    save_figure(figure, path)


def _band(
    axes: Axes,
    ohms: Sequence[float],
    chips: Sequence[Sequence[float]],
    color: str,
    label: str | None,
    style: str,
) -> None:
    means = [statistics.fmean(values) for values in chips]
    spreads = [mean_and_std(values)[1] or 0.0 for values in chips]
    axes.plot(ohms, means, style, color=color, lw=1.8, marker="o", ms=4, label=label)
    low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
    high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
    axes.fill_between(ohms, low, high, color=color, alpha=0.15, lw=0)


def _draw_maps(figure: Any, maps: Sequence[VoltageMap]) -> None:
    """Draw the arrays one beside the other, on one scale of colours."""
    axes_of_maps = figure.subplots(1, len(maps), squeeze=False)[0]
    lowest = min(float(one.voltage.min()) for one in maps)
    image = None
    for axes, one in zip(axes_of_maps, maps, strict=True):
        image = axes.imshow(
            one.voltage.numpy(), vmin=lowest, vmax=1.0, cmap=AMOUNT, aspect="auto", interpolation="nearest"
        )
        bits, words = one.voltage.shape
        name = f"{one.layer}, unrolled" if one.is_unrolled else one.layer
        axes.set_title(
            f"{name}\n{bits} x {words}\nleast {100 * float(one.voltage.min()):.3g} %", fontsize="small"
        )
        axes.tick_params(labelsize="x-small")
    axes_of_maps[0].set_ylabel("bit line (driven at the top)", fontsize="small")
    figure.supxlabel("word line (sensed at the right)", fontsize="small")
    if image is not None:
        bar = figure.colorbar(
            image, ax=list(axes_of_maps), shrink=0.9, format=PercentFormatter(1.0, symbol=" %")
        )
        bar.set_label(f"voltage across the device, {maps[0].ohm:g} ohm", fontsize="small")
