"""Accuracy over a year on many devices, unshared beside shared kernels: the table and the figure of the README.

    python -P -m experiments.studies.retention.study RUN... --out docs

reads what `xbar train` and `xbar evaluate RUN --device DEVICE --compensation COMPENSATION` wrote into the folders of
runs with one FCN or CNN and any seeds, and writes retention.json, retention.md and retention.png. Nothing is computed
anew. Chips of one number and seed are the same devices under every compensation, so compensations are compared chip
by chip.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, final

import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from devices import get
from devices.files import write_atomically
from devices.units import Seconds

from ...drawing.figures import save_figure, strip
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.durations import format_time
from ...support.json_files import read_json, write_json
from ...support.statistics import mean_and_std

_NETWORKS: Final = {"fcn": "FCN: a kernel and a tile for each location", "cnn": "CNN: one kernel, one tile"}
_STYLES: Final = (
    ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#E69F00", "D"), ("#CC79A7", "v"), ("#000000", "x"),
)  # fmt: skip
_DRAWN: Final = "per_tile"
_NONE: Final = "none"

Key = tuple[str, str, str]  # network, device, compensation
Chips = dict[Seconds, list[float]]


@final
@dataclass(frozen=True, kw_only=True)
class RetentionConfig:
    """Put the evaluations of several runs together: accuracy over time, by device, network and compensation."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs."""
    out: Path = Path("docs")
    """Folder for table, figure and numbers."""


def run(config: RetentionConfig) -> None:
    """Read all evaluations, write table, numbers and figure.

    Raises:
        ValueError: If a folder is no finished run, or none was evaluated.
    """
    found, extrapolated, sample = _read(config.runs)
    config.out.mkdir(parents=True, exist_ok=True)
    text = _markdown(found, extrapolated, sample)
    write_json(
        config.out / "retention.json",
        {
            "sample": sample,
            "accuracy": [
                {
                    "network": network,
                    "device": device,
                    "compensation": compensation,
                    "times": list(chips),
                    "chips": list(chips.values()),
                }
                for (network, device, compensation), chips in found.items()
            ],
        },
    )
    write_atomically(config.out / "retention.md", text.encode())
    _draw(found, extrapolated, config.out / "retention.png")
    print(text)


def _read(
    runs: Sequence[Path],
) -> tuple[dict[Key, Chips], dict[str, tuple[Seconds, ...]], dict[str, object]]:
    found: dict[Key, Chips] = {}
    extrapolated: dict[str, tuple[Seconds, ...]] = {}
    seeds: set[int] = set()
    images: set[int] = set()
    for path in sorted(runs):
        folder = RunFolder.existing(str(path))
        network = folder.path.name.partition("_")[0]
        unread = {_NONE: set[str]()}
        for file in sorted(folder.path.glob("evaluation-*.json")):
            result = Result.from_json(read_json(file))
            seeds.add(result.seed)
            images.add(result.test_images)
            device = get(result.device)
            extrapolated[device.name] = tuple(t for t in result.times if device.is_extrapolated(t))
            for compensation, chips in result.accuracy.items():
                if compensation == _NONE:
                    if result.device in unread[_NONE]:
                        continue  # every evaluation has it
                    unread[_NONE].add(result.device)
                columns = found.setdefault((network, result.device, compensation), {})
                for time, column in zip(result.times, zip(*chips, strict=True), strict=True):
                    columns.setdefault(time, []).extend(column)
    if not found:
        raise ValueError(
            "`runs` must be evaluated, but hold no evaluation. Use `xbar evaluate RUN --device DEVICE`."
        )
    return found, extrapolated, {"seeds": sorted(seeds), "test_images": sorted(images)}


def _markdown(
    found: Mapping[Key, Chips], extrapolated: Mapping[str, tuple[Seconds, ...]], sample: Mapping[str, object]
) -> str:
    times = sorted({time for chips in found.values() for time in chips})
    lines = [
        f"Mean ± standard deviation over all chips of all seeds ({sample['seeds']}), {sample['test_images']} test "
        "images. *: beyond what was measured on such devices.",
        "",
        "| network | device | compensation | " + " | ".join(format_time(time) for time in times) + " |",
        "|---|---|---|" + "--:|" * len(times),
    ]
    for (network, device, compensation), chips in sorted(found.items(), key=lambda item: item[0][:2]):
        cells = []
        for time in times:
            if time not in chips:
                cells.append("-")
                continue
            mean, spread = mean_and_std(chips[time])
            star = "*" * (time in extrapolated[device])
            cells.append(f"{100 * mean:.1f} ± {100 * (spread or 0):.1f}{star}")
        lines.append(f"| {network.upper()} | {device} | {compensation} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Per tile against global (one factor for a layer), chip by chip, at the last time: gain in points ± standard "
        "error.",
        "",
        "| device | FCN | CNN |",
        "|---|--:|--:|",
    ]
    for device in dict.fromkeys(device for _, device, _ in found):
        gains = []
        for network in _NETWORKS:
            pair = [found.get((network, device, name)) for name in (_DRAWN, "global")]
            gains.append("-" if pair[0] is None or pair[1] is None else _gain(pair[0], pair[1]))
        lines.append(f"| {device} | {' | '.join(gains)} |")
    return "\n".join(lines) + "\n"


def _gain(per_tile: Chips, of_layer: Chips) -> str:
    last = max(per_tile)
    gains = [100 * (a - b) for a, b in zip(per_tile[last], of_layer[last], strict=True)]
    error = statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return f"{statistics.fmean(gains):+.2f} ± {error:.2f} ({format_time(last)})"


def _draw(found: Mapping[Key, Chips], extrapolated: Mapping[str, tuple[Seconds, ...]], path: Path) -> None:
    devices = list(dict.fromkeys(device for _, device, _ in found))
    styles = dict(zip(devices, _STYLES, strict=False))
    figure = Figure(figsize=(10.4, 4.4), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, (network, title) in zip(both, _NETWORKS.items(), strict=True):
        times: set[Seconds] = set()
        for device in devices:
            for compensation, line in ((_DRAWN, "-"), (_NONE, ":")):
                chips = found.get((network, device, compensation))
                if chips is not None:
                    times |= set(chips)
                    _draw_line(axes, chips, styles[device], line, extrapolated[device], device)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(times)))
        axes.xaxis.set_minor_locator(NullLocator())
        shown = [format_time(time) if time != 172800 else "" for time in sorted(times)]
        axes.set_xticklabels(shown, fontsize=8)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_xlabel("time since programming")
        axes.set_title(title, loc="left", fontsize=10)
        strip(axes)
    both[0].set_ylabel("test accuracy")
    both[0].legend(fontsize=8, frameon=False, loc="lower left")
    both[1].text(
        0.02, 0.03,
        "solid: a factor for each tile; dotted: no compensation\nband: ± one standard deviation over chips\n"
        "hollow: extrapolated",
        transform=both[1].transAxes, fontsize=8,
    )  # fmt: skip
    save_figure(figure, path)


def _draw_line(
    axes: Axes, chips: Chips, style: tuple[str, str], line: str, beyond: Sequence[Seconds], device: str
) -> None:
    color, marker = style
    rows = [mean_and_std(values) for values in chips.values()]
    mean = [row[0] for row in rows]
    spread = [row[1] or 0.0 for row in rows]
    if line == "-":
        low, high = ([m + sign * s for m, s in zip(mean, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(list(chips), low, high, color=color, alpha=0.15, lw=0)
    axes.plot(list(chips), mean, color=color, ls=line, lw=1.5, label=device if line == "-" else None)
    for time, value in zip(chips, mean, strict=True):
        axes.plot(time, value, marker, color=color, ms=4.5, mfc="white" if time in beyond else color)


if __name__ == "__main__":
    run(tyro.cli(RetentionConfig))
