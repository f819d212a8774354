"""`xbar in-situ`: shared and unshared kernels, learning in situ on several devices."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from ...data.chance import RULE
from ...data.datasets import DataSplit, load_data
from ...data.examples import Facts, Shape
from ...drawing.figures import save_figure
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import GREY, PALE, scheme_color
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import NO_DEVICE, TrainConfig
from ...runs.options.device_names import label
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...runs.watching.record import Record
from ...support.answer import Answer
from ...support.json_files import read_json
from ...support.statistics import NOTHING, bare_percent
from ..options import line_of
from ..results import Results, numbers_file
from ..seeds import Seeds, by_key
from ..study import Findings, Point, Study, run_study
from .apart import Apart, apart_table, copies_apart, draw_apart
from .config import InSituConfig, InSituPlan
from .course import course_of, course_table, draw_course
from .rows import Row

NAME: Final = "in-situ"
TITLE: Final = "Learning in situ"
_WHY: Final = (
    "Of the first layer; means over seeds. Pulses to forget: pulses, half of them up, after which a device has lost "
    "its distance from its symmetry point but for a factor e. Cosine: of the change that an update made and the one "
    "that was wanted, median over tiles. Thirds of the training: medians."
)
_HOW_APART: Final = (
    "Standard deviation over 16 copies of a kernel after numbers of equal pulses, as often up as down, rms, in units "
    "of the devices; in brackets, what the spread and the noise of the devices explain (not where they stand at "
    "their bounds). Pairs are not refreshed here. Devices with a learning rule of their own are left out."
)
# How a table calls a placement, the network, and its placement.
PLACEMENTS: Final = {
    "free": ("fcn_digits", "free"),
    "replicated": ("cnn_digits", "replicated"),
    "time-multiplexed": ("cnn_digits", "time_multiplexed"),
}
_DIGITAL: Final = "digital"
_FIGURE: Final = "in_situ.png"
_COURSE: Final = "in_situ_course.png"
_APART: Final = "in_situ_copies.png"


@final
@dataclass(frozen=True)
class Cell(Seeds[Row]):
    """The runs of one device on one placement."""

    def text(self) -> str:
        """Return mean and standard deviation over the seeds, in per cent."""
        return bare_percent(row.accuracy for row in self.rows) + self.mark


@final
class InSitu(Study[Point, Row]):
    """Devices x placements.

    Args:
        config: What is done.
    """

    name = NAME

    config: InSituPlan

    @property
    @override
    def command(self) -> str:
        return line_of("in-situ", self.config, InSituConfig().resolved())

    @override
    def points(self) -> list[Point]:
        devices = [(device, "in-situ") for device in self.config.devices] + [(NO_DEVICE, _DIGITAL)]
        return [
            Point(device, mechanism, placement, seed)
            for (device, mechanism), placement, seed in product(devices, PLACEMENTS, self.config.seeds)
        ]

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        model, placement = PLACEMENTS[point.scheme]
        return TrainConfig(
            train_images=self.config.train_images,
            test_images=self.config.test_images,
            model=model,
            placement=placement,
            mode=point.mechanism,  # type: ignore[arg-type]
            device=point.device,
            seed=point.seed,
            epochs=self.config.epochs,
            record_every=0 if point.mechanism == _DIGITAL else 15,
            threads=self.config.threads,
            out=self.config.runs,
        )

    @override
    def data(self, seed: int) -> DataSplit:
        return load_data("digits", seed=seed)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        result = Result.from_json(read_json(folder.result_file))
        course = {}
        if point.mechanism != _DIGITAL:
            course = course_of(Record.read(folder.record_file))
        return Row(
            device=_DIGITAL if point.device == NO_DEVICE else label(point.device),
            placement=point.scheme,
            seed=point.seed,
            run=str(folder.path),
            command=command,
            accuracy=result.fresh_accuracy,
            pulses=course["pulses"][-1] if course else None,
            course=course,
            did_learn=result.did_learn,
        )

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        draw(rows, out / _FIGURE)
        draw_course(rows, out / _COURSE)
        apart = copies_apart(self.config.devices)
        draw_apart(apart, rows, out / _APART)
        return _findings(rows, failed, out, apart)


def run_in_situ(config: InSituPlan) -> Answer:
    """Train what is not trained yet, and write table, figure and page; errors as those of `run_study`.

    Returns:
        The file of numbers.
    """
    run_study(InSitu(config))
    return numbers_file(NAME, config.out)


def findings_of(results: Results, folder: Path) -> Findings:
    """Return what a study of an earlier version has to say: its entries held all seeds of a device and placement.

    Raises:
        ValueError: If it is damaged.
    """
    rows = []
    for point in results.rows:
        pulses = point["pulses"] or [None] * len(point["accuracy"])
        for seed, accuracy, pulse in zip(
            results.configuration["seeds"], point["accuracy"], pulses, strict=True
        ):
            device, placement = point["device"], point["placement"]
            rows.append(
                Row(
                    device=device,
                    placement=placement,
                    seed=seed,
                    run="",
                    command="",
                    accuracy=accuracy,
                    pulses=pulse,
                )
            )
    return _findings(rows, results.failed, folder)


def _findings(
    rows: Sequence[Row], failed: Mapping[str, str], folder: Path, apart: Sequence[Apart] = ()
) -> Findings:
    marked = () if all(row.did_learn for row in rows) else (RULE,)
    records = [
        {name: value for name, value in row.to_json().items() if value is not None and name != "course"}
        for row in rows
    ]
    sections = [
        Section(table=table(rows), records=records),
        Section(text=marked),
        *_pictures(folder, _FIGURE, "Accuracy, and pulses per device of the first layer"),
    ]
    if any(row.course for row in rows):
        sections += [
            Section(title="Why", text=(_WHY,), table=course_table(rows)),
            *_pictures(
                folder,
                _COURSE,
                "Distance from symmetry points, direction of updates, and pulses",
            ),
        ]
    if apart:
        sections += [
            Section(title="Copies that are never made equal", text=(_HOW_APART,), table=apart_table(apart)),
            *_pictures(folder, _APART, "Difference of copies against pulses"),
        ]
    if failed:
        items = [f"{name}: {reason}." for name, reason in failed.items()]
        sections.append(Section(title="Failed", items=items))
    return Findings(
        title=TITLE,
        summary="Test accuracy on the digits in %, as trained: mean ± standard deviation over "
        f"{len({row.seed for row in rows})} seeds.",
        sections=sections,
        numbers={"copies_apart": [one.to_json() for one in apart]},
    )


def _pictures(folder: Path, name: str, description: str) -> list[Section]:
    """Return a figure as a section; none if it was not drawn."""
    if not (folder / name).exists():
        return []
    picture = Picture(path=folder / name, description=description)
    return [Section(title="Figure", pictures=(picture,), page_only=True)]


def table(rows: Sequence[Row]) -> Table:
    """Return test accuracies: a row for each device, a column for each placement."""
    lines = []
    for of_device in by_key(rows, lambda row: row.device):
        cells = {group[0].placement: Cell(group) for group in by_key(of_device, lambda row: row.placement)}
        texts = [cells[placement].text() if placement in cells else NOTHING for placement in PLACEMENTS]
        lines.append([of_device[0].device, *texts])
    return Table(header=["device", *PLACEMENTS], rows=lines, align="l" * (1 + len(PLACEMENTS)))


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy, and pulses per device of the first layer, for each device and placement."""
    devices = list(dict.fromkeys(row.device for row in rows))
    cells = [Cell(group) for group in by_key(rows, lambda row: (row.device, row.placement))]
    figure = new_figure((9.5, 1.0 + 0.55 * len(devices)))
    accuracy, pulses = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for offset, placement in zip((-0.22, 0.0, 0.22), PLACEMENTS, strict=True):
        color = scheme_color(placement)
        for cell in (cell for cell in cells if cell.first.placement == placement):
            y = len(devices) - devices.index(cell.first.device) + offset
            name = placement if cell.first.device == devices[0] else None
            known = [row.pulses for row in cell.rows if row.pulses is not None]
            for axes, values in ((accuracy, [100 * row.accuracy for row in cell.rows]), (pulses, known)):
                if values:
                    axes.plot(values, [y] * len(values), "o", color=color, alpha=0.45, ms=5, mew=0)
                    axes.plot(statistics.fmean(values), y, "|", color=color, ms=13, mew=2.5, label=name)
            if cell.mark:
                place = (100 * max(row.accuracy for row in cell.rows) + 1.5, y)
                accuracy.annotate(cell.mark.lstrip(", "), place, color=GREY, fontsize="x-small", va="center")
    accuracy.set_yticks(range(len(devices), 0, -1), devices)
    accuracy.set_xlabel("test accuracy in %")
    pulses.set_xlabel("pulses per device, first layer")
    pulses.set_xscale("log")
    handles = accuracy.get_legend_handles_labels()
    figure.legend(*handles, title="kernels", loc="outside lower center", ncols=3, frameon=False)
    for axes in (accuracy, pulses):
        axes.grid(axis="x", color=PALE, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    figure.suptitle("Learning in situ on the digits: dots are seeds, bars their means")
    save_figure(figure, path)
