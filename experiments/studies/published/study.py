"""`xbar published`: tables of other papers computed anew, each cell judged by a rule that was written first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from devices.files import begin_manifest
from devices.units import Dimensionless

from ...drawing.sections import Section, Table
from ...support.answer import Answer
from ...support.environment import describe_environment
from ...support.parallel import do_all
from ..options import line_of
from ..results import numbers_file
from ..study import Findings, write_findings
from .config import PublishedConfig, PublishedPlan
from .explanations import explain_claims
from .judgement import SMOKE, Verdict, counts_of, judge, sections_of
from .kept_results import KeptResults, is_kept, joined
from .kept_studies import from_paper
from .reproductions.anchors import Anchors
from .reproductions.chip_bill import ChipBill
from .reproductions.learning_rules import LearningRules
from .reproductions.learning_rules_lenet import LeNetRules
from .reproductions.reproduction import Ask, Reproduction
from .reproductions.seed_paper import SeedPaper
from .reproductions.soft_bounds import SoftBounds
from .tables import Key, PublishedTable, load_table

NAME: Final = "published"
_HOURS: Final = "Hours of processor time; of the seed paper, whose runs note no other, by the clock."
REPRODUCTIONS: Final[dict[str, type[Reproduction]]] = {
    reproduction.table_name: reproduction
    for reproduction in (LearningRules, LeNetRules, SoftBounds, SeedPaper, ChipBill, Anchors)
}


def run_published(config: PublishedPlan) -> Answer:
    """Do what is not done yet, judge every cell, and write table, numbers and page.

    Returns:
        The file of numbers, with the verdict on every cell.

    Raises:
        FileNotFoundError: If data are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    ask = Ask(
        scale=config.scale,
        runs=config.runs,
        data_dir=config.data_dir,
        threads=config.threads,
        only=config.only,
    )
    earlier = [KeptResults.read(place) if is_kept(place) else place for place in config.from_]
    failed: dict[str, str] = {}
    verdicts: dict[str, list[Verdict]] = {}
    sections: list[Section] = []
    rows: list[dict[str, Any]] = []
    hours: dict[str, Dimensionless] = {}
    for name in config.names:
        table = load_table(name)
        kind = REPRODUCTIONS.get(name)
        reproduction = None if kind is None else kind(table, ask)
        if reproduction is not None and not config.look:
            failed |= _do(reproduction, config)
        sources = [] if reproduction is None else [reproduction]
        if kind is not None and config.scale == "paper" and table.has("laptop"):
            sources.append(kind(table, replace(ask, scale="laptop")))  # what is finished of it fills gaps
        hours[name] = sum(source.seconds() for source in sources) / 3600
        is_smoke = config.scale == "smoke" and (kind is None or kind.trains)
        verdicts[name] = judged(table, sources, is_smoke=is_smoke)
        told: list[Section] = []
        for source in sources:
            told = joined(told, source.more())
        for one in earlier:  # in the order that the user gave: the first that has a value counts
            if isinstance(one, KeptResults):
                verdicts[name] = filled(table, verdicts[name], one.values(table))
                hours[name] += one.hours(table)
                told = told if reproduction is None else one.completed(told, reproduction.titles)
            elif name == SeedPaper.table_name and config.scale != "smoke":
                verdicts[name] = filled(table, verdicts[name], from_paper(one))
        if reproduction is not None:
            verdicts[name] = shared(table, verdicts[name], reproduction.same())
            why = reproduction.explanations(verdicts[name], told)
            verdicts[name] = [
                replace(verdict, why=why.get(verdict.cell.key, "")) for verdict in verdicts[name]
            ]
        computed = {
            verdict.cell.key: verdict.computed for verdict in verdicts[name] if verdict.computed is not None
        }
        # A smoke run judges no cell, and so no claim about several.
        patterns = [] if reproduction is None else reproduction.patterns({} if is_smoke else computed)
        patterns += [] if reproduction is None else reproduction.told([] if is_smoke else told)
        if name == LearningRules.table_name:
            patterns = explain_claims(patterns, told)
        sections += sections_of(table, verdicts[name], patterns, title=table.title)
        sections += told
        sections += _left(reproduction) if config.look and not config.from_ else []
        rows += [_row(table, verdict) for verdict in verdicts[name]]
    if failed:
        items = [f"{name}: {reason}" for name, reason in failed.items()]
        sections.append(Section(title="Failed", items=items))
    config.out.mkdir(parents=True, exist_ok=True)
    begin_manifest(config.out)
    write_findings(
        Findings(
            title="Published tables, cell by cell",
            summary=_summary(verdicts),
            sections=[_overview(verdicts, hours, is_smoke=config.scale == "smoke"), *sections],
        ),
        study=NAME,
        command=line_of(NAME, config, PublishedConfig(scale=config.scale).resolved(), first=("scale",)),
        configuration=config.to_json(),
        environment=describe_environment(config.threads),
        rows=rows,
        failed=failed,
        out=config.out,
    )
    return numbers_file(NAME, config.out)


def _do(reproduction: Reproduction, config: PublishedPlan) -> dict[str, str]:
    pieces = reproduction.chosen()
    todo = {name: piece for name, piece in pieces.items() if not reproduction.is_done(piece)}
    print(f"{reproduction.table_name}: {len(pieces)} pieces, {len(pieces) - len(todo)} of them finished.")
    return do_all(
        reproduction.work,
        todo,
        total=len(pieces),
        jobs=config.jobs,
        threads=config.threads,
        folder=config.runs,
    )


def judged(table: PublishedTable, sources: Sequence[Reproduction], *, is_smoke: bool) -> list[Verdict]:
    """Judge every cell by the first source that has computed it."""
    found = judge(table, {}, is_smoke=is_smoke)
    for source in sources:
        judged = judge(table, source.values(), is_smoke=is_smoke, remarks=source.remarks())
        found = [_better(old, new) for old, new in zip(found, judged, strict=True)]
    return found


def filled(
    table: PublishedTable, verdicts: Sequence[Verdict], kept: Mapping[Key, tuple[Dimensionless | None, str]]
) -> list[Verdict]:
    """Judge what earlier studies found of cells that were not computed.

    Args:
        table: The table.
        verdicts: On all of its cells.
        kept: By key a value, or None, and with which training it was found, or how far that is.
    """
    values = {key: value for key, (value, _) in kept.items() if value is not None}
    judged_too = judge(table, values, is_smoke=False, remarks={key: said for key, (_, said) in kept.items()})
    return [_better(old, new) for old, new in zip(verdicts, judged_too, strict=True)]


def shared(table: PublishedTable, verdicts: Sequence[Verdict], same: Mapping[Key, Key]) -> list[Verdict]:
    """Judge cells that were not computed by those whose training is the very same.

    Args:
        table: The table.
        verdicts: On all of its cells.
        same: By cell the other one.
    """
    found = {verdict.cell.key: (verdict.computed, verdict.remark) for verdict in verdicts}
    return filled(table, verdicts, {key: found[other] for key, other in same.items()})


def _better(old: Verdict, new: Verdict) -> Verdict:
    """Return the first verdict, unless only the second is computed, or says how far it is."""
    if old.computed is not None or (new.computed is None and old.remark):
        return old
    return new


def _left(reproduction: Reproduction | None) -> list[Section]:
    if reproduction is None:
        return []
    left = [name for name, piece in reproduction.chosen().items() if not reproduction.is_done(piece)]
    return [Section(title=f"Not run yet: {reproduction.table.title}", items=left)] if left else []


def _row(table: PublishedTable, verdict: Verdict) -> dict[str, Any]:
    return {
        "table": table.name,
        "rule": table.rule.version,
        **dict(verdict.cell.key),
        "published": verdict.cell.published,
        "computed": verdict.computed,
        "verdict": verdict.word,
        "remark": verdict.remark,
        "why": verdict.why,
    }


def _overview(
    verdicts: Mapping[str, Sequence[Verdict]], hours: Mapping[str, Dimensionless], *, is_smoke: bool
) -> Section:
    words = ("agrees", "differs", "smoke", "not run")
    lines = []
    for name, of_table in verdicts.items():
        counts = counts_of(of_table)
        lines.append(
            [name, str(len(of_table)), *(str(counts.get(word, 0)) for word in words), f"{hours[name]:.2f}"]
        )
    return Section(
        text=(*((SMOKE[0].upper() + SMOKE[1:] + ".",) if is_smoke else ()), _HOURS),
        table=Table(header=["table", "cells", *words, "hours"], rows=lines),
    )


def _summary(verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    counts = counts_of([verdict for of_table in verdicts.values() for verdict in of_table])
    return ", ".join(f"{number} cells: {word}" for word, number in counts.items()) + "."
