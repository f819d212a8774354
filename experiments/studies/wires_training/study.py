"""`xbar wires-training`: accuracy against wire resistance, trained with and without the wires."""

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypedDict, final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from crossbar import WireParameters
from devices.units import Dimensionless, Ohm

from ...data.chance import RULE, mark
from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, SERIES
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import available_threads
from ...runs.result import Result
from ...runs.run import Run
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.environment import describe_environment
from ...support.json_files import read_json
from ...support.statistics import mean_and_std, percent
from ...support.typed_values import typed
from ..results import Results, numbers_file
from ..study import Findings, write_findings
from .config import WiresTrainingConfig

NAME: Final = "wires-training"
TITLE: Final = "Training with wires"
_NETWORKS: Final = {"fcn": "FCN: a kernel and a tile for each location", "cnn": "CNN: one kernel, one tile"}
_MARKERS: Final = "os^Dv"
_FIGURE: Final = "wires_training.png"

Accuracies = dict[Ohm, list[Dimensionless]]  # resistance of the chips -> mean of each run's chips


@final
@dataclass(kw_only=True)
class Row:
    """One network trained in one way, with all its seeds.

    Attributes:
        network: "fcn" or "cnn".
        trained_with_ohm: Resistance of a wire segment in the training.
        exact: By the resistance of the chips, the mean over each run's chips, computed exactly.
        aihwkit: The same by aihwkit's `ir_drop`.
        did_learn: For each run, whether its network learned; see `chance.RULE`.
    """

    network: str
    trained_with_ohm: Ohm
    exact: Accuracies
    aihwkit: Accuracies
    did_learn: list[bool]


def run_wires_training(config: WiresTrainingConfig) -> Answer:
    """Read all studies of wires, write table, numbers, figure and page.

    Returns:
        The file of numbers.

    Raises:
        FileNotFoundError: If a folder or its wires.json is missing.
        ValueError: If they are damaged, or their arrays, images or resistances differ.
    """
    rows, sample = _read(config.runs)
    config.out.mkdir(parents=True, exist_ok=True)
    _draw(rows, sample, config.out / _FIGURE)
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


def _read(runs: Sequence[Path]) -> tuple[list[Row], str]:
    """Return the rows, and a sentence on what they are of."""
    found: dict[tuple[str, Ohm], Row] = {}
    samples = []
    for path in runs:
        folder = RunFolder.existing(str(path))
        trained = folder.read_config()
        study = _study_of(path / "wires.json")
        points = [point for point in study["points"] if point["layout"] == "tiles"]
        if not points:
            raise ValueError(
                f"`runs` must have wires in tiles, but {path} has none. Call `xbar wires {path}`."
            )
        samples.append(
            f"{trained.data}, {trained.device}, arrays of up to {_only(p['tile_size'] for p in points)} x "
            f"{points[0]['tile_size']}, {study['chips']} chip(s) each, {study['test_images']} test images, "
            f"{trained.train_images or 'all'} training images, {trained.epochs} epochs"
        )
        network, ohm = str(trained.model).partition("_")[0], _resistance(trained)
        row = found.setdefault(
            (network, ohm), Row(network=network, trained_with_ohm=ohm, exact={}, aihwkit={}, did_learn=[])
        )
        row.did_learn.append(Result.from_json(read_json(folder.result_file)).did_learn)
        for point in points:
            for accuracies, chips in ((row.exact, point["exact"]), (row.aihwkit, point["aihwkit"])):
                accuracies.setdefault(point["ohm"], []).append(statistics.fmean(chips))
    return list(found.values()), str(_only(samples))


class _Point(TypedDict):
    layout: str
    tile_size: int
    ohm: float
    exact: list[float]
    aihwkit: list[float]
    errors: dict[str, Any]


class _Wires(TypedDict):
    """What wires.json holds."""

    chips: int
    test_images: int
    device: str
    run: str
    points: list[_Point]


def _study_of(path: Path) -> _Wires:
    content = read_json(path)
    try:
        return typed(_Wires, content)
    except ValueError as error:
        raise ValueError(
            f"`runs` must hold undamaged studies of wires, but {path} is damaged: {error}. Repeat `xbar wires`."
        ) from None


def _only(values: Any) -> Any:
    different = list(dict.fromkeys(values))
    if len(different) != 1:
        raise ValueError(
            f"`runs` must be studied alike, but differ: {' / '.join(map(str, different))}. "
            "Call `xbar wires` with the same options for all."
        )
    return different[0]


def _resistance(trained: Run) -> Ohm:
    return 0.0 if trained.wires is None else WireParameters.parse(trained.wires).bit_line


def _findings(rows: Sequence[Row], sample: str, folder: Path) -> Findings:
    ohms = sorted(rows[0].exact)
    seeds = len(rows[0].exact[ohms[0]])
    lines = []
    for how, name in (("exactly", "exact"), ("aihwkit's `ir_drop`", "aihwkit")):
        for row in sorted(rows, key=lambda row: (row.network, row.trained_with_ohm), reverse=True):
            accuracies: Accuracies = getattr(row, name)
            network = row.network.upper() + mark(row.did_learn)
            lines.append([network, _ohm(row.trained_with_ohm), how, *(percent(accuracies[o]) for o in ohms)])
    header = ["network", "trained with wires of", "computed", *map(_ohm, ohms)]
    records = [
        {"network": row.network, "trained_with_ohm": row.trained_with_ohm, "computed": name, "ohm": ohm,
         "number": number, "accuracy": accuracy}
        for row in rows
        for name in ("exact", "aihwkit")
        for ohm, values in getattr(row, name).items()
        for number, accuracy in enumerate(values)
    ]  # fmt: skip
    sections = [
        Section(
            text=(f"{sample}; mean ± standard deviation over {seeds} seeds.",),
            table=Table(header=header, rows=lines, align="l" * len(header)),
            records=records,
        )
    ]
    if not all(did_learn for row in rows for did_learn in row.did_learn):
        sections.append(Section(text=(RULE,)))
    if (folder / _FIGURE).exists():
        picture = Picture(path=folder / _FIGURE, description="Accuracy against the resistance of wires")
        sections.append(Section(title="Figure", pictures=(picture,), page_only=True))
    return Findings(title=TITLE, summary=f"{sample}.", sections=sections, numbers={"sample": sample})


def _ohm(ohm: Ohm) -> str:
    return f"{ohm:g} Ω" if ohm else "no resistance"


def _draw(rows: Sequence[Row], sample: str, path: Path) -> None:
    figure = new_figure((9.6, 4.2))
    networks = [network for network in _NETWORKS if any(row.network == network for row in rows)]
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network in zip(panels, networks, strict=True):
        mine = sorted((r for r in rows if r.network == network), key=lambda row: row.trained_with_ohm)
        for row, color, marker in zip(mine, SERIES, _MARKERS, strict=False):
            ohm = row.trained_with_ohm
            name = f"trained with wires of {_ohm(ohm)}" if ohm else "trained without wires"
            _line(axes, row.exact, color, marker, "-", name + mark(row.did_learn))
            _line(axes, row.aihwkit, color, marker, ":", None)
        axes.set_title(_NETWORKS[network], loc="left", fontsize="medium")
        axes.set_xlabel("resistance of a wire segment, ohm")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        strip(axes)
    panels[0].set_ylabel("test accuracy")
    legend = panels[0].legend(
        frameon=False, fontsize="small", loc="lower left", title="solid: exact; dotted: aihwkit's ir_drop"
    )
    legend.get_title().set_fontsize(8.5)
    figure.suptitle(sample, x=0.01, ha="left", fontsize="small", color=GREY)
    save_figure(figure, path)


def _line(axes: Axes, accuracies: Accuracies, color: str, marker: str, style: str, label: str | None) -> None:
    ohms = sorted(accuracies)
    places = [
        ohm or ohms[1] / 3 for ohm in ohms
    ]  # no resistance stands at the left end of the logarithmic axis
    means = [statistics.fmean(accuracies[ohm]) for ohm in ohms]
    spreads = [mean_and_std(accuracies[ohm])[1] or 0.0 for ohm in ohms]
    axes.errorbar(
        places,
        means,
        yerr=spreads,
        ls=style,
        color=color,
        marker=marker,
        ms=5,
        lw=1.8,
        capsize=2.5,
        label=label,
    )
    axes.set_xscale("log")
    axes.set_xticks(places, ["0" if not ohm else f"{ohm:g}" for ohm in ohms])
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
