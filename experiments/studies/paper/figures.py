"""The figures of `xbar paper`: one for each question and one of all scores, with the paper's published values."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from devices.units import Dimensionless

from ...data.augmentation import PLAIN, VALIDATIONS
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import AMOUNT, BLACK, GREEN, GREY, device_look, scheme_color
from ...runs.options.config import NO_DEVICE
from ...support.statistics import Mean
from .answers import YEAR, title_of
from .points import NETWORKS, Setting
from .published import DISTANCES, EPOCHS, VCP, published_scores
from .rows import LAYER, Row, Rows, Value, distance_of, score_of

_MARKERS: Final = "os^Dv<"
_PUBLISHED: Final = f"crosses: Ott et al. (2020), floating point, up to {EPOCHS} epochs"
# Of the next network's markers, in strengths: they would hide each other.
_ASIDE: Final[Dimensionless] = 0.004
_MARGIN: Final[Dimensionless] = 0.02
_NAMES: Final = {"fcn": "FCN: a kernel for each location", "cnn": "CNN: one kernel"}


def draw_overfitting(rows: Rows, is_papers_data: bool, path: Path) -> None:
    """Question 1: accuracy on images trained on and on others, and by how much they differ, against the strength."""

    def accuracy(axes: Axes, setting: Setting) -> None:
        for network in rows.networks():
            _line(axes, rows, setting, network, lambda row: row.fit["validation"], "-", _name_of(network))
            _line(axes, rows, setting, network, lambda row: row.fit["training"], ":", None)
            if is_papers_data and network in NETWORKS:
                _crosses(
                    axes,
                    published_scores()[network, PLAIN],
                    _look_of(network, rows)[0],
                    rows.strengths(setting),
                )
        _percent_axis(axes)

    def gap(axes: Axes, setting: Setting) -> None:
        for network in rows.networks():
            _line(axes, rows, setting, network, Row.gap, "-", _name_of(network))
        _level(axes, 0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
        strip(axes)

    drawn = {"accuracy": accuracy, "training less\nvalidation, points": gap}
    _panels(rows, drawn, "solid: validation; dotted, hollow: training", is_papers_data, path)


def draw_translation(rows: Rows, is_papers_data: bool, path: Path) -> None:
    """Question 2: accuracy on shifted validation images, against the strength of the augmentation."""

    def draw(axes: Axes, setting: Setting) -> None:
        for network in rows.networks():
            _line(axes, rows, setting, network, score_of("translation"), "-", _name_of(network))
            _line(axes, rows, setting, network, score_of("translation", YEAR), "--", None)
            if is_papers_data and network in NETWORKS:
                published = published_scores()[network, "translation"]
                _crosses(axes, published, _look_of(network, rows)[0], rows.strengths(setting))
        _percent_axis(axes)

    _panels(rows, {"accuracy on shifted images": draw}, "dashed, hollow: a year later", is_papers_data, path)


def draw_price(rows: Rows, is_papers_data: bool, path: Path) -> None:
    """Question 3: accuracy against epochs, against the energy of training on the chip, and against absent inputs."""
    settings = [setting for setting in rows.settings() if not setting.is_control]
    common = sorted(set.intersection(*(set(rows.strengths(setting)) for setting in settings)))
    in_situ = [setting for setting in settings if setting.mode == "in-situ"]
    with_vcp = [setting for setting in settings if rows.vcps(setting)]
    below = len(in_situ) + 2 * bool(with_vcp)  # one for its legend
    columns = max(len(settings), below)
    figure = new_figure((3.2 * columns, 3.3 * (1 + bool(below))))
    grid = figure.subplots(1 + bool(below), columns, sharey=True, squeeze=False)
    for axes, setting in zip(grid[0], settings, strict=False):
        _curves(axes, rows, setting, common, lambda row: [float(entry["epoch"]) for entry in row.history])
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(str(setting), loc="left", fontsize="medium")
    for axes, setting in zip(grid[-1], in_situ, strict=False):
        _curves(axes, rows, setting, common, _joules)
        axes.set_xlabel("energy of the training on the chip, J")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_title(f"{setting}, by energy", loc="left", fontsize="medium")
    if with_vcp:
        place, beside = grid[-1][len(in_situ) : len(in_situ) + 2]
        _draw_absent(place, beside, rows, with_vcp, is_papers_data)
    for axes in grid.flat:
        if axes.has_data():
            _percent_axis(axes)
        else:
            axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("validation accuracy")
    if not all(row.did_learn for row in rows.rows):
        figure.supxlabel("dotted or ringed: did not learn; not drawn by energy", fontsize="small", color=GREY)
    for axes in grid[0][: 1 if common else len(settings)]:
        axes.legend(frameon=False, fontsize="small")
    save_figure(figure, path)


def _draw_absent(
    axes: Axes, beside: Axes, rows: Rows, settings: Sequence[Setting], is_papers_data: bool
) -> None:
    for number, setting in enumerate(settings):
        means = [
            (vcp, rows.mean(score_of(PLAIN), setting, "fcn", strength, vcp))
            for strength, vcp in rows.vcps(setting)
        ]
        known = [(vcp, mean.value, mean.std or 0.0) for vcp, mean in means if mean is not None]
        axes.errorbar(
            [vcp for vcp, *_ in known], [value for _, value, _ in known], yerr=[std for *_, std in known],
            color=GREY if setting.device == NO_DEVICE else device_look(setting.device).color,
            marker="os^Dv"[number % 5], ms=4.5, lw=1.6, capsize=2, label=str(setting),
        )  # fmt: skip
        marks = {vcp: rows.mark(setting, "fcn", strength, vcp) for strength, vcp in rows.vcps(setting)}
        _ring(axes, [(vcp, value) for vcp, value, _ in known if marks[vcp]])
    if is_papers_data:
        axes.plot(list(VCP), list(VCP.values()), "x", color=BLACK, ms=8, mew=2, label="published (digital)")
    axes.set_xlabel("share of inputs that are absent, FCN")
    axes.set_title("absent inputs", loc="left", fontsize="medium")
    beside.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize="small", loc="center left")


def draw_emergence(rows: Rows, is_papers_data: bool, path: Path) -> None:
    """Question 4: distance between neighbouring kernels, and how they turned: by strength, by epoch."""
    settings = rows.settings()
    figure = new_figure((1.2 + 2.7 * len(settings), 9))
    grid = figure.subplots(3, len(settings), sharey="row", squeeze=False)
    everywhere = sorted({strength for setting in settings for strength in rows.strengths(setting)})
    shades = dict(
        zip(everywhere, colormaps[f"{AMOUNT}_r"](np.linspace(0.15, 1, len(everywhere))), strict=True)
    )
    for (upper, lower, during), setting in zip(grid.T, settings, strict=True):
        whole = rows.select(setting, "fcn", rows.strengths(setting)[0])
        start = Mean.of([row.start[LAYER]["euclidean 1"] for row in whole])
        if start is not None:
            _level(upper, start.value, "at first")
        _line(upper, rows, setting, "fcn", distance_of(), "-", "trained")
        _line(upper, rows, setting, "fcn", distance_of(time=YEAR), "--", "chips a year later")
        right_angles = distance_of("orthogonal 1")
        _line(upper, rows, setting, "fcn", right_angles, ":", "as long, at right angles", GREY)
        if is_papers_data:
            _crosses(upper, DISTANCES, _look_of("fcn", rows)[0], rows.strengths(setting))
        _level(lower, 0)
        _line(lower, rows, setting, "fcn", Row.turned, "-", "trained", GREEN)
        _line(lower, rows, setting, "fcn", lambda row: row.turned(YEAR), "--", "chips a year later", GREEN)
        upper.set_title(str(setting), loc="left", fontsize="medium")
        _turning(during, rows, setting, shades)
        for axes in (upper, lower):
            axes.set_xlabel(f"strength of the {rows.what}")
            _ticks_at_strengths(axes, rows, setting)
            strip(axes)
    turned = "change of the cosine distance"
    for row, ylabel in zip(grid, ("Euclidean distance", turned, turned), strict=True):
        row[0].set_ylabel(f"{ylabel} of\nneighbouring kernels of the first layer", fontsize="medium")
        handles = {
            name: handle
            for axes in row
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        row[0].legend(
            handles.values(), handles, frameon=False, fontsize="small", loc="best", handlelength=3.5
        )
    figure.supxlabel(_below(rows, "", is_papers_data), fontsize="small", color=GREY)
    save_figure(figure, path)


def _turning(axes: Axes, rows: Rows, setting: Setting, shades: Mapping[Dimensionless, Any]) -> None:
    """Draw how kernels turn towards their neighbours, epoch by epoch, for every seed: the stronger, the darker."""
    _level(axes, 0)
    for strength in rows.strengths(setting):
        for number, row in enumerate(rows.select(setting, "fcn", strength)):
            start = row.start[LAYER]["cosine 1"]
            axes.plot(
                [0, *(entry["epoch"] for entry in row.history)],
                [0, *(entry[f"{LAYER} cosine 1"] - start for entry in row.history)],
                color=shades[strength], lw=1.4,
                label=f"{rows.what} of {strength:g}" if number == 0 else None,
            )  # fmt: skip
    axes.set_xlabel("epochs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    strip(axes)


def draw_validations(rows: Rows, is_papers_data: bool, path: Path) -> None:
    """All six validation sets, as in the paper's panels: accuracy against the strength of the augmentation."""
    settings = rows.settings()
    figure = new_figure((1.2 + 2.3 * len(VALIDATIONS), 0.8 + 2.3 * len(settings)))
    grid = figure.subplots(len(settings), len(VALIDATIONS), sharey=True, squeeze=False)
    for line, setting in zip(grid, settings, strict=True):
        for axes, name in zip(line, VALIDATIONS, strict=True):
            for network in rows.networks():
                _line(axes, rows, setting, network, score_of(name), "-", _name_of(network))
                _line(axes, rows, setting, network, score_of(name, YEAR), "--", None)
                if is_papers_data and (network, name) in published_scores():
                    color, _ = _look_of(network, rows)
                    _crosses(axes, published_scores()[network, name], color, rows.strengths(setting))
            _ticks_at_strengths(axes, rows, setting)
            _percent_axis(axes)
        line[0].set_ylabel(f"{setting}\naccuracy", fontsize="medium")
    for axes, name in zip(grid[0], VALIDATIONS, strict=True):
        axes.set_title(name, loc="left", fontsize="medium")
    figure.legend(
        *grid[0][0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=4,
        frameon=False,
        fontsize="medium",
    )
    below = f"strength of the {rows.what}; dashed, hollow: chips a year later"
    figure.supxlabel(_below(rows, below, is_papers_data), fontsize="medium", color=GREY)
    save_figure(figure, path)


def _panels(
    rows: Rows,
    drawn: Mapping[str, Callable[[Axes, Setting], None]],
    note: str,
    is_papers_data: bool,
    path: Path,
) -> None:
    """Draw a column for each place of learning, and a row for each quantity."""
    settings = rows.settings()
    figure = new_figure((1.2 + 2.7 * len(settings), 1 + 2.9 * len(drawn)))
    grid = figure.subplots(len(drawn), len(settings), sharex="col", sharey="row", squeeze=False)
    for line, (ylabel, draw) in zip(grid, drawn.items(), strict=True):
        for axes, setting in zip(line, settings, strict=True):
            draw(axes, setting)
            _ticks_at_strengths(axes, rows, setting)
        line[0].set_ylabel(ylabel)
    for axes, setting in zip(grid[0], settings, strict=True):
        axes.set_title(str(setting), loc="left", fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel(f"strength of the {rows.what}")
    grid[0][0].legend(frameon=False, fontsize="small", loc="best")
    figure.supxlabel(_below(rows, note, is_papers_data), fontsize="small", color=GREY)
    save_figure(figure, path)


def _below(rows: Rows, note: str, is_papers_data: bool) -> str:
    """Return what stands below a figure."""
    parts = [note] if note else []
    parts += [_PUBLISHED] if is_papers_data else []
    parts += [] if all(row.did_learn for row in rows.rows) else ["ringed: did not learn, all seeds or some"]
    return "; ".join(parts)


def _name_of(network: str) -> str:
    return _NAMES.get(network, network)


def _look_of(network: str, rows: Rows) -> tuple[str, str]:
    """Return the colour and the marker of a network."""
    place = (*NETWORKS, *(name for name in rows.networks() if name not in NETWORKS)).index(network)
    return scheme_color(network), _MARKERS[place % len(_MARKERS)]


def _line(
    axes: Axes,
    rows: Rows,
    setting: Setting,
    network: str,
    value_of: Value,
    style: str,
    label: str | None,
    color: str | None = None,
) -> None:
    """Draw means over seeds, with standard deviations: hollow where the line is not solid, side by side."""
    means = [
        (strength, rows.mean(value_of, setting, network, strength)) for strength in rows.strengths(setting)
    ]
    known = [(strength, mean) for strength, mean in means if mean is not None]
    if known:
        usual, marker = _look_of(network, rows)
        aside = _ASIDE * rows.networks().index(network)
        axes.errorbar(
            [strength + aside for strength, _ in known], [mean.value for _, mean in known],
            yerr=[mean.std or 0.0 for _, mean in known], ls=style, color=color or usual,
            marker=marker, ms=4.5, lw=1.7, capsize=2, label=label, mfc=None if style == "-" else "white",
        )  # fmt: skip
        lost = [(place + aside, mean.value) for place, mean in known if rows.mark(setting, network, place)]
        _ring(axes, lost)


def _ring(axes: Axes, places: Sequence[tuple[float, float]]) -> None:
    """Ring the means of runs that did not learn."""
    axes.plot([x for x, _ in places], [y for _, y in places], "o", ms=11, mfc="none", mec="black", mew=0.8)


def _level(axes: Axes, value: Dimensionless, label: str | None = None) -> None:
    """Draw what values are to be compared with."""
    axes.axhline(value, color=GREY, lw=1, ls=(0, (5, 3)), label=label)


def _crosses(
    axes: Axes,
    published: dict[Dimensionless, Dimensionless],
    color: str,
    strengths: Sequence[Dimensionless],
) -> None:
    shown = {strength: value for strength, value in published.items() if strength <= max(strengths) + 1e-9}
    axes.plot(list(shown), list(shown.values()), "x", color=color, ms=8, mew=2, alpha=0.65, zorder=1)


def _curves(
    axes: Axes,
    rows: Rows,
    setting: Setting,
    common: Sequence[Dimensionless],
    places: Callable[[Row], list[float] | None],
) -> None:
    """Draw the plain validation accuracy of every seed: with the weakest augmentation pale, the strongest in full."""
    strengths = common or rows.strengths(setting)
    for network in rows.networks():
        color, _ = _look_of(network, rows)
        for strength, alpha in {strengths[0]: 0.35, strengths[-1]: 1.0}.items():
            for number, row in enumerate(rows.select(setting, network, strength)):
                x = places(row)
                if x is not None:
                    y = [entry["validation_accuracy"] for entry in row.history]
                    of_all = rows.mark(setting, network, strength)
                    name = (
                        f"{title_of(network)}, {rows.what} of {strength:g}{of_all}" if number == 0 else None
                    )
                    style = "-" if row.did_learn else ":"
                    axes.plot(x, y, style, color=color, alpha=alpha, lw=1.4, label=name)


def _joules(row: Row) -> list[float] | None:
    if row.energy_per_epoch is None or not row.did_learn:
        return None
    return [1e-6 * row.energy_per_epoch * entry["epoch"] for entry in row.history]


def _ticks_at_strengths(axes: Axes, rows: Rows, setting: Setting) -> None:
    strengths = rows.strengths(setting)
    if len(strengths) <= 5:
        axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        axes.set_xlim(strengths[0] - _MARGIN, strengths[-1] + _MARGIN)


def _percent_axis(axes: Any) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    strip(axes)
