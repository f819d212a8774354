"""The page of `xbar report`: a run in one HTML file to read in a browser or on a telephone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from crossbar import EventLedger, load_profile, price
from crossbar.cost.bill import Bill
from crossbar.cost.events import EVENTS
from crossbar.cost.left_out import LEFT_OUT
from crossbar.cost.tables import with_prefix
from devices import get

from ..data.chance import RULE, rule_of
from ..data.objective_names import METRIC_NAMES
from ..drawing.html_page import write_page
from ..drawing.run_tables import COMPENSATION_NAMES, TRAINED
from ..drawing.sections import Picture, Section, Table
from ..runs.ledger_file import RunEvents
from ..runs.options.command_line import command_of
from ..runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE
from ..runs.options.profile_of_device import profile_of
from ..runs.result import Result
from ..runs.run import Run
from ..runs.run_folder import RunFolder
from ..support.durations import format_time
from ..support.json_files import read_json
from ..support.statistics import NOTHING, percent

PAGE: Final = "report.html"
_PICTURES: Final = {
    "accuracy_over_time.png": "Accuracy against time since programming",
    "learning_curve.png": "Loss and accuracy of training and validation, epoch by epoch",
    "learning_dynamics.png": "What updates did to the devices of each layer",
    "pulse_maps.png": "Pulses on every device",
    "wires.png": "What resistive wires do to it",
    "does_it_matter.png": "What switching off each non-ideality changes",
}


def write_run_page(folder: RunFolder, result: Result) -> Path:
    """Write the page of a finished run into its folder.

    Args:
        folder: The run.
        result: Its result.

    Returns:
        The HTML file.

    Raises:
        ValueError: If a file of the run is damaged.
        FileNotFoundError: If one is missing.
    """
    config = folder.read_config()
    sections = [_accuracy_section("Accuracy", result)]
    pictures = [path for path in sorted(folder.path.glob("*.png")) if not path.name.startswith("evaluation-")]
    for path in pictures:
        title = _PICTURES.get(path.name, path.stem.replace("_", " "))
        sections.append(Section(title=title, pictures=(Picture(path=path, description=title),)))
    sections += _evaluations(folder.path)
    sections += _events(RunEvents.read(folder.ledger_file), config, did_learn=result.did_learn)
    sections += [
        Section(
            title="How to reproduce it",
            text=("The same command gives the same numbers; one that was interrupted goes on where it was.",),
            code=command_of(config.as_wish()),
        ),
        _as_json("Configuration", config.to_json()),
        _as_json("Environment", read_json(folder.environment_file)),
    ]
    path = folder.path / PAGE
    write_page(path, title=folder.path.name, summary=_summary(result), sections=sections)
    return path


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


def _events(events: RunEvents, config: Run, *, did_learn: bool) -> list[Section]:
    """Show what happened in the hardware, and what it costs with the profile that fits the device."""
    ledgers: dict[str, EventLedger | None] = {"training": events.training}
    if events.evaluation is not None:
        ledgers |= {"programming": events.evaluation.programming, "inference": events.evaluation.inference}
    known = {name: ledger for name, ledger in ledgers.items() if ledger is not None}
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
    if config.device == NO_DEVICE:
        return sections
    try:
        profile = load_profile(profile_of(get(config.device).name))
    except ValueError:
        return sections  # a device of a technology without a profile
    if config.mode not in LEARNS_ON_DEVICES:
        known.pop("training", None)  # it was done in software, on another machine
    bills = {name: price(ledger, profile) for name, ledger in known.items()}
    cells = [[name, *_price(bill, known[name], name)] for name, bill in bills.items()]
    step = bills.get("training")
    wear = [] if step is None or not step.steps else list(step.layers.items())
    worn = [[name, f"{one.pulses / step.steps:,.3g}"] for name, one in wear if one.pulses] if step else []
    sections.append(
        Section(
            title=f"What it costs with the profile {profile.name}",
            table=Table(
                header=["", "per", "energy", "time", "all of it: energy", "time", "area"], rows=cells
            ),
            notes=[
                "training: where devices learn (in software it is not priced); programming: of one chip; inference: "
                "the test images. All arrays are on while the network works; static power is assumed where the "
                "profile says so. `xbar sharing-cost --from` prices it with other constants and scopes.",
                *dict.fromkeys(note for bill in bills.values() for note in bill.notes),
                f"Left out: {' '.join(LEFT_OUT)}",
            ],
            warnings=() if did_learn else (f"These are costs of a network at chance. {RULE}",),
        )
    )
    if worn:
        title = "Wear: pulses of the most stressed device of each layer, in a training step"
        sections.append(Section(title=title, table=Table(header=["layer", "pulses"], rows=worn)))
    return sections


def _price(bill: Bill, ledger: EventLedger, phase: str) -> list[str]:
    """Write what a step, an image or a chip costs, and all of them."""
    unit, number = {"training": ("step", ledger.steps), "inference": ("image", ledger.images)}.get(
        phase, ("chip", 1)
    )
    energy, seconds = 1e-6 * bill.with_digital, bill.sequential
    each = (
        [with_prefix(energy / number, "J"), with_prefix(seconds / number, "s")] if number else [NOTHING] * 2
    )
    return [unit, *each, with_prefix(energy, "J"), with_prefix(seconds, "s"), f"{bill.area * 1e-6:.3g} mm²"]


def _as_json(title: str, content: Mapping[str, Any] | object) -> Section:
    return Section(title=title, code=json.dumps(content, indent=1, ensure_ascii=False), folded=True)
