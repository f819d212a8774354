"""What learning does to shared and unshared devices, over the training: the sections that say why a scheme loses.

Of the first layer, which has the most locations and so the most pulses on a shared device.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from devices import get
from devices.pulsed.divergence import relaxation
from devices.units import Dimensionless

from ...bench.copies_under_pulses import single_devices
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, scheme_color
from ...drawing.sections import Table
from ...runs.watching.record import Record
from ...support.statistics import NOTHING, Mean
from ..seeds import by_key
from .rows import Row

Course = Mapping[str, list[float | None]]
"""Columns over the training: `step`, and those of `QUANTITIES`."""

QUANTITIES: Final = {
    "symmetry_distance": "distance from symmetry\npoints, rms",
    "cosine": "cosine of update and gradient",
    "pulses": "pulses per device",
}
"""What is followed, and how a figure calls it."""
COPIES: Final = "copies"
"""Column of the standard deviation of a device over copies, rms, in units of the devices."""


def course_of(record: Record) -> dict[str, list[float | None]]:
    """Read what is followed off a record."""
    layer = record.layers[0]
    columns = {
        "step": record.steps.astype(float),
        "symmetry_distance": record.of_layer(layer, "symmetry_distance"),
        "cosine": record.of_layer(layer, "cosine"),
        "pulses": np.sum(
            [record.of_layer(layer, f"{role}/pulses_mean") for role in record.roles(layer)], axis=0
        ),
    }
    if layer in record.layers_with("copies_rms"):
        devices = record.columns[f"{layer}/devices"]
        rms = np.sqrt((record.columns[f"{layer}/weight_norm"] ** 2 / devices).mean(axis=1))
        columns[COPIES] = record.of_layer(layer, "copies_rms") * rms
    return {name: [float(v) if np.isfinite(v) else None for v in values] for name, values in columns.items()}


def forgotten(device: str) -> Dimensionless | None:
    """Return the pulses after which a device has forgotten where it stood; None where no pulses make it forget."""
    arrays = single_devices(device)
    if arrays is None:
        return None
    share = relaxation(arrays)
    return 1 / share if share > 0 else None


def course_table(rows: Sequence[Row]) -> Table:
    """Return a line for each device and placement: pulses, distance from symmetry points, direction of updates."""
    lines = []
    for group in by_key([row for row in rows if row.course], lambda row: (row.device, row.placement)):
        first = group[0]
        memory = forgotten(first.device) if _is_known(first.device) else None
        pulses = Mean.of(row.pulses for row in group)
        lines.append(
            [
                first.device,
                first.placement,
                NOTHING if pulses is None else f"{pulses.value:,.0f}",
                NOTHING if memory is None else f"{memory:,.0f}",
                NOTHING if memory is None or pulses is None else f"{pulses.value / memory:.2g}",
                *(_ends(group, "symmetry_distance")),
                *(_ends(group, "cosine")),
            ]
        )
    header = [
        "device",
        "placement",
        "pulses per device",
        "pulses to forget",
        "times forgotten",
        "from symmetry, first third",
        "last third",
        "cosine, first third",
        "last third",
    ]
    return Table(header=header, rows=lines, text_columns=2)


def draw_course(rows: Sequence[Row], path: Path) -> None:
    """Draw what is followed over the training: a line of panels for each device, a line for each placement."""
    known = [row for row in rows if row.course]
    devices = list(dict.fromkeys(row.device for row in known))
    if not devices:
        return
    figure = new_figure((9.5, 0.9 + 1.9 * len(devices)))
    panels = figure.subplots(len(devices), len(QUANTITIES), squeeze=False, sharex="col")
    for device, line in zip(devices, panels, strict=True):
        for axes, (quantity, name) in zip(line, QUANTITIES.items(), strict=True):
            for group in by_key([row for row in known if row.device == device], lambda row: row.placement):
                color = scheme_color(group[0].placement)
                for row in group:
                    steps, values = _points(row.course, quantity)
                    axes.plot(steps, values, color=color, lw=0.6, alpha=0.4)
                steps, means = _mean(group, quantity)
                axes.plot(steps, means, color=color, lw=1.8, label=group[0].placement)
            if not axes.lines or all(len(curve.get_xdata()) == 0 for curve in axes.lines):
                axes.set_yticks([])
                axes.text(
                    0.5,
                    0.5,
                    "not defined for these devices",
                    transform=axes.transAxes,
                    color=GREY,
                    ha="center",
                )
            axes.set_ylabel(name, fontsize="small")
            if quantity == "pulses":
                axes.set_yscale("log")
            strip(axes)
        line[0].set_title(device, loc="left", fontsize="medium")
    for axes in panels[-1]:
        axes.set_xlabel("training step")
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, title="kernels", loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


def _is_known(device: str) -> bool:
    try:
        get(device)
    except (ValueError, FileNotFoundError):
        return False  # a device file is called by its label here
    return True


def _points(course: Course, quantity: str) -> tuple[list[float], list[float]]:
    pairs = [(s, v) for s, v in zip(course["step"], course[quantity], strict=True) if s is not None and v]
    return [s for s, _ in pairs], [v for _, v in pairs]


def _mean(group: Sequence[Row], quantity: str) -> tuple[list[float], list[float]]:
    """Return the means over seeds at the steps that all have."""
    by_step: dict[float, list[float]] = {}
    for row in group:
        for step, value in zip(*_points(row.course, quantity), strict=True):
            by_step.setdefault(step, []).append(value)
    full = {step: values for step, values in by_step.items() if len(values) == len(group)}
    return list(full), [sum(values) / len(values) for values in full.values()]


def _ends(group: Sequence[Row], quantity: str) -> tuple[str, str]:
    """Return the medians of a quantity over the first and the last third of the training, means over seeds."""
    ends = []
    for part in (slice(None, None), slice(None, None, -1)):
        medians = []
        for row in group:
            _, values = _points(row.course, quantity)
            if values:
                medians.append(float(np.median(values[part][: max(1, len(values) // 3)])))
        mean = Mean.of(medians)
        ends.append(NOTHING if mean is None else f"{mean.value:.3f}")
    return ends[0], ends[1]
