"""`xbar retention`: accuracy over a year on many devices, unshared beside shared kernels."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from devices import get
from devices.units import Dimensionless, Seconds

from ...data.chance import RULE, mark
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import Look, device_looks
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import available_threads
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.durations import format_time
from ...support.environment import describe_environment
from ...support.json_files import read_json
from ...support.statistics import NOTHING, Mean, mean_and_std
from ...support.typed_values import typed
from ..results import Results, numbers_file
from ..study import Findings, write_findings
from .config import RetentionConfig

NAME: Final = "retention"
TITLE: Final = "Accuracy over time"
_NETWORKS: Final = {"fcn": "FCN: a kernel and a tile for each location", "cnn": "CNN: one kernel, one tile"}
_DRAWN: Final = "per_tile"
_NONE: Final = "none"
_FIGURE: Final = "retention.png"

Key = tuple[str, str, str]  # network, device, compensation


@final
@dataclass(kw_only=True)
class Row:
    """One network on one device with one compensation, all its chips of all seeds.

    Attributes:
        network: "fcn" or "cnn".
        device: Name of the memory cell.
        compensation: Of drift.
        times: Since programming.
        chips: Accuracies of all chips, at each time.
        did_learn: For each run, whether its network learned; see `chance.RULE`.
    """

    network: str
    device: str
    compensation: str
    times: list[Seconds]
    chips: list[list[Dimensionless]]
    did_learn: list[bool]

    @property
    def key(self) -> Key:
        """What is told apart."""
        return self.network, self.device, self.compensation

    def at(self, time: Seconds) -> list[Dimensionless] | None:
        """Return the chips at a time, or None if nothing is known of it."""
        return self.chips[self.times.index(time)] if time in self.times else None


def run_retention(config: RetentionConfig) -> Answer:
    """Read all evaluations, write tables, numbers, figure and page.

    Returns:
        The file of numbers.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder is no finished run, or none was evaluated.
    """
    rows, sample = _read(config.runs)
    config.out.mkdir(parents=True, exist_ok=True)
    _draw(rows, config.out / _FIGURE)
    write_findings(
        _findings(rows, sample, config.out),
        study=NAME,
        command=shlex.join(["xbar", NAME, *map(str, config.runs)]),
        configuration=config.to_json(),
        environment=describe_environment(available_threads()),
        rows=[asdict(row) for row in rows],
        failed={},
        out=config.out,
    )
    return numbers_file(NAME, config.out)


def findings_of(results: Results, folder: Path) -> Findings:
    """Return what an earlier version has found, from its file of numbers and its figure.

    Raises:
        ValueError: If it is damaged.
    """
    rows = typed(list[Row], [{"did_learn": [], **values} for values in results.rows], "rows")
    return _findings(rows, results.more["sample"], folder)


def _read(runs: Sequence[Path]) -> tuple[list[Row], dict[str, list[int]]]:
    """Return the rows, and the seeds and numbers of test images that they are of."""
    found: dict[Key, Row] = {}
    seeds: set[int] = set()
    images: set[int] = set()
    for path in sorted(runs):
        folder = RunFolder.existing(str(path))
        network = folder.path.name.partition("_")[0]
        uncompensated: set[str] = set()
        for file in sorted(folder.path.glob("evaluation-*.json")):
            result = Result.from_json(read_json(file))
            seeds.add(result.seed)
            images.add(result.test_images)
            for compensation, chips in result.accuracy.items():
                if compensation == _NONE:
                    if result.device in uncompensated:
                        continue  # every evaluation has it
                    uncompensated.add(result.device)
                key = (network, result.device, compensation)
                row = found.setdefault(
                    key,
                    Row(
                        network=network, device=result.device, compensation=compensation,
                        times=[], chips=[], did_learn=[],
                    ),
                )  # fmt: skip
                row.did_learn.append(result.did_learn)
                for time, column in zip(result.times, zip(*chips, strict=True), strict=True):
                    if time not in row.times:
                        row.times.append(time)
                        row.chips.append([])
                    row.chips[row.times.index(time)].extend(column)
    if not found:
        raise ValueError(
            "`runs` must be evaluated, but hold no evaluation. Use `xbar evaluate RUN --device DEVICE`."
        )
    return list(found.values()), {"seeds": sorted(seeds), "test_images": sorted(images)}


def _findings(rows: Sequence[Row], sample: Mapping[str, Any], folder: Path) -> Findings:
    times = sorted({time for row in rows for time in row.times})
    text = (
        f"Mean ± standard deviation over all chips of all seeds ({sample['seeds']}), {sample['test_images']} test "
        "images. *: beyond what was measured on such devices."
    )
    lines = []
    for row in sorted(rows, key=lambda row: (row.network, row.device)):
        name = row.network.upper() + mark(row.did_learn)
        lines.append([name, row.device, row.compensation, *(_cell(row, time) for time in times)])
    header = ["network", "device", "compensation", *map(format_time, times)]
    records = [
        {"network": row.network, "device": row.device, "compensation": row.compensation, "time_s": time,
         "chip": chip, "accuracy": accuracy}
        for row in rows
        for time, chips in zip(row.times, row.chips, strict=True)
        for chip, accuracy in enumerate(chips)
    ]  # fmt: skip
    sections = [
        Section(text=(text,), table=Table(header=header, rows=lines, text_columns=3), records=records),
        _gains({row.key: row for row in rows}),
    ]
    if not all(did_learn for row in rows for did_learn in row.did_learn):
        sections.append(Section(text=(RULE,)))
    if (folder / _FIGURE).exists():
        picture = Picture(path=folder / _FIGURE, description="Accuracy against time since programming")
        sections.append(Section(title="Figure", pictures=(picture,), page_only=True))
    summary = f"{len({row.device for row in rows})} devices, {len(sample['seeds'])} seeds."
    return Findings(title=TITLE, summary=summary, sections=sections, numbers={"sample": sample})


def _cell(row: Row, time: Seconds) -> str:
    chips = row.at(time)
    if chips is None:
        return NOTHING
    mean, spread = mean_and_std(chips)
    star = "*" * get(row.device).is_extrapolated(time)
    return f"{100 * mean:.1f} ± {100 * (spread or 0):.1f}{star}"


def _gains(rows: Mapping[Key, Row]) -> Section:
    """Compare compensation per tile with that of a layer, where the networks have learned."""
    lines = []
    for device in dict.fromkeys(device for _, device, _ in rows):
        pairs = [[rows.get((network, device, name)) for name in (_DRAWN, "global")] for network in _NETWORKS]
        lines.append([device, *(_gain(*pair) for pair in pairs)])
    text = (
        "Per tile against global (one factor for a layer), chip by chip, at the last time: gain in points ± standard "
        "error."
    )
    return Section(text=(text,), table=Table(header=["device", "FCN", "CNN"], rows=lines))


def _gain(per_tile: Row | None, of_layer: Row | None) -> str:
    if per_tile is None or of_layer is None or not all((*per_tile.did_learn, *of_layer.did_learn)):
        return NOTHING
    last = max(per_tile.times)
    pairs = zip(per_tile.at(last) or (), of_layer.at(last) or (), strict=True)
    gain = Mean.of(100 * (a - b) for a, b in pairs)
    return NOTHING if gain is None else f"{gain.value:+.2f} ± {gain.error or 0:.2f} ({format_time(last)})"


def _draw(rows: Sequence[Row], path: Path) -> None:
    devices = list(dict.fromkeys(row.device for row in rows))
    looks = dict(zip(devices, device_looks(devices), strict=True))
    by_row = {row.key: row for row in rows}
    figure = new_figure((10.4, 4.4))
    both = figure.subplots(1, 2, sharey=True)
    for axes, (network, title) in zip(both, _NETWORKS.items(), strict=True):
        times: set[Seconds] = set()
        for device in devices:
            for compensation, line in ((_DRAWN, "-"), (_NONE, ":")):
                row = by_row.get((network, device, compensation))
                if row is not None:
                    times |= set(row.times)
                    _draw_line(axes, row, looks[device], line)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(times)))
        axes.xaxis.set_minor_locator(NullLocator())
        shown = [format_time(time) if time != 172800 else "" for time in sorted(times)]
        axes.set_xticklabels(shown, fontsize="small")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_xlabel("time since programming")
        axes.set_title(title, loc="left", fontsize="medium")
        strip(axes)
    both[0].set_ylabel("test accuracy")
    for axes in both:
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", frameon=False, loc="lower left")
            break
    both[1].text(
        0.02, 0.03,
        "solid: a factor for each tile; dotted: no compensation\nband: ± one standard deviation over chips\n"
        "hollow: extrapolated",
        transform=both[1].transAxes, fontsize="small",
    )  # fmt: skip
    save_figure(figure, path)


def _draw_line(axes: Axes, row: Row, look: Look, line: str) -> None:
    color, marker = look
    means = [mean_and_std(values) for values in row.chips]
    mean = [value for value, _ in means]
    spread = [std or 0.0 for _, std in means]
    if line == "-":
        low, high = ([m + sign * s for m, s in zip(mean, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(row.times, low, high, color=color, alpha=0.15, lw=0)
    name = row.device + mark(row.did_learn) if line == "-" else None
    axes.plot(row.times, mean, color=color, ls=line, lw=1.5)
    axes.plot([], [], marker=marker, color=color, ls=line, lw=1.5, ms=4.5, label=name)
    for time, value in zip(row.times, mean, strict=True):
        beyond = get(row.device).is_extrapolated(time)
        axes.plot(time, value, marker, color=color, ms=4.5, mfc="white" if beyond else color)
