"""`xbar tune`: the learning rate of every scheme, mechanism and device, with the same effort for each."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Final

from devices.files import begin_manifest, make_folder

from ...data.chance import mark
from ...drawing.sections import Picture, Section, Table
from ...runs.rates.tuned import TunedRate
from ...support.answer import Answer
from ...support.environment import describe_environment
from ...support.statistics import NOTHING
from ..options import line_of
from ..results import numbers_file
from ..sharing_cost.config import SharingCostConfig, SharingCostPlan
from ..sharing_cost.study import SharingCost
from ..study import Findings, write_findings
from .config import TuneConfig, TunePlan
from .figure import draw_trials
from .search import Trial
from .searches import METHOD, TUNED_FILE, Found, search_all, searches_of, write_rates

NAME: Final = "tune"
TITLE: Final = "Learning rates, chosen on validation images"
_FIGURE: Final = "tune.png"
_OF_THE_GRID: Final = (
    "data", "data_dir", "download", "train_images", "loss", "metric", "model", "schemes", "devices", "mechanisms",
    "epochs", "tile_size", "profile", "jobs", "threads", "memory", "dask", "runs", "out",
)  # fmt: skip


def run_tune(config: TunePlan) -> Answer:
    """Do the trials that are not done yet, and write what was found.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If there is nothing that could be trained, or no rate with which it could.
        FileNotFoundError: If data or a device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    study = SharingCost(_grid(config))
    data = study.data(config.seed)
    study.look_at(data.facts)
    searches = searches_of(
        study,
        data,
        seed=config.seed,
        batch_sizes=config.batch_sizes,
        transfers=config.transfers,
        lr_range=config.lr_range,
    )
    found = search_all(searches, config.trials, config)
    command = line_of(NAME, config, TuneConfig().resolved())
    make_folder(config.out)
    begin_manifest(config.out)
    file = write_rates(found, command, config.seed, config.threads, config.out)
    draw_trials(found, config.out / _FIGURE)
    write_findings(
        _findings(found, study.left_out, config),
        study=NAME,
        command=command,
        configuration=config.to_json(),
        environment=describe_environment(config.threads),
        rows=[asdict(rate) for rate in found.rates],
        failed=found.failed,
        out=config.out,
    )
    print(f"For --tuned: {file}")
    return numbers_file(NAME, config.out)


def _grid(config: TunePlan) -> SharingCostPlan:
    """Return the study whose trainings are tuned: no sweep over tiles, no chips, no test."""
    named = {
        field.name: getattr(config, field.name) for field in fields(config) if field.name in _OF_THE_GRID
    }
    return SharingCostConfig(**named, seeds=(config.seed,), tile_counts=()).resolved()


def _findings(found: Found, left_out: Mapping[str, str], config: TunePlan) -> Findings:
    ends = [rate for rate in found.rates if rate.is_at_end]
    warnings = [
        f"{rate.name}: {rate.lr:.3g} lies near an end of {rate.lowest:.3g} to {rate.highest:.3g}. A better "
        "one may lie beyond: give --lr-range."
        for rate in ends
    ]
    sections = [
        Section(text=(METHOD, _of_all(found.rates, config)), warnings=tuple(warnings)),
        Section(table=_table(found.rates), records=[asdict(rate) for rate in found.rates]),
        Section(
            title="What was tried",
            pictures=(
                Picture(path=config.out / _FIGURE, description="Validation accuracy against learning rate"),
            ),
            page_only=True,
        ),
    ]
    for title, notes in (("Left out", left_out), ("Failed", found.failed)):
        if notes:
            sections.append(Section(title=title, items=[f"{name}: {why}" for name, why in notes.items()]))
    summary = f"{len(found.rates)} rates, each the best of {config.trials} trials. For --tuned: {TUNED_FILE}."
    numbers = {"trials": {name: [_entry(trial) for trial in trials] for name, trials in found.trials.items()}}
    return Findings(title=TITLE, summary=summary, sections=sections, numbers=numbers)


def _entry(trial: Trial) -> dict[str, object]:
    """Return a trial in the types of JSON, which has no infinity."""
    loss = trial.loss if trial.loss < float("inf") else None
    return {**asdict(trial), "loss": loss}


def _of_all(rates: list[TunedRate], config: TunePlan) -> str:
    first = rates[0]
    return (
        f"{first.data}, {first.train_images:,} training images, {first.epochs} epochs, "
        f"{first.validation_images:,} validation images, seed {config.seed}."
    )


def _table(rates: list[TunedRate]) -> Table:
    searched = any(rate.transfer_every is not None for rate in rates)  # intervals between transfers, too
    header = [
        "device", "mechanism", "network", "scheme", "learning rate", "batch size",
        *(["transfer every"] if searched else []), "validation, %", "searched", "trials", "stopped early",
    ]  # fmt: skip
    rows = [
        [
            rate.device,
            rate.mode,
            rate.model,
            f"`{rate.placement}`{mark([rate.did_learn])}",
            f"{rate.lr:.3g}{' (!)' if rate.is_at_end else ''}",
            str(rate.batch_size),
            *([str(rate.transfer_every or NOTHING)] if searched else []),
            f"{100 * rate.validation_accuracy:.1f}" if rate.validation_images else NOTHING,
            f"{rate.lowest:.3g} to {rate.highest:.3g}",
            str(rate.trials),
            str(rate.stopped),
        ]
        for rate in rates
    ]
    return Table(header=header, rows=rows, text_columns=4)
