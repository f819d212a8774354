"""What `xbar sharing-cost` tells: its tables, and its numbers in plain columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from crossbar.cost.left_out import LEFT_OUT

from ...data.chance import rule_of
from ...data.objective_names import METRIC_NAMES
from ...drawing.sections import Section, Table, markdown_of
from ...support.durations import format_time
from ...support.statistics import NOTHING, bare_percent, number
from ..seeds import by_key
from .rows import (
    FRESH,
    MECHANISM_NAMES,
    Cell,
    Costs,
    Row,
    cells_of,
    energy_per_image,
    energy_per_step,
    latency,
    priced,
    programming_energy,
    refresh_per_step,
    time_per_step,
)
from .sensitivity import TIE, Flip
from .sharing_frequency import frequency_sections
from .to_accuracy.curve import TARGETS
from .to_accuracy.table import accuracy_sections, columns_of

TITLE: Final = "What sharing weights costs"
Ranges = Mapping[str, Mapping[str, tuple[float, float]]]
Quantity = Callable[[Row], float | None]


def markdown(
    rows: Sequence[Row],
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
    flips: Sequence[Flip],
    ranges: Ranges,
    targets: Sequence[float] = TARGETS,
) -> str:
    """Write all tables of a study; see `sections`."""
    return markdown_of(TITLE, sections(rows, left_out, failed, flips, ranges, targets))


def sections(
    rows: Sequence[Row],
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
    flips: Sequence[Flip],
    ranges: Ranges,
    targets: Sequence[float] = TARGETS,
) -> list[Section]:
    """Return all tables of a study.

    Args:
        rows: The runs.
        left_out: Cells of the grid that cannot be run, and why.
        failed: Runs that broke off, and why.
        flips: Where the ranking of schemes changes.
        ranges: By device, the factors that each constant was scaled by: smallest and largest.
        targets: Accuracies in per cent of which is told what reaching them costs.
    """
    cells = cells_of(rows)
    found = [Section(text=(_legend(rows),), records=[flat(row, targets) for row in rows])]
    found += accuracy_sections(cells, targets)
    for group in by_key(cells, lambda cell: (cell.device, cell.mechanism)):
        first = group[0]
        title = f"{first.device}, {MECHANISM_NAMES[first.mechanism]} (profile {first.first.profile})"
        found += [Section(title=title, table=_table(group)), _packed(group)]
        found += _wear(group)
    found += frequency_sections(cells)
    for title, notes in (("Left out", left_out), ("Failed", failed)):
        reasons: dict[str, list[str]] = {}
        for name, reason in notes.items():
            reasons.setdefault(reason, []).append(name)
        items = [f"{reason}: {'; '.join(names)}." for reason, names in reasons.items()]
        found += [Section(title=title, items=items)] if items else []
    return [*found, *_sensitivity(flips, ranges), _left_out(rows)]


def _legend(rows: Sequence[Row]) -> str:
    seeds = sorted({row.seed for row in rows})
    priced_as = sorted({row.unpacked.packing for row in rows})
    packed = sorted({row.packed.packing for row in rows})
    metric = rows[0].metric
    what = "Accuracy in % of the test images"
    if metric != "accuracy":
        what = f"{METRIC_NAMES[metric].capitalize()} on the test images in % of its best"
    lines = [
        f"Mean ± standard deviation over {len(seeds)} seed{'s' * (len(seeds) != 1)} "
        f"({', '.join(map(str, seeds))}). {what}, with drift compensation where devices "
        "age; fresh: as trained, or at the first time after programming.",
        "Copies: rms difference of a copy's weights from the mean of the copies, relative to the rms weight. "
        "Latency: one image, layer after layer / time between images if all layers work at once.",
        "Energy, time, area and utilisation of a table come from one packing of kernels into arrays, "
        f"{', '.join(priced_as)}, and below it {', '.join(packed)}. Wear: pulses of the most stressed device per "
        "training step, and training steps until it is worn out.",
        *([] if all(row.did_learn for row in rows) else [rule_of(metric)]),
    ]
    return "\n".join(lines)


def _table(group: Sequence[Cell]) -> Table:
    times = sorted(
        {time for cell in group for row in cell.rows for time in row.accuracy if time != FRESH}, key=float
    )
    has_copies = any(row.residual for cell in group for row in cell.rows)
    learns = any(row.training is not None for cell in group for row in cell.rows)
    columns: dict[str, Callable[[Cell], str]] = {"scheme": lambda cell: f"`{cell.scheme}`{cell.mark}"}
    for time in (FRESH, *times):
        title = "fresh" if time == FRESH else format_time(float(time))
        columns[title] = lambda cell, time=time: _accuracy(cell, time)  # type: ignore[misc]
    if has_copies:
        columns["copies, %"] = lambda cell: _percent(cell, lambda row: row.residual.get(FRESH))
    columns["µJ / inference"] = lambda cell: number(cell.mean(energy_per_image))
    columns["latency, µs"] = lambda cell: (
        f"{number(_scaled(cell, latency, 1e6))} / "
        f"{number(_scaled(cell, priced(lambda row: row.inference.pipelined_s), 1e6))}"
    )
    if learns:
        columns["µJ / step"] = lambda cell: number(cell.mean(energy_per_step))
        if any((cell.mean(refresh_per_step) or 0) > 0 for cell in group):
            columns["of it refresh, µJ"] = lambda cell: number(cell.mean(refresh_per_step))
        columns["ms / step"] = lambda cell: number(_scaled(cell, time_per_step, 1e3))
    if any(row.programming is not None for cell in group for row in cell.rows):
        columns["programming, µJ"] = lambda cell: number(cell.mean(programming_energy))
    columns["area, mm²"] = lambda cell: number(cell.mean(priced(lambda row: row.unpacked.area_mm2)))
    columns["used, %"] = lambda cell: _percent(cell, priced(lambda row: row.unpacked.utilisation))
    if learns:
        columns["pulses / step"] = lambda cell: number(cell.mean(priced(lambda row: row.pulses_per_step)))
        columns["steps to wear-out"] = lambda cell: number(
            cell.mean(priced(lambda row: row.steps_to_end_of_life))
        )
    return Table(header=list(columns), rows=[[write(cell) for write in columns.values()] for cell in group])


def _packed(group: Sequence[Cell]) -> Section:
    """Show energy, time and area with the other packing: of one table all three."""

    def of(costs: Callable[[Row], Costs | None], value: Callable[[Costs], float | None]) -> Quantity:
        def quantity(row: Row) -> float | None:
            found = costs(row)
            return None if found is None else value(found)

        return priced(quantity)

    image, step = (lambda row: row.packed_inference), (lambda row: row.packed_training)
    columns: dict[str, Callable[[Cell], str]] = {
        "scheme": lambda cell: f"`{cell.scheme}`{cell.mark}",
        "µJ / inference": lambda cell: number(cell.mean(of(image, lambda one: one.total))),
        "latency, µs": lambda cell: number(_scaled(cell, of(image, lambda one: one.sequential_s), 1e6)),
    }
    if any(row.packed_training is not None for cell in group for row in cell.rows):
        columns["µJ / step"] = lambda cell: number(cell.mean(of(step, lambda one: one.total)))
        columns["ms / step"] = lambda cell: number(_scaled(cell, of(step, lambda one: one.sequential_s), 1e3))
    columns["area, mm²"] = lambda cell: number(cell.mean(priced(lambda row: row.packed.area_mm2)))
    columns["used, %"] = lambda cell: _percent(cell, priced(lambda row: row.packed.utilisation))
    packing = group[0].first.packed.packing
    rows = [[write(cell) for write in columns.values()] for cell in group]
    return Section(
        text=(f"The same with another packing, {packing}:",), table=Table(header=list(columns), rows=rows)
    )


def _wear(group: Sequence[Cell]) -> list[Section]:
    """Show the pulses of the most stressed device of every layer: which layer wears out first differs by scheme."""
    names = list(dict.fromkeys(name for cell in group for row in cell.rows for name in row.wear))
    if not names:
        return []
    rows = [
        [
            f"`{cell.scheme}`{cell.mark}",
            *(number(cell.mean(priced(lambda row, name=name: row.wear.get(name)))) for name in names),  # type: ignore[misc]
        ]
        for cell in group
    ]
    text = "Pulses of the most stressed device of each layer in a training step. The largest wears out first."
    return [Section(text=(text,), table=Table(header=["scheme", *names], rows=rows))]


def _left_out(rows: Sequence[Row]) -> Section:
    """Say what no price here knows, and what those of these runs leave open."""
    own = list(dict.fromkeys(note for row in rows for note in row.notes))
    return Section(title="What these prices leave out", items=[*LEFT_OUT, *own])


def _sensitivity(flips: Sequence[Flip], ranges: Ranges) -> list[Section]:
    if not ranges:
        return []
    items = []
    for device, of_device in ranges.items():
        parts = (f"{name} x {number(low)} to {number(high)}" for name, (low, high) in of_device.items())
        items.append(f"{device}: {', '.join(parts)}")
    text = (
        "Each constant is scaled alone, all others held; energy is linear in it, so the factor is exact. Pairs that "
        f"differ by less than {TIE:.0%} at an end of the range are not ranked. Ranges:"
    )
    head = Section(title="Where the ranking flips", text=(text,), items=items)
    clear = [flip for flip in flips if flip.is_clear]
    if not clear:
        held = "No pair changes places: the ranking of the schemes holds over all ranges."
        return [head, Section(text=(held,))]
    header = ["device", "mechanism", "energy per", "constant", "cheaper below", "at factor", "cheaper above"]
    found = [head, Section(table=Table(header=header, rows=_merged(clear), align="lllllrl"))]
    names = dict.fromkeys(name for of_device in ranges.values() for name in of_device)
    unmoved = [name for name in names if name not in {flip.constant for flip in clear}]
    return found + (
        [Section(text=(f"No pair changes places with: {', '.join(unmoved)}.",))] if unmoved else []
    )


def _merged(clear: Sequence[Flip]) -> list[list[str]]:
    """Return the cells of the table of flips; flips that differ in one respect only share a line."""
    lines = [
        [
            f.device,
            f.mechanism,
            f.work,
            f.constant,
            f"`{f.cheaper_below}`",
            number(f.factor),
            f"`{f.cheaper_above}`",
        ]
        for f in sorted(clear, key=lambda f: (f.device, f.work, f.constant, f.factor))
    ]
    for respect in (1, 6, 4):  # mechanism, cheaper above, cheaper below
        groups: dict[tuple[str, ...], list[str]] = {}
        for words in lines:
            key = (*words[:respect], "", *words[respect + 1 :])
            groups.setdefault(key, []).append(words[respect])
        lines = [
            [*key[:respect], ", ".join(dict.fromkeys(values)), *key[respect + 1 :]]
            for key, values in groups.items()
        ]
    return lines


def _accuracy(cell: Cell, time: str) -> str:
    return bare_percent(row.accuracy.get(time) for row in cell.rows)


def _percent(cell: Cell, quantity: Quantity) -> str:
    mean = cell.mean(quantity)
    return NOTHING if mean is None else f"{100 * mean:.2g}" if mean < 0.1 else f"{100 * mean:.0f}"


def _scaled(cell: Cell, quantity: Quantity, factor: float) -> float | None:
    mean = cell.mean(quantity)
    return None if mean is None else factor * mean


def flat(row: Row, targets: Sequence[float] = TARGETS) -> dict[str, object]:
    """Turn nested fields into columns like "inference_adc_uJ"; histories stay in the JSON."""
    record: dict[str, object] = {
        name: getattr(row, name)
        for name in (
            "device",
            "mechanism",
            "scheme",
            "seed",
            "profile",
            "lr",
            "epochs",
            "validation_accuracy",
            "did_learn",
        )
    }
    record |= columns_of(row, targets)
    record |= {f"accuracy_{_time_name(time)}": value for time, value in row.accuracy.items()}
    record |= {f"residual_{_time_name(time)}": value for time, value in row.residual.items()}
    for work in ("inference", "training", "programming"):
        costs = getattr(row, work)
        if costs is None:
            continue
        record[f"{work}_uJ"] = costs.total
        record |= {f"{work}_{name}_uJ": value for name, value in costs.energy_uJ.items()}
        record[f"{work}_analog_uJ"] = costs.analog_uJ
        record[f"{work}_refresh_uJ"] = costs.refresh_uJ
        record[f"{work}_sequential_s"] = costs.sequential_s
        record[f"{work}_pipelined_s"] = costs.pipelined_s
    for name, costs in (("inference", row.packed_inference), ("training", row.packed_training)):
        if costs is not None:
            record |= {f"packed_{name}_uJ": costs.total, f"packed_{name}_sequential_s": costs.sequential_s}
    for name, space in (("unpacked", row.unpacked), ("packed", row.packed)):
        record |= {f"{name}_arrays": space.arrays, f"{name}_area_mm2": space.area_mm2}
        record[f"{name}_utilisation"] = space.utilisation
    record |= {f"pulses_per_step_{name}": pulses for name, pulses in row.wear.items()}
    record |= {"pulses_per_step": row.pulses_per_step, "steps_to_end_of_life": row.steps_to_end_of_life}
    return {**record, "run": row.run, "command": row.command}


def _time_name(time: str) -> str:
    return time if time == FRESH else f"{float(time):g}s"
