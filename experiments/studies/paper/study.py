"""`xbar paper`: the seed paper's four questions, in floating point and on hardware."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from devices.files import write_atomically

from ...data.datasets import load_data
from ...drawing.html_page import Picture, Section, Table, write_page
from ...runs.options.command_line import command_of
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.run_folder import RunFolder
from ...support.environment import describe_environment
from ...support.json_files import write_json
from ...support.parallel import do_all
from .answers import UNCERTAINTY, answers, csv_text, markdown, notes, tables
from .config import PaperConfig
from .figures import draw_emergence, draw_overfitting, draw_price, draw_translation, draw_validations
from .points import Point, points_of, wish_of
from .rows import Row, Rows, row_of
from .scores import FILE, train_and_score

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


def run_paper(config: PaperConfig) -> list[Row]:
    """Train and score what is not there yet, answer the questions, write tables, figures and page.

    Returns:
        One row for each run that ended well.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    config = config.resolved()
    assert config.jobs is not None
    assert config.out is not None
    points = points_of(config)
    wishes, folders = _runs_of(points, config)
    done = {point for point in points if (folders[point].path / FILE).exists()}
    todo = {point.name: wishes[point] for point in points if point not in done}
    where = f"{config.jobs} at a time" if config.dask is None else f"on {config.dask}"
    print(f"{len(points)} runs, {len(done)} of them finished; {where}. Tables, figures, page: {config.out}")
    failed = do_all(
        train_and_score,
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
        row_of(point, command_of(wishes[point]), folders[point])
        for point in points
        if point.name not in failed
    ]
    _write(config, config.out, rows, failed)
    return rows


def _runs_of(
    points: list[Point], config: PaperConfig
) -> tuple[dict[Point, TrainConfig], dict[Point, RunFolder]]:
    """Say what `xbar train` is asked for at each point, and where the run lies."""
    assert config.data is not None
    data = load_data(config.data, config.data_dir, seed=points[0].seed, download=config.download)
    wishes = {point: wish_of(point, config, data.image_shape) for point in points}
    folders = {}
    for point, wish in wishes.items():
        try:
            folders[point] = RunFolder.of(resolve(wish, data.image_shape))
        except ValueError as error:
            raise ValueError(f"{point.setting}, network {point.network}: {error}") from error
    return wishes, folders


def _write(config: PaperConfig, out: Path, found: list[Row], failed: Mapping[str, str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows, command = Rows(found, _WHAT[config.augment]), _command(config)
    is_papers_data = config.data == "mnist" and config.augment == "translation"
    environment = describe_environment(config.threads)
    text = markdown(rows, command, is_papers_data, dict(failed))
    for name, draw in _FIGURES.items():
        draw(rows, is_papers_data, out / f"{name}.png")
    draw_validations(rows, is_papers_data, out / f"{_OF_ALL_SCORES}.png")
    write_atomically(out / "paper.csv", csv_text(found).encode())
    write_atomically(out / "paper.md", text.encode())
    write_json(
        out / "paper.json",
        {
            "command": command,
            "configuration": config.to_json(),
            "environment": environment,
            "answers": answers(rows),
            "failed": dict(failed),
            "rows": [row.to_json() for row in found],
        },
    )
    _write_page(out / "paper.html", rows, command, is_papers_data, environment, failed, out)
    print(f"\n{text}\nWritten: {', '.join(str(file) for file in sorted(out.iterdir()))}")


def _write_page(
    path: Path,
    rows: Rows,
    command: str,
    is_papers_data: bool,
    environment: Mapping[str, Any],
    failed: Mapping[str, str],
    out: Path,
) -> None:
    sections = [
        Section(
            title=question,
            text=sentences,
            pictures=[Picture(path=out / f"{name}.png", description=question)],
        )
        for (question, sentences), name in zip(answers(rows).items(), _FIGURES, strict=True)
    ]
    of_scores = Picture(
        path=out / f"{_OF_ALL_SCORES}.png",
        description="Accuracy on the six validation sets against the strength",
    )
    sections += [
        Section(title=title, table=Table(header=header, rows=cells, text_columns=2), pictures=pictures)
        for (title, pictures), (header, cells) in zip(
            (("Accuracy", [of_scores]), ("How alike kernels are", []), ("Absent inputs", [])),
            tables(rows, is_papers_data),
            strict=False,
        )
    ]
    sections += [
        Section(
            title="How to repeat it",
            code=command,
            warnings=[f"{name}: {why}" for name, why in failed.items()],
        ),
        Section(title="Every run", code="\n".join(row.command for row in rows.rows), folded=True),
        Section(
            title="Environment",
            code="\n".join(f"{name}: {value}" for name, value in environment.items()),
            folded=True,
        ),
    ]
    write_page(
        path,
        title="To share or not to share, on hardware",
        summary=f"{len(rows.rows)} runs. The questions of Ott et al., Neural Networks 126 (2020). "
        + " ".join([UNCERTAINTY, *notes(rows, is_papers_data)]),
        sections=sections,
    )


def _command(config: PaperConfig) -> str:
    """Return the line that repeats the study."""
    plain, words = PaperConfig(scale=config.scale).resolved(), ["xbar", "paper", "--scale", config.scale]
    for field in fields(config):
        value: Any = getattr(config, field.name)
        if value == getattr(plain, field.name) or field.name in ("scale", "jobs", "threads", "dask", "out"):
            continue
        words.append(f"--{field.name.replace('_', '-')}")
        if value is not True:
            words += [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)
