"""A study: points that are trained once each, and what their runs have to say together.

Whoever adds one writes a class with the points, the `xbar train` wish of each, the row that is read off a finished
run, and the sections of what is told; planning, running, resuming and writing is done here.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, final

from devices.files import begin_manifest, write_atomically
from models import NETWORKS

from ..commands.train import run_train
from ..data.datasets import DataSplit, load_data
from ..data.examples import Facts, Shape, facts_of
from ..drawing.html_page import write_page
from ..drawing.sections import Section, csv_of, markdown_of
from ..runs.options.command_line import command_of
from ..runs.options.config import NO_DEVICE, TrainConfig
from ..runs.options.defaults import is_like_a_text, resolve
from ..runs.rates.tuned import say_other_length
from ..runs.run_data import refuse_too_many
from ..runs.run_folder import RunFolder
from ..support.environment import describe_environment
from ..support.parallel import do_all
from .results import write_results


@final
@dataclass(frozen=True, order=True)
class Point:
    """One run of a study of devices, mechanisms of learning and schemes of sharing.

    Attributes:
        device: The memory cell, by its name or file.
        mechanism: How it gets its weights: a mode of `xbar train`.
        scheme: How kernels are shared: a placement as the user wrote it, or a network that has one of its own.
        seed: The run's seed.
    """

    device: str
    mechanism: str
    scheme: str
    seed: int

    @property
    def name(self) -> str:
        """How a progress bar calls it."""
        return f"{self.device}, {self.mechanism}, {self.scheme}, seed {self.seed}"


class NamedPoint(Protocol):
    """One run of a study."""

    @property
    def name(self) -> str:
        """How a progress bar calls it."""

    @property
    def seed(self) -> int:
        """The run's seed."""


class StudyRow(Protocol):
    """What came out of one run."""

    @property
    def command(self) -> str:
        """The `xbar train` line that repeats it."""

    @property
    def did_learn(self) -> bool:
        """Whether the network learned at all; see `chance.RULE`."""

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""


class StudyPlan(Protocol):
    """What every study knows before it starts."""

    @property
    def jobs(self) -> int:
        """Runs at the same time."""

    @property
    def threads(self) -> int:
        """Threads of each run."""

    @property
    def dask(self) -> str | None:
        """Address of a Dask scheduler."""

    @property
    def runs(self) -> Path:
        """Folder that holds the folders of the single runs."""

    @property
    def out(self) -> Path:
        """Folder for tables, figures and page."""

    def to_json(self) -> dict[str, Any]:
        """Return all fields in the types of JSON."""


AnyPoint = TypeVar("AnyPoint", bound=NamedPoint)
AnyRow = TypeVar("AnyRow", bound=StudyRow)


@final
@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study has to say.

    Attributes:
        title: What it is about.
        summary: What came out, in a sentence or two, at the head of the page.
        sections: Its parts.
        numbers: Further entries of its JSON.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    numbers: Mapping[str, Any] = field(default_factory=dict)


class Study(ABC, Generic[AnyPoint, AnyRow]):
    """A study.

    Attributes:
        name: As on the command line.
        config: What is done; a `StudyPlan`.
    """

    name: ClassVar[str]

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def work(self) -> Callable[[TrainConfig], object]:
        """What is done for each point: a function of a module that can be repeated, and goes on where it stopped."""
        return run_train

    @property
    @abstractmethod
    def command(self) -> str:
        """The line that repeats the study."""

    @abstractmethod
    def points(self) -> list[AnyPoint]:
        """Return all runs, in the order in which they are done."""

    @abstractmethod
    def wish(self, point: AnyPoint, known: Facts | Shape) -> TrainConfig:
        """Return what `xbar train` is asked for, for one run.

        Args:
            point: The run.
            known: What is known of the data.
        """

    @abstractmethod
    def row(self, point: AnyPoint, command: str, folder: RunFolder) -> AnyRow:
        """Read a finished run."""

    @abstractmethod
    def findings(self, rows: Sequence[AnyRow], failed: Mapping[str, str], out: Path) -> Findings:
        """Say what the runs have to say together, and draw the figures into a folder."""

    def entry(self, row: AnyRow, out: Path) -> dict[str, Any]:
        """Return a row as it stands in the JSON in a folder."""
        return row.to_json()

    def is_done(self, folder: RunFolder) -> bool:
        """Say whether a run is finished."""
        return folder.result_file.exists()

    def look_at(self, facts: Facts) -> None:
        """Look at what is known of the data, before anything is run; points that do not suit it may be left out."""

    def prepare(self, data: DataSplit) -> None:
        """Do what the runs ask for before they can be planned, such as a search for learning rates."""

    def data(self, seed: int) -> DataSplit:
        """Load the images, to know their shape and number."""
        config = self.config
        return load_data(
            config.data,
            config.data_dir,
            seed=seed,
            download=config.download,
            train_images=config.train_images,
            test_images=config.test_images,
            loss=getattr(config, "loss", None),
            metric=getattr(config, "metric", None),
        )


def run_study(study: Study[AnyPoint, AnyRow]) -> list[AnyRow]:
    """Do what is not done yet, then write tables, figures, page and numbers.

    Returns:
        One row for each run that ended well.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data or a device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    config: StudyPlan = study.config
    points = study.points()
    data = study.data(points[0].seed)
    refuse_too_many(config, data)
    study.look_at(data.facts)
    study.prepare(data)
    points = study.points()
    memory = getattr(config, "memory", None)
    wishes = {point: within(memory, study.wish(point, data.facts)) for point in points}
    runs = {point: resolve(wish, data.facts) for point, wish in wishes.items()}
    folders = {point: RunFolder.of(run) for point, run in runs.items()}
    tuned = getattr(config, "tuned", None)
    if tuned is not None:
        say_other_length(tuned, runs[points[0]].epochs, len(data.train))
    todo = {point.name: wishes[point] for point in points if not study.is_done(folders[point])}
    where = f"{config.jobs} at a time" if config.dask is None else f"on {config.dask}"
    print(
        f"{len(points)} runs, {len(points) - len(todo)} of them finished; {where}. "
        f"Tables, figures, page: {config.out}"
    )
    failed = do_all(
        study.work,
        todo,
        total=len(points),
        jobs=config.jobs,
        threads=config.threads,
        folder=config.runs,
        dask=config.dask,
    )
    if len(failed) == len(points):
        raise ValueError(next(iter(failed.values())))
    rows = [
        study.row(point, command_of(wishes[point]), folders[point])
        for point in points
        if point.name not in failed
    ]
    write_study(study, rows, failed, config.out)
    return rows


def within(memory: str | None, wish: TrainConfig) -> TrainConfig:
    """Return a wish with a bound on the memory of its work, where that is divided: on tiles."""
    return wish if memory is None or wish.device == NO_DEVICE else replace(wish, memory=memory)


def write_study(
    study: Study[AnyPoint, AnyRow], rows: Sequence[AnyRow], failed: Mapping[str, str], out: Path
) -> None:
    """Write what a study found; see `write_findings`.

    Args:
        study: The study.
        rows: Its runs.
        failed: Those that broke off, and why.
        out: The folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    begin_folder(out)
    write_findings(
        study.findings(rows, failed, out),
        study=study.name,
        command=study.command,
        configuration=study.config.to_json(),
        environment=describe_environment(study.config.threads),
        rows=[study.entry(row, out) for row in rows],
        failed=failed,
        out=out,
    )


def begin_folder(folder: Path) -> None:
    """Give the folder of a study a manifest, so that damage to what is written from now on is noticed.

    All of a study is written anew, so an earlier manifest, even a damaged one, has nothing left to say; that of a run
    is left alone.
    """
    if not RunFolder(folder).config_file.exists():
        begin_manifest(folder)


def write_findings(
    findings: Findings,
    *,
    study: str,
    command: str,
    configuration: Mapping[str, Any],
    environment: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    failed: Mapping[str, str],
    out: Path,
) -> None:
    """Write Markdown to read, a page, JSON and CSV to compute with, all from the same sections; print the Markdown.

    Args:
        findings: What is told.
        study: Name of the study, after which the files are called.
        command: The line that repeats it.
        configuration: What was asked for.
        environment: Versions, commit, machine.
        rows: One entry for each run or measurement.
        failed: Runs that broke off, and why.
        out: A folder that exists.
    """
    commands = [str(row["command"]) for row in rows if "command" in row]
    sections = [*findings.sections, *how_to_repeat(command, commands, configuration, environment)]
    text = markdown_of(findings.title, sections)
    files = {ending: out / f"{study.replace('-', '_')}.{ending}" for ending in ("md", "csv", "html", "json")}
    write_atomically(files["csv"], csv_of(sections).encode())
    write_page(files["html"], title=findings.title, summary=findings.summary, sections=sections)
    write_atomically(files["md"], text.encode())
    write_results(
        files["json"],
        study=study,
        command=command,
        configuration=configuration,
        environment=environment,
        rows=rows,
        failed=failed,
        sections=sections,
        more={"title": findings.title, "summary": findings.summary, **findings.numbers},
    )
    print(f"\n{text}\nWritten: {', '.join(str(file) for file in sorted(out.iterdir()))}")


def how_to_repeat(
    command: str,
    commands: Sequence[str],
    configuration: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> list[Section]:
    """Return the last sections of every page: how to repeat a study and its runs, and where it was done."""
    named = {
        "Its single runs": "\n".join(dict.fromkeys(commands)),
        "Configuration": json.dumps(configuration, indent=1, ensure_ascii=False),
        "Environment": json.dumps(environment, indent=1, ensure_ascii=False),
    }
    sections = [Section(title=title, code=code, folded=True) for title, code in named.items() if code]
    return [
        *([Section(title="How to repeat it", code=command, page_only=True)] if command else []),
        *sections,
    ]


def family_of(known: Facts | Shape, data: str) -> str:
    """Return the last word in the names of the networks that fit images: "digits" of fcn_digits and cnn_digits.

    Args:
        known: What is known of them.
        data: What errors call them.

    Raises:
        ValueError: If no network fits.
    """
    families: dict[Shape, str] = {
        shape.image_shape: name.removeprefix("cnn_")
        for name, shape in NETWORKS.items()
        if name.startswith("cnn_")
    }
    image_shape = facts_of(known).image_shape
    if is_like_a_text(facts_of(known)):
        raise ValueError(
            f"`model` must be given to study {data!r}, as it is no image, but is left out. Add --model char_lstm."
        )
    if image_shape not in families:
        raise ValueError(
            f"`data` must have images of {', '.join(map(str, families))} (channels, height, width), but "
            f"{data!r} has {image_shape}. Resize the images, or bring a network of your own, --model "
            "my_network.py:build."
        )
    return families[image_shape]


def steps_of(images: int, batch_size: int) -> int:
    """Return the steps of an epoch."""
    return math.ceil(images / batch_size)
