"""The figure of `xbar bench`, drawn from its measurements."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..drawing.figures import save_figure
from ..drawing.output.figure_page import new_figure
from ..drawing.palette import BLUE, GREEN, GREY, PALE, VERMILION
from .growth import BATCH_SIZE, IN_SIZE, OUT_SIZE, GrowthPoint
from .speed import TOGETHER, Comparison
from .step import STEP_DEVICE, StepComparison
from .update import UpdateComparison

NAMES: Final = {
    "aihwkit_loop": "aihwkit loop",
    "ours": "ours",
    "exact": "ours, exact",
    "digital": "digital",
}
WORK_NAMES: Final = {
    "training_step": "training step",
    "training_step_adam": "training step, Adam",
    "training_forward": "forward, training",
    "evaluation_forward": "forward, evaluation",
}

_STYLES: Final = {
    "aihwkit_loop": (VERMILION, "s"),
    "ours": (BLUE, "o"),
    "exact": (GREEN, "^"),
    "digital": (GREY, "D"),
}
_Timed = TypeVar("_Timed", Comparison, UpdateComparison, StepComparison)


def draw_bench(comparisons: Sequence[Comparison], growth: Sequence[GrowthPoint], path: Path) -> None:
    """Draw times and the cost per tile on logarithmic axes.

    Dots: medians. Bars: quartiles. Above, the largest batch; the ratio beside a row is loop / ours.

    Args:
        comparisons: Measured speeds; may be empty.
        growth: Measured costs of more tiles; may be empty.
        path: The PNG file.
    """
    rows = [bool(comparisons), bool(growth)]
    figure = new_figure((12.5, 4.5 * sum(rows)))
    axes = iter(figure.subplots(sum(rows), 2, squeeze=False).flat)
    if comparisons:
        _draw_speeds(next(axes), next(axes), comparisons)
    if growth:
        _draw_pass_times(next(axes), growth)
        _draw_memory(next(axes), growth)
    save_figure(figure, path)


def draw_learning(
    updates: Sequence[UpdateComparison], steps: Sequence[StepComparison], network: str, path: Path
) -> None:
    """Draw the times of updates and of whole training steps in situ on logarithmic axes.

    Dots: medians. Bars: quartiles. The ratio beside a row is loop / ours.

    Args:
        updates: Measured updates.
        steps: Measured training steps.
        network: Name of the network.
        path: The PNG file.
    """
    panels = [bool(updates), bool(steps)]
    figure = new_figure((6.25 * sum(panels), 5.5))
    axes = iter(figure.subplots(1, sum(panels), squeeze=False).flat)
    if updates:
        _draw_times(
            next(axes),
            updates,
            lambda c: f"{c.rule}, {c.gradients}",
            f"update alone, {network}, batch {updates[0].batch_size}",
            lambda c: c.gradients == "dense",
        )
    if steps:
        _draw_times(
            next(axes),
            steps,
            lambda c: f"step {c.step}",
            f"training step, {network}, {STEP_DEVICE}",
            lambda c: False,
        )
    save_figure(figure, path)


def _draw_speeds(left: Axes, right: Axes, comparisons: Sequence[Comparison]) -> None:
    batch_size = max(c.batch_size for c in comparisons)
    largest = [c for c in comparisons if c.batch_size == batch_size]
    first = largest[0].configuration
    _draw_times(
        left,
        [c for c in largest if c.configuration == first],
        lambda c: f"{'all layers' if c.layers == TOGETHER else c.layers}: {WORK_NAMES[c.work]}",
        f"{first}, batch {batch_size}",
        lambda c: c.work == "training_step",
    )
    _draw_times(
        right,
        [c for c in largest if c.layers == TOGETHER],
        lambda c: f"{c.configuration.removesuffix('TrainingPreset')}\n{WORK_NAMES[c.work]}",
        f"all local layers together, batch {batch_size}",
        lambda c: c.work == "training_step",
    )


def _draw_times(
    axes: Axes,
    comparisons: Sequence[_Timed],
    label: Callable[[_Timed], str],
    title: str,
    begins_group: Callable[[_Timed], bool],
) -> None:
    rows = range(len(comparisons))
    for contestant, (color, marker) in _STYLES.items():
        if contestant not in comparisons[0].seconds:
            continue
        spreads = [c.seconds[contestant] for c in comparisons]
        medians = [1e3 * spread.median for spread in spreads]
        axes.hlines(
            list(rows),
            [1e3 * spread.quartiles[0] for spread in spreads],
            [1e3 * spread.quartiles[1] for spread in spreads],
            color=color,
            linewidth=2.5,
            alpha=0.5,
        )
        axes.plot(medians, rows, marker, color=color, markersize=7, label=NAMES[contestant])
    for row, comparison in enumerate(comparisons):
        ratio = f"{comparison.loop_over_ours.median:.1f}x"
        axes.annotate(
            ratio, (1.02, row), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
        if begins_group(comparison) and row > 0:
            axes.axhline(row - 0.5, color=PALE, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_ylim(len(comparisons) - 0.5, -0.5)
    axes.set_yticks(list(rows), [label(c) for c in comparisons])
    axes.annotate("loop /\nours", (1.02, 1.01), xycoords="axes fraction", va="bottom", annotation_clip=False)
    _finish(axes, axes.xaxis, "time in ms", title)


def _draw_pass_times(axes: Axes, growth: Sequence[GrowthPoint]) -> None:
    for contestant, points in _by_contestant(growth).items():
        color, marker = _STYLES[contestant]
        tiles = [point.tiles for point in points]
        passes = [1e6 * point.pass_seconds / point.tiles for point in points]
        building = [1e6 * point.construction_seconds / point.tiles for point in points]
        name = NAMES[contestant]
        axes.plot(tiles, passes, marker + "-", color=color, label=f"{name}: forward and backward")
        axes.plot(
            tiles, building, marker + ":", color=color, markerfacecolor="white", label=f"{name}: construction"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"tiles of {OUT_SIZE} x {IN_SIZE}")
    _finish(axes, axes.yaxis, "time per tile in µs", f"time as tiles grow, batch {BATCH_SIZE}")


def _draw_memory(axes: Axes, growth: Sequence[GrowthPoint]) -> None:
    for contestant, points in _by_contestant(growth).items():
        color, marker = _STYLES[contestant]
        for field, line, face, what in (
            ("peak_bytes", "-", color, "peak of forward and backward"),
            ("resident_bytes", ":", "white", "after construction"),
        ):
            # A handful of tiles fits into the pages that the process had before: less than the weights is no reading.
            known = [
                (p.tiles, getattr(p, field)) for p in points if (getattr(p, field) or 0) >= p.weight_bytes
            ]
            if known:
                axes.plot(
                    [tiles for tiles, _ in known],
                    [size / tiles / 1024 for tiles, size in known],
                    marker + line,
                    color=color,
                    markerfacecolor=face,
                    label=f"{NAMES[contestant]}: {what}",
                )
    point = growth[0]
    kibibytes = point.weight_bytes / point.tiles / 1024
    axes.axhline(kibibytes, color=GREY, linestyle="--", linewidth=1.2, label="the weights alone")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"tiles of {OUT_SIZE} x {IN_SIZE}")
    _finish(axes, axes.yaxis, "resident memory per tile in KiB", "memory as tiles grow")


def _by_contestant(growth: Sequence[GrowthPoint]) -> dict[str, list[GrowthPoint]]:
    return {name: points for name in _STYLES if (points := [p for p in growth if p.contestant == name])}


def _finish(axes: Axes, axis: object, quantity: str, title: str) -> None:
    if axis is axes.xaxis:
        axes.set_xlabel(quantity)
    else:
        axes.set_ylabel(quantity)
    for log_axis in (axes.xaxis, axes.yaxis):
        if log_axis.get_scale() == "log":
            log_axis.set_major_locator(LogLocator(10))
            log_axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            log_axis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", linewidth=0.5, alpha=0.5)
    axes.set_title(title, fontsize="large", loc="left")
    # Beneath, as there is no corner that some measurement does not reach.
    columns = 3 if axis is axes.xaxis else 2
    axes.legend(
        fontsize="small", ncols=columns, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13)
    )
