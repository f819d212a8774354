"""`xbar paper`: the seed paper's four questions, in floating point and on hardware."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from typing_extensions import override

from ...data.examples import Facts, Shape
from ...drawing.sections import Picture, Section
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.typed_values import typed
from ..options import line_of
from ..results import Results, numbers_file
from ..study import Findings, Study, run_study
from .answers import answers
from .config import PaperConfig, PaperPlan
from .figures import draw_emergence, draw_overfitting, draw_price, draw_translation, draw_validations
from .points import Point, points_of, wish_of
from .rows import Row, Rows, row_of
from .scores import FILE, train_and_score
from .tables import TITLE, sections

NAME: Final = "paper"
_FIGURES: Final = {
    "overfitting": draw_overfitting,
    "translation": draw_translation,
    "price": draw_price,
    "emergence": draw_emergence,
}
_OF_ALL_SCORES: Final = "validations"
_WHAT: Final = {
    "translation": "shifts",
    "rotation": "turns",
    "noise": "noise",
    "edge-noise": "noise at the edge",
}


@final
class Paper(Study[Point, Row]):
    """Places of learning x networks x strengths of augmentation x absent inputs.

    Args:
        config: What is done.
    """

    name = NAME

    config: PaperPlan

    @property
    @override
    def work(self) -> Callable[[TrainConfig], object]:
        return train_and_score

    @property
    @override
    def command(self) -> str:
        plain = PaperConfig(scale=self.config.scale).resolved()
        return line_of("paper", self.config, plain, first=("scale",))

    @override
    def points(self) -> list[Point]:
        return points_of(self.config)

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        wish = wish_of(point, self.config, known)
        try:
            resolve(wish, known)
        except ValueError as error:
            raise ValueError(f"{point.setting}, network {point.network}: {error}") from error
        return wish

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        return row_of(point, command, folder)

    @override
    def is_done(self, folder: RunFolder) -> bool:
        return (folder.path / FILE).exists()

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        found = Rows(rows, _WHAT[self.config.augment])
        is_papers_data = _is_papers(self.config.data, self.config.augment)
        for name, draw in _FIGURES.items():
            draw(found, is_papers_data, out / f"{name}.png")
        draw_validations(found, is_papers_data, out / f"{_OF_ALL_SCORES}.png")
        return _findings(found, self.command, is_papers_data, failed, out)


def run_paper(config: PaperPlan) -> Answer:
    """Train and score what is not there yet, answer the questions, write tables, figures and page.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    run_study(Paper(config))
    return numbers_file(NAME, config.out)


def findings_of(results: Results, folder: Path) -> Findings:
    """Return what a study of an earlier version has to say, from its file of numbers and its figures.

    Raises:
        ValueError: If it is damaged.
    """
    configuration = results.configuration
    augment = str(configuration.get("augment", "translation"))
    rows = Rows(typed(list[Row], results.rows, "rows"), _WHAT[augment])
    is_papers_data = _is_papers(configuration.get("data"), augment)
    return _findings(rows, results.command, is_papers_data, results.failed, folder)


def _is_papers(data: Any, augment: str) -> bool:
    return data == "mnist" and augment == "translation"


def _findings(
    rows: Rows, command: str, is_papers_data: bool, failed: Mapping[str, str], folder: Path
) -> Findings:
    found = sections(rows, command, is_papers_data, failed)
    pictures = {
        **dict(zip(answers(rows), _FIGURES, strict=True)),
        "Accuracy": _OF_ALL_SCORES,
    }
    return Findings(
        title=TITLE,
        summary=f"{len(rows.rows)} runs. The questions of Ott et al., Neural Networks 126 (2020).",
        sections=[_with_picture(section, folder, pictures.get(section.title)) for section in found],
        numbers={"answers": answers(rows)},
    )


def _with_picture(section: Section, folder: Path, name: str | None) -> Section:
    path = folder / f"{name}.png"
    if name is None or not path.exists():
        return section
    return replace(section, pictures=(Picture(path=path, description=section.title),))
