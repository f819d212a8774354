"""`xbar sweep`: do a command for every combination of lists of its options, and tell what came out."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ...data.chance import RULE, mark
from ...drawing.sections import Picture, Section, Table
from ...support.answer import Answer
from ...support.environment import describe_environment
from ...support.parallel import do_all
from ...support.statistics import NOTHING
from ..results import numbers_file
from ..study import Findings, begin_folder, write_findings
from .config import SWEPT, SweepPlan
from .figure import draw, numeric_options
from .rows import AS_TRAINED, AT_LAST, IMAGE, STEP, Row, Seeds, seeds_of
from .runs import SweptRun, do, runs_of

NAME: Final = "sweep"
_CHOSEN_ON_TEST: Final = (
    "The best of many by their test scores is better than it will be on other images: `xbar tune` chooses on "
    "validation images."
)


def run_sweep(plan: SweepPlan) -> Answer:
    """Do the runs that are not done yet, then write table, figures, page and numbers.

    Returns:
        The file of numbers; with `plan` the runs.

    Raises:
        ValueError: If a run cannot be done as asked, which is found out before the first one starts; or if all fail.
        FileNotFoundError: If data, a run or a device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    runs, out = runs_of(plan)
    todo = {run.name: run for run in runs if not run.is_done}
    where = f"{plan.jobs} at a time" if plan.dask is None else f"on {plan.dask}"
    counts = f"{len(runs)} runs, {len(runs) - len(todo)} of them finished"
    if plan.plan:
        print("\n".join(f"{'finished' if run.is_done else 'to do   '}  {run.line}" for run in runs))
        print(f"\n{counts}. Without --plan they are done, {where}. Table, figures, page: {out}")
        return [{"values": dict(run.values), "command": run.line, "is_finished": run.is_done} for run in runs]
    print(f"{counts}; {where}. Table, figures, page: {out}")
    failed = _do_all(plan, todo, len(runs))
    if len(failed) == len(runs):
        raise ValueError(f"All runs have failed. The first: {next(iter(failed.values()))}")
    rows = [Row.read(run) for run in runs if run.name not in failed]
    out.mkdir(parents=True, exist_ok=True)
    begin_folder(out)
    write_findings(
        _findings(plan, rows, failed, out),
        study=NAME,
        command=_line(plan),
        configuration=plan.to_json(),
        environment=describe_environment(plan.threads),
        rows=[row.to_json() for row in rows],
        failed=failed,
        out=out,
    )
    return numbers_file(NAME, out)


def _do_all(plan: SweepPlan, todo: Mapping[str, SweptRun], total: int) -> dict[str, str]:
    """Do the runs, and return for each that failed why: studies, which have their own progress, one by one."""
    if SWEPT[plan.command].threads == "asked":
        return do_all(
            do,
            todo,
            total=total,
            jobs=plan.jobs,
            threads=plan.threads,
            folder=plan.runs,
            dask=plan.dask,
        )
    failed = {}
    for number, (name, run) in enumerate(todo.items(), start=1 + total - len(todo)):
        print(f"\n{number} of {total}: {name}")
        try:
            do(run)
        except (ValueError, OSError) as error:
            failed[name] = " ".join(str(error).split())
            print(f"{name}: {failed[name]}")
    return failed


def _line(plan: SweepPlan) -> str:
    """Return the line that repeats a sweep."""
    lists = [word for values in plan.over for word in ("--over", *values)]
    return shlex.join(["xbar", NAME, plan.command, *plan.words, *lists])


def _findings(plan: SweepPlan, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
    seeds = seeds_of(rows)
    has_seeds = any(len(one.rows) > 1 and _columns(one.rows) for one in seeds)
    options = list(rows[0].run.values)
    sections = [
        *(
            [Section(title="Means over the seeds", table=_means(seeds), notes=_OVER_SEEDS)]
            if has_seeds
            else []
        ),
        Section(
            title="Runs",
            table=_table(rows),
            notes=_notes(rows),
            records=[_flat(row, line) for row in rows for line in row.records or ({},)],
        ),
    ]
    if any(row.summary for row in rows):
        sections.append(
            Section(title="What each found", items=[f"{row.run.name}: {row.summary}" for row in rows])
        )
    if failed:
        sections.append(Section(title="Failed", items=[f"{name}: {why}" for name, why in failed.items()]))
    for option in numeric_options(seeds):
        picture = out / f"{NAME}_{option.replace('-', '_')}.png"
        if draw(seeds, option, picture):
            what = f"What came out against {option}"
            note = "Points: means over the seeds; bars: ± one standard deviation." if has_seeds else ""
            sections.append(
                Section(
                    title=what,
                    text=(note,) if note else (),
                    pictures=(Picture(path=picture, description=what),),
                    page_only=True,
                )
            )
    return Findings(
        title=f"xbar {plan.command}, over {', '.join(options)}",
        summary=_summary(seeds, rows, failed),
        sections=sections,
    )


_OVER_SEEDS: Final = ("± standard deviation over the seeds.",)


def _summary(seeds: Sequence[Seeds], rows: Sequence[Row], failed: Mapping[str, str]) -> str:
    told = f"{len(rows)} runs" + (f", and {len(failed)} that failed." if failed else ".")
    name = AT_LAST if all(AT_LAST in row.compared for row in rows) else AS_TRAINED
    learned = [one for one in seeds if any(one.did_learn)]
    known = [(mean.value, one) for one in learned if (mean := one.of(name, "compared")) is not None]
    if len(known) < 2:
        return told
    value, best = max(known, key=lambda pair: pair[0])
    what = ", ".join(f"{option} {v}" for option, v in best.values.items())
    return f"{told} Highest {name}: {100 * value:.1f} %, with {what}. {_CHOSEN_ON_TEST}"


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return all quantities that are shown: scores first, then prices."""
    names = list(dict.fromkeys(name for row in rows for name in row.shown))
    return [name for name in names if name not in (STEP, IMAGE)] + [n for n in (STEP, IMAGE) if n in names]


def _means(seeds: Sequence[Seeds]) -> Table:
    options, names = list(seeds[0].values), _columns([row for one in seeds for row in one.rows])
    lines = [
        [
            *one.values.values(),
            str(len(one.rows)) + mark(one.did_learn),
            *(one.text(name) for name in names),
        ]
        for one in seeds
    ]
    return Table(header=[*options, "seeds", *names], rows=lines, text_columns=len(options))


def _table(rows: Sequence[Row]) -> Table:
    options, names = list(rows[0].run.values), _columns(rows)
    lines = []
    for row in rows:
        *values, last = row.run.values.values()
        last += mark([] if row.did_learn is None else [row.did_learn])
        cells = (row.shown[name].text if name in row.shown else NOTHING for name in names)
        lines.append([*values, last, *cells, Path(row.folder).name])
    return Table(
        header=[*options, *names, "folder"],
        rows=lines,
        align="l" * len(options) + "r" * len(names) + "l",
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    shown = [name for row in rows for name in row.shown]
    if AS_TRAINED in shown:
        notes.append(
            "As trained: weights trained in software as they are, in floating point; devices that have learned as "
            "training left them, ± over their readings."
        )
    if any(AT_LAST in row.compared for row in rows):
        notes.append("After programming: compensated for drift where that was asked for, ± over the chips.")
    if any(quantity.is_extrapolated for row in rows for quantity in row.shown.values()):
        notes.append("* extrapolated: beyond the times for which the device was measured.")
    profiles = dict.fromkeys(row.priced_by for row in rows if row.priced_by is not None)
    if profiles:
        notes.append(
            f"Energies: priced by {', '.join(profiles)}, of networks that learned; a step only of trainings on "
            "devices. All arrays on while the network works, and none between."
        )
    if any(row.did_learn is False for row in rows):
        notes.append(RULE)
    return notes


def _flat(row: Row, line: Mapping[str, object]) -> dict[str, object]:
    """Return a line of a run's answer in plain numbers, after the run's values; without one the run's numbers."""
    plain = {name: value for name, value in line.items() if isinstance(value, str | int | float | bool)}
    told = {name: value for name, value in row.to_json().items() if name not in ("values", "summary")}
    return {**row.run.values, **told, **{name: v for name, v in plain.items() if name not in told}}
