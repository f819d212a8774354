"""What each run of `xbar compare-devices` came to, and what the runs of one device have in common."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from devices.units import Dimensionless, Seconds

from ...data.objective_names import Metric
from ...runs.ledger_file import RunEvents
from ...runs.options.device_names import label
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...runs.watching.record import Record
from ...support.json_files import read_json
from ...support.statistics import Mean
from ..seeds import Seeds, by_key
from .points import Point


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        device: Name of the memory cell.
        mode: "hwa" or "in-situ".
        network: "fcn" or "cnn".
        seed: The run's seed.
        run: The run's folder.
        command: The `xbar train` line that repeats it.
        trained: Accuracy as training left it: of the devices in situ, in floating point else.
        accuracy: Accuracy at each time, compensated, mean over chips.
        chips: The same of each chip.
        extrapolated: Those of the times that lie beyond what was measured on such devices.
        pulses: Pulses per device, in situ; None else.
        at_bound: Fraction of devices less than a step away from a bound, likewise.
        did_learn: Whether the network learned at all; see `chance.RULE`.
        metric: What stands for the accuracy: "accuracy", or another that is 1 at its best.
        model: What tables call the network that was asked for; empty for those that fit the data.
    """

    device: str
    mode: str
    network: str
    seed: int
    run: str
    command: str
    trained: Dimensionless
    accuracy: dict[Seconds, Dimensionless]
    chips: dict[Seconds, list[Dimensionless]]
    extrapolated: tuple[Seconds, ...]
    pulses: Dimensionless | None
    at_bound: Dimensionless | None
    did_learn: bool = True
    metric: Metric = "accuracy"
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return {**asdict(self), "extrapolated": list(self.extrapolated)}


def row_of(point: Point, command: str, folder: RunFolder, model: str = "") -> Row:
    """Read a finished run.

    Args:
        point: Which run it is.
        command: The line that repeats it.
        folder: Where it lies.
        model: What tables call the network that was asked for.

    Raises:
        ValueError: If the run is damaged.
    """
    result = Result.from_json(read_json(folder.result_file))
    chips = result.accuracy.get(result.compensation or "", [])
    by_time = {
        time: list(column) for time, column in zip(result.times, zip(*chips, strict=True), strict=True)
    }
    pulses = at_bound = None
    if folder.record_file.exists():
        record = Record.read(folder.record_file)
        devices = {layer: float(record.columns[f"{layer}/devices"].sum()) for layer in record.layers}
        training = RunEvents.read(folder.ledger_file).of_training()
        pulses = training.total("update_pulses") / sum(devices.values())
        at_bound = sum(
            float(record.of_layer(layer, "at_bound")[-1]) * count for layer, count in devices.items()
        ) / sum(devices.values())
    return Row(
        device=label(point.device),
        mode=point.mechanism,
        network=point.scheme,
        seed=point.seed,
        run=str(folder.path),
        command=command,
        trained=statistics.fmean(result.as_trained) if result.as_trained else result.digital_accuracy,
        accuracy={time: statistics.fmean(column) for time, column in by_time.items()},
        chips=by_time,
        extrapolated=result.extrapolated,
        pulses=pulses,
        at_bound=at_bound,
        did_learn=result.did_learn,
        metric=result.metric,
        model=model,
    )


def fresh_of(row: Row) -> Dimensionless:
    """Return the accuracy of the devices at first: as trained, or right after programming."""
    return row.trained if row.mode == "in-situ" else next(iter(row.accuracy.values()))


@final
@dataclass(frozen=True)
class Group(Seeds[Row]):
    """The runs of one network on one device, with all seeds."""

    @property
    def name(self) -> str:
        """The device, how it got its weights, and whether they were learned."""
        how = "in situ" if self.first.mode == "in-situ" else "written"
        return f"{self.first.device}, {how}{self.mark}"

    @property
    def times(self) -> list[Seconds]:
        """Times at which accuracy is known."""
        return list(self.first.accuracy)

    def at(self, time: Seconds) -> Mean | None:
        """Return the accuracy at a time."""
        return self.of(lambda row: row.accuracy.get(time))

    def fresh(self) -> Mean:
        """Return the accuracy of the devices at first: as trained, or right after programming."""
        return Mean.of_all([fresh_of(row) for row in self.rows])


def groups_of(rows: Sequence[Row], network: str) -> list[Group]:
    """Return the devices of a network, ranked fresh, the best first; then those on which none learned."""
    mine = [row for row in rows if row.network == network]
    groups = [Group(group) for group in by_key(mine, lambda row: (row.device, row.mode))]
    return sorted(groups, key=lambda group: (not group.has_learned, -group.fresh().value))


def aged_of(groups: Sequence[Group]) -> tuple[Seconds | None, list[Group]]:
    """Return the time at which most devices that age are known, the latest of such, and their ranking then.

    Devices without a model of ageing, those not known at that time, and those on which no network learned are left
    out: fresh devices and aged ones, or ages, are never ranked in one list.
    """
    ageing = [group for group in groups if group.times and group.has_learned]
    counts = {time: sum(time in group.times for group in ageing) for group in ageing for time in group.times}
    if not counts:
        return None, []
    time = max(counts, key=lambda own: (counts[own], own))
    known = [(mean.value, group) for group in ageing if (mean := group.at(time)) is not None]
    return time, [group for _, group in sorted(known, key=lambda pair: -pair[0])]
