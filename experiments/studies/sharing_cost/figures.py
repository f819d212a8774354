"""Figures of `xbar sharing-cost`: cost against sync_every and tiles, where energy goes."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import COMPONENTS, GREY, PALE, scheme_color
from .rows import (
    FRESH,
    MECHANISM_NAMES,
    Cell,
    Row,
    accuracy_at,
    cells_of,
    energy_per_step,
    priced,
    scheme_label,
    time_per_step,
)

Quantity = Callable[[Row], float | None]


def write_plainly(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers: 2, 5 and 10 where it spans little, else decades."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0 else 9.0
    if decades < 2.2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 0.6 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter("")


def draw_sync(rows: Sequence[Row], path: Path) -> None:
    """Draw cost, accuracy and residual of copies against the steps between two synchronisations, in situ.

    The line at the right is the same network with every update sent to all copies.
    """
    cells = [c for c in cells_of(rows) if c.mechanism == "in-situ" and c.scheme.startswith("replicated")]
    counts = Counter(copies_of(cell.scheme) for cell in cells if sync_every(cell.scheme))
    if not counts:
        return
    tiles = max(counts, key=lambda count: counts[count])  # of one number of copies, that with most points
    cells = [cell for cell in cells if copies_of(cell.scheme) == tiles]
    synchronised = sorted((c for c in cells if sync_every(c.scheme)), key=lambda c: sync_every(c.scheme))
    devices = list(dict.fromkeys(cell.device for cell in synchronised))
    quantities: list[tuple[Quantity, str, bool]] = [
        (energy_per_step, "energy per training step in µJ", True),
        (accuracy_at(FRESH), "test accuracy in %", False),
        (_percent_residual, "rms difference of copies in %", True),
    ]
    figure = new_figure((11.5, 0.6 + 3.1 * len(devices)))
    panels = figure.subplots(len(devices), len(quantities), squeeze=False)
    color = scheme_color("replicated")
    for device, line in zip(devices, panels, strict=True):
        group = [cell for cell in synchronised if cell.device == device]
        broadcast = [c for c in cells if c.device == device and not sync_every(c.scheme)]
        others = [c for c in cells_of(rows, ("free", "time_multiplexed")) if c.device == device]
        others = [c for c in others if c.mechanism == "in-situ"]
        for axes, (quantity, label, is_log) in zip(line, quantities, strict=True):
            known = [(c, c.mean(quantity)) for c in group]
            steps = [sync_every(c.scheme) for c, value in known if value is not None]
            means = [value for _, value in known if value is not None]
            for cell in group:
                _draw_seeds(axes, sync_every(cell.scheme), cell, quantity, color)
            axes.plot(steps, means, "o-", color=color, ms=5, lw=1.8)
            marks = [
                (cell.mean(quantity), cell.label, scheme_color(cell.scheme)) for cell in (*broadcast, *others)
            ]
            axes.set_xscale("log")
            write_plainly(axes.xaxis)
            if is_log and means and min(means) > 0:
                axes.set_yscale("log")
                write_plainly(axes.yaxis)
            _draw_levels(axes, [(v, n, c) for v, n, c in marks if v is not None], axes.get_yscale() == "log")
            axes.set_xlabel("steps between synchronisations")
            axes.set_ylabel(label)
            strip(axes)
        copies = f"{tiles} copies" if tiles else "copies at all locations"
        line[0].set_title(f"{device}: {copies}, in situ", loc="left", fontsize="large")
    _explain_crosses(figure, cells)
    save_figure(figure, path)


def draw_tiles(rows: Sequence[Row], path: Path) -> None:
    """Draw cost and accuracy against the number of tiles of a layer, in situ: copies, and kernels dealt at random."""
    families = {"replicated": "copies of one kernel, broadcast", "random": "own kernels, locations at random"}
    cells = [c for c in cells_of(rows) if c.mechanism == "in-situ" and copies_of(c.scheme)]
    cells = [c for c in cells if "redraw=true" not in c.scheme.lower() and not sync_every(c.scheme)]
    if not cells:
        return
    devices = list(dict.fromkeys(cell.device for cell in cells))
    quantities: list[tuple[Quantity, str, bool]] = [
        (energy_per_step, "energy per training step in µJ", True),
        (scaled(time_per_step, 1e3), "time per training step in ms", True),
        (accuracy_at(FRESH), "test accuracy in %", False),
    ]
    figure = new_figure((11.5, 0.9 + 3.1 * len(devices)))
    panels = figure.subplots(len(devices), len(quantities), squeeze=False)
    for device, line in zip(devices, panels, strict=True):
        for axes, (quantity, label, is_log) in zip(line, quantities, strict=True):
            for family, name in families.items():
                group = sorted(
                    (c for c in cells if c.device == device and c.scheme.startswith(family)),
                    key=lambda c: copies_of(c.scheme),
                )
                known = [(copies_of(c.scheme), c.mean(quantity)) for c in group]
                for cell in group:
                    _draw_seeds(axes, copies_of(cell.scheme), cell, quantity, scheme_color(family))
                axes.plot(
                    [x for x, y in known if y is not None],
                    [y for _, y in known if y is not None],
                    "o-" if family == "replicated" else "s-",
                    color=scheme_color(family),
                    ms=5,
                    lw=1.8,
                    label=name,
                )
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if is_log and any(line.get_ydata().size for line in axes.lines):
                axes.set_yscale("log")
                write_plainly(axes.yaxis)
            axes.set_xlabel("tiles in each local layer")
            axes.set_ylabel(label)
            strip(axes)
        line[0].set_title(f"{device}, in situ", loc="left", fontsize="large")
    figure.legend(
        *panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    _explain_crosses(figure, cells)
    save_figure(figure, path)


def draw_breakdown(rows: Sequence[Row], schemes: Sequence[str], path: Path) -> None:
    """Draw where the energy goes, per inference and per training step: a stacked bar for each scheme."""
    tried = cells_of(rows, schemes)
    cells = [cell for cell in tried if cell.has_learned]
    if not cells:
        return
    lines = list(dict.fromkeys((cell.device, cell.mechanism) for cell in cells))
    heights = [0.55 + 0.27 * sum((c.device, c.mechanism) == line for c in cells) for line in lines]
    figure = new_figure((11.0, 0.8 + sum(heights) + 0.45 * len(lines)))
    panels = figure.subplots(len(lines), 2, squeeze=False, height_ratios=heights)
    used: dict[str, str] = {}
    for (device, mechanism), pair in zip(lines, panels, strict=True):
        group = [cell for cell in cells if (cell.device, cell.mechanism) == (device, mechanism)]
        for axes, work in zip(pair, ("inference", "training"), strict=True):
            if all(getattr(row, work) is None for cell in group for row in cell.rows):
                axes.set_axis_off()
                continue
            used |= _stack(axes, group, work)
            axes.set_xlabel(f"energy per {'inference' if work == 'inference' else 'training step'} in µJ")
            axes.grid(axis="x", color=PALE, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        pair[0].set_title(f"{device}, {MECHANISM_NAMES[mechanism]}", loc="left", fontsize="large")
    order = [name for name in COMPONENTS if name in used]
    handles = [Patch(color=COMPONENTS[name]) for name in order]
    figure.legend(handles, order, loc="outside lower center", ncols=len(order), frameon=False)
    _note(figure, not_drawn(tried).strip())
    save_figure(figure, path)


def _stack(axes: Axes, group: Sequence[Cell], work: str) -> dict[str, str]:
    """Draw one stacked bar for each cell; return the components that are seen."""
    labels = [cell.label for cell in group]
    left = np.zeros(len(group))
    used = {}
    for component, color in COMPONENTS.items():
        values = np.array([cell.mean(_component(work, component)) or 0.0 for cell in group])
        if values.any():
            axes.barh(range(len(group)), values, left=left, color=color, height=0.72, lw=0)
            used[component] = color
        left += values
    axes.set_yticks(range(len(group)), labels, fontsize="small")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.14 * max(left))
    for place, total in enumerate(left):
        axes.text(
            total + 0.01 * max(left),
            place,
            f"{float(f'{total:.3g}'):,g}",
            va="center",
            fontsize="x-small",
            color=GREY,
        )
    return used


def _component(work: str, component: str) -> Quantity:
    def quantity(row: Row) -> float | None:
        costs = getattr(row, work)
        return None if costs is None else costs.energy_uJ.get(component, 0.0)

    return priced(quantity)


def _draw_seeds(axes: Axes, x: float, cell: Cell, quantity: Quantity, color: str) -> None:
    """Draw a dot for each seed, and a cross for each that did not learn."""
    for did_learn, marker, size in ((True, ".", 6.0), (False, "x", 5.0)):
        values = [quantity(row) for row in cell.rows if row.did_learn == did_learn]
        known = [value for value in values if value is not None]
        edge = 0.0 if did_learn else 1.3
        axes.plot([x] * len(known), known, marker, color=color, alpha=0.5, ms=size, mew=edge)


def _note(figure: Figure, text: str) -> None:
    """Write what must be known above a figure: below it stands the legend."""
    if text:
        figure.suptitle(text, x=0.01, ha="left", fontsize="small", color=GREY)


def _explain_crosses(figure: Figure, cells: Sequence[Cell]) -> None:
    if any(cell.mark for cell in cells):
        _note(figure, "Crosses: seeds that did not learn; they are not priced.")


def not_drawn(cells: Sequence[Cell]) -> str:
    """Name the cells of which no seed learned, so that they have no price."""
    lost = [c for c in cells if not c.has_learned]
    if not lost:
        return ""
    names = (f"{c.device} {c.mechanism} {scheme_label(c.scheme)}" for c in lost)
    return "\nNot drawn, as they did not learn: " + "; ".join(names) + "."


def _draw_levels(axes: Axes, levels: Sequence[tuple[float, str, str]], is_log: bool) -> None:
    """Draw a horizontal line for each scheme without synchronisation, named at the right."""
    for value, _, color in levels:
        axes.axhline(value, color=color, lw=1.1, ls=(0, (4, 3)), zorder=1)
    name_ends(axes, levels, is_log)


def name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], is_log: bool) -> None:
    """Name lines at their right ends, the names kept apart.

    Args:
        axes: With its final scale.
        ends: Value, name and colour of each line.
        is_log: Whether the axis of the values is logarithmic.
    """
    low, high = (math.log(limit) for limit in axes.get_ylim()) if is_log else axes.get_ylim()
    gap = 0.075 * (high - low)
    known = sorted(
        (
            (math.log(v) if is_log else v, n, c)
            for v, n, c in ends
            if math.isfinite(v) and (v > 0 or not is_log)
        )
    )
    # Names that pile up are pushed apart upwards, then as a whole back by half of that.
    places: list[float] = []
    for value, _, _ in known:
        places.append(max(value, places[-1] + gap) if places else value)
    shift = max((place - value for place, (value, _, _) in zip(places, known, strict=True)), default=0.0) / 2
    shift = min(shift, places[0] - low) if places else 0.0  # names below the axes would cover its label
    for place, (_, name, color) in zip(places, known, strict=True):
        y = place - shift
        axes.annotate(
            name, (1.0, math.exp(y) if is_log else y), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", color=darker(color), fontsize="x-small", va="center", annotation_clip=False,
        )  # fmt: skip


def sync_every(scheme: str) -> int:
    """Return the steps between two synchronisations that a scheme asks for; 0 for none."""
    _, found, number = scheme.replace(" ", "").partition("sync_every=")
    return int(number.rstrip(")").split(",")[0]) if found else 0


def copies_of(scheme: str) -> int:
    """Return the number of tiles that a scheme asks for; 0 where there is one at every location, or one for all."""
    _, found, number = scheme.replace(" ", "").partition("(tiles=")
    return int(number.rstrip(")").split(",")[0]) if found else 0


def _percent_residual(row: Row) -> float | None:
    return 100 * row.residual[FRESH] if row.residual.get(FRESH) else None


def scaled(quantity: Quantity, factor: float) -> Quantity:
    """Return a quantity in another unit."""

    def in_unit(row: Row) -> float | None:
        value = quantity(row)
        return None if value is None else factor * value

    return in_unit


def darker(color: str) -> str:
    """Return a colour in which small text on white can be read."""
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{int(0.72 * part):02x}" for part in parts)
