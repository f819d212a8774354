"""`xbar report RUN RUN ...`: what differs between runs, how each learned and aged, and what an image costs."""

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from crossbar.cost.tables import with_prefix

from ...data.chance import RULE, mark
from ...drawing.sections import Picture, Section, Table
from ...runs.options.config import NO_DEVICE
from ...support.durations import format_time
from ...support.environment import describe_environment
from ...support.runs_folder import runs_folder
from ...support.statistics import NOTHING, percent
from ..study import Findings, write_findings
from .figure import draw
from .rows import Compared

NAME: Final = "comparison"
_FIGURE: Final = "comparison.png"
# Where a run lies and how fast it computes: nothing that makes its numbers differ.
_NO_DIFFERENCE: Final = ("out", "force", "threads", "download", "data_dir", "checkpoint_seconds")


def compare_runs(names: Sequence[str], packing: str = "none") -> Path:
    """Put finished runs beside each other, and write table, figure and page into a folder of their own.

    Args:
        names: Folders of at least two runs, or their names in the folder of runs.
        packing: How kernels lie in the arrays that are priced.

    Returns:
        The page.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one is named twice, not finished, or damaged.
    """
    runs = [Compared.read(name, packing) for name in names]
    folders = [run.folder.path.resolve() for run in runs]
    doubled = next(
        (run.name for run, folder in zip(runs, folders, strict=True) if folders.count(folder) > 1), None
    )
    if doubled is not None:
        raise ValueError(f"`run` must name each run once, but names {doubled} twice. Remove one.")
    identity = [*map(str, folders), *([] if packing == "none" else [packing])]
    digest = hashlib.blake2b("\n".join(identity).encode(), digest_size=6).hexdigest()
    out = runs_folder() / f"{NAME}-{digest}"
    out.mkdir(parents=True, exist_ok=True)
    draw(runs, out / _FIGURE)
    write_findings(
        findings_of(runs, out, packing),
        study=NAME,
        command=shlex.join(
            ["xbar", "report", *names, *([] if packing == "none" else ["--packing", packing])]
        ),
        configuration={"runs": list(names), "packing": packing},
        environment=describe_environment(1),
        rows=[_record(run) for run in runs],
        failed={},
        out=out,
    )
    return out / f"{NAME}.html"


def findings_of(runs: Sequence[Compared], out: Path, packing: str = "none") -> Findings:
    """Return what is told of runs; their figure lies in a folder."""
    picture = Picture(
        path=out / _FIGURE, description="Validation accuracy against epochs, test accuracy against time"
    )
    sections = [
        Section(title="What differs", table=_differences(runs)),
        Section(
            title="Accuracy",
            table=_accuracies(runs),
            notes=_notes(runs),
            records=[_record(run) for run in runs],
        ),
        Section(title="Curves", pictures=(picture,), page_only=True),
        Section(
            title="What an image costs", table=_costs(runs), notes=(*_COST_NOTES, f"Packing: {packing}.")
        ),
    ]
    return Findings(
        title=f"{len(runs)} runs beside each other",
        summary="Mean ± standard deviation over the chips of each run. One training each: how much trainings scatter "
        "is told by runs with other seeds.",
        sections=sections,
    )


_COST_NOTES: Final = (
    "All arrays on while the network works on the image, and none between images; serial. `xbar sharing-cost --from` "
    "prices a run with other constants and scopes.",
)


def _short(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"run {number + 1}"


def _differences(runs: Sequence[Compared]) -> Table:
    """Return the settings that are not the same in all runs."""
    fields = list(dict.fromkeys(field for run in runs for field in run.configuration))
    rows = [["run", *(run.name for run in runs)]]
    for field in fields:
        values = [run.configuration.get(field) for run in runs]
        if field not in _NO_DIFFERENCE and any(value != values[0] for value in values):
            rows.append([field.replace("_", " "), *(_told(value) for value in values)])
    return Table(
        header=["", *(_short(number) for number in range(len(runs)))], rows=rows, text_columns=1 + len(runs)
    )


def _told(value: Any) -> str:
    return (
        "-"
        if value is None
        else ", ".join(map(str, value))
        if isinstance(value, list | tuple)
        else str(value)
    )


def _accuracies(runs: Sequence[Compared]) -> Table:
    times = sorted({time for run in runs for time in run.result.times})
    header = ["", "digital", "as trained", *(f"after {format_time(time)}" for time in times)]
    rows = []
    for number, run in enumerate(runs):
        result = run.result
        cells = [
            percent([result.digital_accuracy]),
            percent(result.as_trained) if result.as_trained else NOTHING,
        ]
        name = next((name for name in result.accuracy if name != "none"), "none")
        for time in times:
            if time in result.times:
                place = result.times.index(time)
                star = " *" if time in result.extrapolated else ""
                cells.append(percent([chip[place] for chip in result.accuracy[name]]) + star)
            else:
                cells.append(NOTHING)
        rows.append([_short(number) + mark([result.did_learn]), *cells])
    return Table(header=header, rows=rows)


def _notes(runs: Sequence[Compared]) -> list[str]:
    notes = ["After programming: with drift compensation where the run has one."]
    if any(run.result.extrapolated for run in runs):
        notes.append("* extrapolated: beyond the times for which the device was measured.")
    counts = {run.result.test_images for run in runs}
    notes.append(f"Test images: {', '.join(f'{count:,}' for count in sorted(counts))}.")
    if not all(run.result.did_learn for run in runs):
        notes.append(RULE)
    return notes


def _costs(runs: Sequence[Compared]) -> Table:
    rows = []
    for number, run in enumerate(runs):
        if run.costs:
            cells = [
                str(run.profile),
                with_prefix(1e-6 * run.costs["energy"], "J"),
                with_prefix(run.costs["time"], "s"),
                f"{run.costs['area']:.3g} mm²",
            ]
        else:
            why = "no device" if run.result.device == NO_DEVICE else "no profile for its technology"
            cells = [why, *[NOTHING] * 3]
        rows.append([_short(number), *cells])
    return Table(header=["", "profile", "energy", "time", "area"], rows=rows, text_columns=2)


def _record(run: Compared) -> dict[str, Any]:
    """Return a run in plain numbers."""
    values = {"run": str(run.folder.path), "command": run.command, "digital": run.result.digital_accuracy}
    values |= {
        f"after {format_time(time)}": mean
        for time, (mean, _) in zip(run.result.times, run.over_time, strict=True)
    }
    return {**values, **{f"{name} of an image": value for name, value in run.costs.items()}}
