"""The figures of a run, drawn from its result and its log; nothing is computed anew."""

import io
from pathlib import Path
from typing import Final

from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from devices.files import write_atomically
from devices.units import Seconds

from ..data.chance import mark
from ..data.objective_names import METRIC_NAMES, Metric
from ..runs.result import Result
from ..support.durations import format_time
from ..support.figure_formats import figure_formats
from .output.figure_numbers import figure_csv
from .output.figure_page import fit_to_page, new_figure
from .palette import BLUE, COMPENSATIONS, GREY, PALE, VERMILION
from .run_tables import COMPENSATION_NAMES, TRAINED

# The same figure gives the same file.
_UNDATED: Final = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def draw_accuracy_over_time(result: Result, path: Path) -> None:
    """Draw accuracy against time since programming, with and without compensation.

    Line: mean over the chips. Band: plus and minus one standard deviation. Small points: the single chips. Hollow:
    extrapolated beyond the times that were measured.

    Args:
        result: With at least one time.
        path: The PNG file.
    """
    figure = new_figure((7.2, 4.5))
    axes = figure.subplots()
    axes.axhline(result.digital_accuracy, color=GREY, linestyle=(0, (5, 3)), linewidth=1.4, zorder=1)
    lowest = result.digital_accuracy
    ends = [(result.digital_accuracy, "digital, same weights", GREY)]
    for name, chips in result.accuracy.items():
        color, marker = COMPENSATIONS[name], "s" if name == "none" else "o"
        rows = result.mean_and_std(name)
        means = [mean for mean, _ in rows]
        spreads = [std or 0.0 for _, std in rows]
        low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
        high = [min(mean + spread, 1.0) for mean, spread in zip(means, spreads, strict=True)]
        axes.fill_between(result.times, low, high, color=color, alpha=0.18, lw=0, zorder=2)
        for chip in chips:
            axes.plot(result.times, chip, ".", color=color, alpha=0.45, ms=4, mew=0, zorder=3)
        axes.plot(result.times, means, color=color, marker=marker, markersize=6, linewidth=2, zorder=4)
        hollow = [mean for time, mean in zip(result.times, means, strict=True) if time in result.extrapolated]
        axes.plot(
            result.extrapolated, hollow, color=color, marker=marker, mfc="white", ms=6, linestyle="", zorder=5
        )
        ends.append((means[-1], COMPENSATION_NAMES[name], color))
        lowest = min(lowest, *low, *(value for chip in chips for value in chip))
    axes.set_xscale("log")
    highest = max(max(chip) for chips in result.accuracy.values() for chip in chips)
    highest = max(highest, result.digital_accuracy)
    axes.set_ylim(
        max(-1.0 if result.metric == "r2" else 0.0, lowest - 0.05 * (1.02 - lowest) - 0.005), highest + 0.02
    )
    label_times(axes, result.times)
    _label_ends(axes, ends)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    in_situ = result.mode == "in-situ"
    axes.set_xlabel("time since the end of training" if in_situ else "time since programming")
    axes.set_ylabel(f"test {METRIC_NAMES[result.metric]}")
    number = len(next(iter(result.accuracy.values())))
    one, many = ("reading", "readings of one chip") if in_situ else ("chip", "chips")
    how = f"{TRAINED[result.mode]}, on {result.device}{mark([result.did_learn])}"
    axes.set_title(
        f"{result.model} ({result.placement}), {how}\n",
        loc="left",
        fontsize="large",
    )
    axes.text(
        0.0,
        1.025,
        (
            f"line: mean of {number} {many}; band: ± one standard deviation; points: the {one}s"
            if number > 1
            else f"one {one}"
        )
        + ("; hollow: extrapolated" if result.extrapolated else ""),
        transform=axes.transAxes,
        color=GREY,
        fontsize="medium",
    )
    strip(axes)
    save_figure(figure, path)


def draw_learning_curve(
    history: list[dict[str, float]], title: str, path: Path, metric: Metric = "accuracy"
) -> None:
    """Draw loss and accuracy of training and validation against epochs.

    Args:
        history: The run's log.
        title: Which run it is.
        path: The PNG file.
        metric: What stands for the accuracy.
    """
    figure = new_figure((8.4, 3.6))
    epochs = [record["epoch"] for record in history]
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for prefix, name, color in (("", "training", VERMILION), ("validation_", "validation", BLUE)):
            values = [record[prefix + key] for record in history]
            axes.plot(
                epochs,
                values,
                color=color,
                marker="o" if len(epochs) <= 20 else "",
                markersize=4,
                linewidth=1.8,
                label=name,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(METRIC_NAMES[metric] if key == "accuracy" else key)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if key == "loss":
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        else:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.legend(frameon=False)
        strip(axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    save_figure(figure, path)


def label_times(axes: Axes, times: tuple[Seconds, ...]) -> None:
    """Put a tick at every measured time; names that would overlap are thinned out."""
    span = max(times[-1] / times[0], 10.0)
    shown = [times[0]]
    for time in times[1:]:
        if (time / shown[-1]) >= span**0.07:
            shown.append(time)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [format_time(time) for time in shown])


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each line at its right end, which is easier to read than a legend, and keep the names apart."""
    low, high = axes.get_ylim()
    gap = 0.06 * (high - low)
    y = float("inf")
    for value, name, color in sorted(ends, reverse=True):
        y = min(value, y - gap)
        axes.annotate(
            name, (1.0, y), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            color=color, va="center", annotation_clip=False,
        )  # fmt: skip


def strip(axes: Axes) -> None:
    """Leave of an axes' frame what is read: two sides, and pale lines at the ticks."""
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and in what further formats were asked for, each file whole or not at all.

    Args:
        figure: What was drawn.
        path: The PNG file; others stand beside it, the numbers that are drawn as NAME_figure.csv.
    """
    fit_to_page(figure)
    with rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "pdf.fonttype": 42}):
        for ending in ("png", *figure_formats()):
            if ending == "csv":
                write_atomically(path.with_name(f"{path.stem}_figure.csv"), figure_csv(figure).encode())
                continue
            content = io.BytesIO()
            figure.savefig(content, format=ending, dpi=rcParams["savefig.dpi"], metadata=_UNDATED.get(ending))
            write_atomically(path.with_suffix(f".{ending}"), content.getvalue())
