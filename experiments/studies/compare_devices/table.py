"""What `xbar compare-devices` tells: its ranked tables, and its numbers in plain columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from devices.characterisation.table import Quantity

from ...data.chance import rule_of
from ...data.objective_names import METRIC_NAMES
from ...drawing.sections import Section, Table, markdown_of
from ...support.durations import format_time
from ...support.statistics import NOTHING, Mean
from .rows import Group, Row, aged_of, fresh_of, groups_of

TITLE: Final = "Devices compared"
Sheets = Mapping[str, Sequence[Quantity]]
"""What was measured on each device: `Characterisation.rows`."""
NETWORK_NAMES: Final = {
    "fcn": "FCN: a tile for each location",
    "cnn": "CNN: one kernel for all locations",
}
_OF_A_YEAR: Final = "retention error after 1 y, per_tile"
# What a sheet calls it, and what the table does.
_CHARACTER: Final = {"states": "states", "effective states": "effective", "asymmetry": "asymmetry ±"}


_PLACED: Final = {"fcn": "every location its own kernel", "cnn": "as built"}


def network_title(network: str, rows: Sequence[Row]) -> str:
    """Return the heading of a network's table."""
    model = rows[0].model if rows else ""
    return f"{model}: {_PLACED[network]}" if model else NETWORK_NAMES[network]


def header(groups: Sequence[Group]) -> list[str]:
    """Return the titles of the columns."""
    times = _times(groups)
    return [
        "", "device", "fresh", *(format_time(time) for time in times), "pulses", "at bound",
        *_CHARACTER.values(), "error, 1 year",
    ]  # fmt: skip


def cells(groups: Sequence[Group], sheets: Sheets) -> list[list[str]]:
    """Return the cells of a ranked table, one line for each device."""
    times = _times(groups)
    lines = []
    for rank, group in enumerate(groups, start=1):
        first = group.first
        rows = {row.name: row for row in sheets.get(first.device, ())}
        character = []
        for name in _CHARACTER:
            found = rows.get(name) if first.mode == "in-situ" else None
            value = None if found is None else found.spread if name == "asymmetry" else found.value
            character.append(
                NOTHING if value is None else f"{value:.2g}" if name == "asymmetry" else f"{value:,.0f}"
            )
        kept = rows.get(_OF_A_YEAR)
        lines.append(
            [
                str(rank) if group.has_learned else NOTHING,
                group.name,
                group.fresh().percent(),
                *(_percent(group.at(time), time in first.extrapolated) for time in times),
                _number(group.of(lambda row: row.pulses), "{:,.0f}"),
                _number(
                    group.of(lambda row: None if row.at_bound is None else 100 * row.at_bound), "{:.1f} %"
                ),
                *character,
                NOTHING if kept is None else f"{100 * kept.value:.0f} %{'*' * ('extrapolated' in kept.note)}",
            ]
        )
    return lines


def markdown(rows: Sequence[Row], sheets: Sheets, failed: Mapping[str, str], command: str) -> str:
    """Write the ranked tables of all networks."""
    return markdown_of(TITLE, sections(rows, sheets, failed, command))


def sections(
    rows: Sequence[Row], sheets: Sheets, failed: Mapping[str, str], command: str, rates: str = ""
) -> list[Section]:
    """Return the ranked tables of all networks, and what broke off; `rates` says how learning rates were chosen."""
    seeds = sorted({row.seed for row in rows})
    what = METRIC_NAMES[rows[0].metric].capitalize()
    lead = (
        f"`{command}`. {what} on the test images, mean ± standard deviation over {len(seeds)} "
        f"seed{'s' * (len(seeds) != 1)} ({', '.join(map(str, seeds))}), each the mean over chips, with drift "
        "compensation. Ranked fresh; then, in tables of their own, those that age, all at the same time."
    )
    quick = [_QUICK] if len(seeds) == 1 else []
    found = [Section(text=(lead, *([rates] if rates else [])), warnings=quick, records=records(rows))]
    for network in NETWORK_NAMES:
        title, groups = network_title(network, rows), groups_of(rows, network)
        if groups:
            titles = header(groups)
            table = Table(header=titles, rows=cells(groups, sheets), align="rl" + "r" * (len(titles) - 2))
            found.append(Section(title=f"{title}, fresh", table=table))
            found += _aged(title, groups)
    found.append(Section(notes=notes(rows)))
    if failed:
        found.append(Section(title="Failed", items=[f"{name}: {reason}." for name, reason in failed.items()]))
    return found


def _aged(title: str, groups: Sequence[Group]) -> list[Section]:
    """Return the ranking of devices that age, at one time for all of them."""
    time, aged = aged_of(groups)
    if time is None or not aged:
        return []
    lines = []
    for rank, group in enumerate(aged, start=1):
        lost = group.of(lambda row: fresh_of(row) - row.accuracy[time] if time in row.accuracy else None)
        lines.append(
            [
                str(rank),
                group.name,
                _percent(group.at(time), time in group.first.extrapolated),
                NOTHING if lost is None else f"{100 * lost.value:.1f}",
            ]
        )
    header = ["", "device", f"after {format_time(time)}", "points lost since fresh"]
    left = [group.name for group in groups if group.has_learned and group not in aged]
    text = (f"Not in this list, as they are not known at that time: {'; '.join(left)}.",) if left else ()
    return [Section(title=f"{title}, aged", text=text, table=Table(header=header, rows=lines, align="rlrr"))]


def notes(rows: Sequence[Row]) -> list[str]:
    """Say what the columns mean."""
    return [*_NOTES, *([] if all(row.did_learn for row in rows) else [rule_of(rows[0].metric)])]


_QUICK: Final = "A quick look: one seed does not say how sure these ranks are. Conclude nothing from them."
_NOTES: Final = (
    "fresh: as training in situ left the devices, or at the first time after programming.",
    "*: beyond what was measured on such devices. -: no model of it, or not known at that time.",
    "pulses: that a device received in training, mean. at bound: devices less than a step away from a bound.",
    "states: range over mean step. effective: range over the noise of one pulse. asymmetry ±: its spread from device "
    "to device. error, 1 year: of weights, rms over rms, with a factor for each tile; of characterised devices.",
)


def records(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return the plain numbers of every run."""
    times = sorted({time for row in rows for time in row.accuracy})
    columns: dict[str, Callable[[Row], object]] = {
        "device": lambda row: row.device,
        "mode": lambda row: row.mode,
        "network": lambda row: row.network,
        "seed": lambda row: row.seed,
        "accuracy_trained": lambda row: row.trained,
        "pulses_per_device": lambda row: row.pulses,
        "fraction_at_bound": lambda row: row.at_bound,
        "did_learn": lambda row: row.did_learn,
        "run": lambda row: row.run,
    }
    for time in times:
        columns[f"accuracy_after_{time:.0f}_s"] = lambda row, time=time: row.accuracy.get(time)  # type: ignore[misc]
    return [{name: value(row) for name, value in columns.items()} for row in rows]


def _times(groups: Sequence[Group]) -> list[float]:
    return sorted({time for group in groups for time in group.times})


def _percent(mean: Mean | None, is_extrapolated: bool) -> str:
    return NOTHING if mean is None else mean.percent() + "*" * is_extrapolated


def _number(mean: Mean | None, pattern: str) -> str:
    return NOTHING if mean is None else pattern.format(mean.value)
