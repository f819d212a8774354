"""The page of `xbar report`: a run in one HTML file to read in a browser or on a telephone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from crossbar.cost.events import EVENTS
from crossbar.cost.left_out import LEFT_OUT

from ..data.chance import RULE, rule_of
from ..data.objective_names import METRIC_NAMES
from ..drawing.confusion_tables import class_sections
from ..drawing.html_page import write_page
from ..drawing.run_tables import COMPENSATION_NAMES, TRAINED
from ..drawing.sections import Picture, Section, Table, sections_from_json
from ..runs.ledger_file import RunEvents
from ..runs.options.command_line import command_of
from ..runs.options.config import NO_DEVICE
from ..runs.result import Result
from ..runs.run_folder import RunFolder
from ..support.durations import format_time
from ..support.json_files import read_json
from ..support.statistics import percent
from .run_bill import RunBill, ledgers_of, no_price

PAGE: Final = "report.html"
_PICTURES: Final = {
    "accuracy_over_time.png": "Accuracy against time since programming",
    "learning_curve.png": "Loss and accuracy of training and validation, epoch by epoch",
    "learning_dynamics.png": "What updates did to the devices of each layer",
    "pulse_maps.png": "Pulses on every device",
    "wires.png": "What resistive wires do to it",
}
_CONFUSION: Final = "Which classes are taken for which; numbers: test images, over all chips"


def write_run_page(folder: RunFolder, result: Result, packing: str = "none") -> Path:
    """Write the page of a finished run into its folder.

    Args:
        folder: The run.
        result: Its result.
        packing: How kernels lie in the arrays that are priced.

    Returns:
        The HTML file.

    Raises:
        ValueError: If a file of the run is damaged, or a pattern of `packing` fits no layer, or nothing is priced.
        FileNotFoundError: If one is missing.
    """
    config = folder.read_config()
    sections = [_accuracy_section("Accuracy", result)]
    told = {folder.confusion_figure.name, "does_it_matter.png"}  # beside their tables
    for path in sorted(folder.path.glob("*.png")):
        if path.name not in told and not path.name.startswith("evaluation-"):
            title = _PICTURES.get(path.name, path.stem.replace("_", " "))
            sections.append(Section(title=title, pictures=(Picture(path=path, description=title),)))
    sections += _classes(folder, result)
    sections += _does_it_matter(folder.path)
    sections += _evaluations(folder.path)
    events = RunEvents.read(folder.ledger_file)
    bill = RunBill.of(events, config, packing)
    if bill is None and packing != "none":
        raise no_price(config.device, packing)
    sections += _events(bill, events, did_learn=result.did_learn)
    sections += origin_sections(folder, command_of(config.as_wish()))
    path = folder.path / PAGE
    write_page(path, title=folder.path.name, summary=_summary(result), sections=sections)
    return path


def origin_sections(folder: RunFolder, command: str) -> list[Section]:
    """Return the last sections of a run's page: the command that repeats it, configuration and environment."""
    return [
        Section(
            title="How to reproduce it",
            text=("The same command gives the same numbers; one that was interrupted goes on where it was.",),
            code=command,
        ),
        _as_json("Configuration", folder.read_config().to_json()),
        _as_json("Environment", read_json(folder.environment_file)),
    ]


def _summary(result: Result) -> str:
    where = "" if result.device == NO_DEVICE else f" on {result.device}"
    return (
        f"{result.model} ({result.placement}) on {result.data}, {TRAINED[result.mode]}{where}, seed {result.seed}; "
        f"{100 * result.digital_accuracy:.1f} % of {result.test_images} test images with the same weights in digital."
    )


def _accuracy_section(title: str, result: Result, **more: Any) -> Section:
    warnings = () if result.did_learn else (rule_of(result.metric),)
    return Section(title=title, table=_accuracies(result), notes=_notes(result), warnings=warnings, **more)


def _accuracies(result: Result) -> Table:
    columns = list(result.accuracy)
    rows = [["digital, the same weights", *[percent([result.digital_accuracy])] * max(1, len(columns))]]
    if result.as_trained:
        rows.append(["as trained", *[percent(result.as_trained)] * max(1, len(columns))])
    for place, time in enumerate(result.times):
        mark = " *" if time in result.extrapolated else ""
        chips = [[chip[place] for chip in result.accuracy[name]] for name in columns]
        rows.append([format_time(time) + mark, *map(percent, chips)])
    names = [COMPENSATION_NAMES[name] for name in columns] or ["accuracy"]
    return Table(header=["", *names], rows=rows)


def _notes(result: Result) -> list[str]:
    notes = []
    if result.metric != "accuracy":
        notes.append(f"{METRIC_NAMES[result.metric]}, in % of its best.")
    if result.extrapolated:
        notes.append(f"* extrapolated: beyond the times for which {result.device} was measured.")
    if result.faults:
        notes.append(f"Faults: {result.faults}; {percent(result.yields)} of the devices work.")
    if result.wires:
        notes.append(f"Wires in ohm: {result.wires}.")
    chips = len(next(iter(result.accuracy.values()), ()))
    if chips > 1:
        what = "readings of one chip" if result.has_learned_on_devices else "chips"
        notes.append(f"Mean ± standard deviation over {chips} {what}.")
    return notes


def _classes(folder: RunFolder, result: Result) -> list[Section]:
    """Show how each class is recognised, beside the figure of which is taken for which."""
    sections = class_sections(result)
    if sections and folder.confusion_figure.exists():
        picture = Picture(path=folder.confusion_figure, description=_CONFUSION)
        sections[0] = replace(sections[0], pictures=(picture,))
    return sections


def _does_it_matter(folder: Path) -> list[Section]:
    """Show what `xbar does-it-matter` has found: its verdict on each non-ideality, beside its figure."""
    numbers = folder / "does_it_matter.json"
    if not numbers.exists():
        return []
    found = read_json(numbers)
    if not isinstance(found, dict):
        raise ValueError(f"`run` must hold an undamaged {numbers.name}, but it is no table. Delete it.")
    if "sections" not in found:
        return [
            Section(
                title=f"{numbers.name} is of an earlier version", text=("Do `xbar does-it-matter` again.",)
            )
        ]
    return sections_from_json(found["sections"], folder)


def _evaluations(folder: Path) -> list[Section]:
    """Show what `xbar evaluate` has added."""
    sections = []
    for path in sorted(folder.glob("evaluation-*.json")):
        result = Result.from_json(read_json(path))
        figure = path.with_suffix(".png")
        sections.append(
            _accuracy_section(
                f"Evaluated anew: {result.device}, {result.placement}",
                result,
                pictures=(Picture(path=figure, description=path.stem),) if figure.exists() else (),
                folded=True,
            )
        )
    return sections


def _events(bill: RunBill | None, events: RunEvents, *, did_learn: bool) -> list[Section]:
    """Show what happened in the hardware, and what it costs with the profile that fits the device."""
    known = ledgers_of(events)
    rows = [
        [event.replace("_", " "), *(f"{ledger.total(event):,}" for ledger in known.values())]
        for event in EVENTS
        if any(ledger.total(event) for ledger in known.values())
    ]
    sections = []
    if rows:
        sections.append(
            Section(
                title="What happened, counted", table=Table(header=["event", *known], rows=rows), folded=True
            )
        )
    if bill is None:
        return sections
    step = bill.bills.get("training")
    wear = [] if step is None or not step.steps else list(step.layers.items())
    worn = [[name, f"{one.pulses / step.steps:,.3g}"] for name, one in wear if one.pulses] if step else []
    sections.append(
        Section(
            title=f"What it costs with the profile {bill.profile.name}",
            table=bill.table(),
            notes=[
                "training: where devices learn (in software it is not priced); programming: of one chip; inference: "
                f"the test images. Packing: {bill.packing}, of energy, time and area. All arrays are on while the "
                "network works; static power is assumed where the profile says so. `xbar sharing-cost --from` prices "
                "it with other constants and scopes.",
                *dict.fromkeys(note for one in bill.bills.values() for note in one.notes),
                f"Left out: {' '.join(LEFT_OUT)}",
            ],
            warnings=() if did_learn else (f"These are costs of a network at chance. {RULE}",),
        )
    )
    if worn:
        title = "Wear: pulses of the most stressed device of each layer, in a training step"
        sections.append(Section(title=title, table=Table(header=["layer", "pulses"], rows=worn)))
    return sections


def _as_json(title: str, content: Mapping[str, Any] | object) -> Section:
    return Section(title=title, code=json.dumps(content, indent=1, ensure_ascii=False), folded=True)
