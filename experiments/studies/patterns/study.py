"""`xbar patterns`: kernels shared or free x patterns of absent devices shared or each tile's own."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, final

from typing_extensions import override

from devices.units import Dimensionless

from ...data.chance import RULE
from ...data.datasets import DataSplit, load_data
from ...data.examples import Facts, Shape
from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import AMBER, BLUE, PALE, SKY, VERMILION
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import NO_DEVICE, Mode, TrainConfig
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.json_files import read_json
from ...support.statistics import NOTHING, Mean
from ..options import line_of
from ..results import numbers_file
from ..seeds import Seeds, by_key
from ..study import Findings, Study, run_study
from .config import PatternsConfig, PatternsPlan

NAME: Final = "patterns"
TITLE: Final = "Are weights hard to share, or patterns of connections?"
# As many tiles as the network without sharing has: one for each location.
_COPIES: Final = "local1=replicated(tiles=36),local2=replicated(tiles=16)"
_SHARED: Final = ("cnn_digits", _COPIES)
_FREE: Final = ("fcn_digits", "free")
BOTH, WEIGHTS, PATTERNS, NEITHER = "weights and patterns", "weights alone", "patterns alone", "neither"
# What is shared: the network, its placement, and whose pattern of absent devices a tile has.
SCHEMES: Final = {
    BOTH: (*_SHARED, "common"),
    WEIGHTS: (*_SHARED, "own"),
    PATTERNS: (*_FREE, "common"),
    NEITHER: (*_FREE, "own"),
}
# Where nothing is absent, patterns do not differ.
_ALIKE: Final = {WEIGHTS: BOTH, NEITHER: PATTERNS}
_COLORS: Final = {BOTH: VERMILION, WEIGHTS: AMBER, PATTERNS: BLUE, NEITHER: SKY}
_WORDS: Final[dict[Mode, str]] = {
    "digital": "digital",
    "hwa": "hardware-aware",
    "in-situ": "in situ",
    "write-verify": "write-verify",
}
_FIGURE: Final = "patterns.png"


@final
@dataclass(frozen=True, order=True)
class Point:
    """One run.

    Attributes:
        mode: Where it learns.
        scheme: Key of `SCHEMES`.
        share: Of the weights that are absent.
        seed: The run's seed.
    """

    mode: Mode
    scheme: str
    share: Dimensionless
    seed: int

    @property
    def name(self) -> str:
        """How a progress bar calls it."""
        return f"{self.mode}, shares {self.scheme}, {self.share:g} absent, seed {self.seed}"


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        mode: Where it learned.
        scheme: Key of `SCHEMES`.
        share: Of the weights that are absent.
        seed: The run's seed.
        run: The run's folder.
        command: The `xbar train` line that repeats it.
        accuracy: On test images: digital, of fresh chips, or of the devices as trained.
        residual: Difference of copies, relative to the weights, mean over layers; None where there are none.
        did_learn: Whether the network learned at all; see `chance.RULE`.
    """

    mode: Mode
    scheme: str
    share: Dimensionless
    seed: int
    run: str
    command: str
    accuracy: Dimensionless
    residual: Dimensionless | None
    did_learn: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Cell(Seeds[Row]):
    """The runs of one mode, scheme and share."""


@final
class Patterns(Study[Point, Row]):
    """Modes x schemes x shares x seeds.

    Args:
        config: What is done.
    """

    name = NAME

    config: PatternsPlan

    @property
    @override
    def command(self) -> str:
        return line_of(NAME, self.config, PatternsConfig().resolved())

    @override
    def points(self) -> list[Point]:
        config = self.config
        return [
            Point(mode, scheme, share, seed)
            for seed, mode, share, scheme in product(config.seeds, config.modes, config.shares, SCHEMES)
            if share or scheme not in _ALIKE
        ]

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        model, placement, pattern = SCHEMES[point.scheme]
        config = self.config
        device = {"digital": NO_DEVICE, "hwa": config.programmed}.get(point.mode, config.learning)
        return TrainConfig(
            train_images=config.train_images,
            test_images=config.test_images,
            model=model,
            placement=placement,
            absent_weights=point.share,
            absent_pattern=pattern if point.share else None,  # type: ignore[arg-type]
            mode=point.mode,
            device=device,
            times="1s" if point.mode == "hwa" else None,
            seed=point.seed,
            epochs=config.epochs,
            threads=config.threads,
            out=config.runs,
        )

    @override
    def data(self, seed: int) -> DataSplit:
        return load_data("digits", seed=seed)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        result = Result.from_json(read_json(folder.result_file))
        looks = [layer[0]["rms"] for layer in result.copies.values()]
        return Row(
            mode=point.mode,
            scheme=point.scheme,
            share=point.share,
            seed=point.seed,
            run=str(folder.path),
            command=command,
            accuracy=result.fresh_accuracy,
            residual=statistics.fmean(looks) if looks else None,
            did_learn=result.did_learn,
        )

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        draw(rows, out / _FIGURE)
        return _findings(rows, failed, out)


def run_patterns(config: PatternsPlan) -> Answer:
    """Train what is not trained yet, and write table, figure and page; errors as those of `run_study`.

    Returns:
        The file of numbers.
    """
    run_study(Patterns(config))
    return numbers_file(NAME, config.out)


def _findings(rows: Sequence[Row], failed: Mapping[str, str], folder: Path) -> Findings:
    marked = () if all(row.did_learn for row in rows) else (RULE,)
    records = [{name: value for name, value in row.to_json().items() if value is not None} for row in rows]
    sections = [
        Section(table=table(rows), records=records),
        Section(text=marked),
        Section(
            title="What each costs",
            text=(
                "Points of accuracy against the network that shares both, with 95 % intervals over seeds: with a "
                "pattern of its own on every tile, with a kernel of its own, and with both.",
            ),
            table=costs(rows),
        ),
    ]
    if (folder / _FIGURE).exists():
        picture = Picture(
            path=folder / _FIGURE, description="Accuracy, and difference of copies, against absent weights"
        )
        sections.append(Section(title="Figure", pictures=(picture,), page_only=True))
    if failed:
        items = [f"{name}: {reason}." for name, reason in failed.items()]
        sections.append(Section(title="Failed", items=items))
    return Findings(
        title=TITLE,
        summary="Test accuracy on the digits in %, mean ± standard deviation over "
        f"{len({row.seed for row in rows})} seeds; in brackets the difference of copies in % of the weights.",
        sections=sections,
    )


def cells_of(rows: Sequence[Row]) -> dict[tuple[Mode, Dimensionless, str], Cell]:
    """Return the runs of every mode, share and scheme; where nothing is absent, schemes that are alike share runs."""
    cells = {
        (group[0].mode, group[0].share, group[0].scheme): Cell(group)
        for group in by_key(rows, lambda row: (row.mode, row.share, row.scheme))
    }
    for (mode, share, scheme), cell in list(cells.items()):
        if not share:
            cells |= {(mode, share, twin): cell for twin, of in _ALIKE.items() if of == scheme}
    return cells


def table(rows: Sequence[Row]) -> Table:
    """Return test accuracies: a row for each mode and share, a column for each scheme."""
    cells, lines = cells_of(rows), []
    for mode, share in dict.fromkeys((row.mode, row.share) for row in rows):
        texts = []
        for scheme in SCHEMES:
            cell = cells.get((mode, share, scheme))
            if cell is None:
                texts.append(NOTHING)
                continue
            accuracy, residual = cell.of(lambda row: row.accuracy), cell.of(lambda row: row.residual)
            assert accuracy is not None
            between = "" if residual is None else f" ({100 * residual.value:.1f})"
            texts.append(f"{accuracy.percent()}{between}{cell.mark}")
        lines.append([_WORDS[mode], f"{100 * share:.0f} %", *texts])
    header = ["learned", "absent", *(f"shares {scheme}" for scheme in SCHEMES)]
    return Table(header=header, rows=lines, align="lr" + "r" * len(SCHEMES))


def costs(rows: Sequence[Row]) -> Table:
    """Return what it costs not to share patterns, weights, or both, seed by seed."""
    cells, lines = cells_of(rows), []
    for mode, share in dict.fromkeys((row.mode, row.share) for row in rows):
        best = cells.get((mode, share, BOTH))
        texts = []
        for scheme in (WEIGHTS, PATTERNS, NEITHER):
            cell = cells.get((mode, share, scheme))
            mean = None if best is None or cell is None else _difference(cell, best)
            reach = "" if mean is None or mean.reach is None else f" ± {100 * mean.reach:.1f}"
            texts.append(NOTHING if mean is None else f"{100 * mean.value:+.1f}{reach}")
        lines.append([_WORDS[mode], f"{100 * share:.0f} %", *texts])
    header = ["learned", "absent", "own patterns", "own weights", "own both"]
    return Table(header=header, rows=lines, align="lrrrr")


def _difference(cell: Cell, best: Cell) -> Mean | None:
    other = {row.seed: row.accuracy for row in best.rows}
    return Mean.of(row.accuracy - other[row.seed] for row in cell.rows if row.seed in other)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy, and the difference of copies, against the share of absent weights; a column for each mode."""
    modes, cells = list(dict.fromkeys(row.mode for row in rows)), cells_of(rows)
    quantities = {"test accuracy in %": _accuracy}
    if any(row.residual is not None for row in rows):
        quantities["difference of copies in %"] = _residual
    figure = new_figure((3.2 * len(modes) + 1.2, 2.7 * len(quantities) + 0.6))
    panels = figure.subplots(len(quantities), len(modes), sharex=True, sharey="row", squeeze=False)
    for line, (words, quantity) in zip(panels, quantities.items(), strict=True):
        line[0].set_ylabel(words)
        for axes, mode in zip(line, modes, strict=True):
            for scheme, color in _COLORS.items():
                known = [
                    (100 * share, mean)
                    for (of, share, which), cell in sorted(cells.items())
                    if (of, which) == (mode, scheme) and (mean := cell.of(quantity)) is not None
                ]
                axes.errorbar(
                    [share for share, _ in known], [100 * mean.value for _, mean in known],
                    yerr=[100 * (mean.std or 0.0) for _, mean in known],
                    fmt="o-", color=color, ms=4, capsize=2, label=scheme,
                )  # fmt: skip
            axes.grid(color=PALE, lw=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    for axes, mode in zip(panels[0], modes, strict=True):
        axes.set_title(_WORDS[mode])
    for axes in panels[-1]:
        axes.set_xlabel("absent weights in %")
    handles = panels[0][0].get_legend_handles_labels()
    columns = 4 if len(modes) > 1 else 2
    figure.legend(*handles, title="tiles share", loc="outside lower center", ncols=columns, frameon=False)
    save_figure(figure, path)


def _accuracy(row: Row) -> Dimensionless | None:
    return row.accuracy


def _residual(row: Row) -> Dimensionless | None:
    return row.residual
