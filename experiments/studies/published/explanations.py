"""Why a cell differs, as far as it was tested: real aihwkit tiles of the same seeds first, then open settings."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...drawing.sections import Section
from ...support.statistics import NOTHING
from .judgement import Pattern, Verdict
from .tables import Key, PublishedTable, key_of

REAL_TILES: Final = "Against real aihwkit tiles"
OPEN_SETTINGS: Final = "What open settings can reach"
_TRIED: Final = re.compile(
    r"(?:(?P<kind>held out|also), )?(?P<states>\d+) states, (?P<rule>[\w-]+), (?P<what>.*)"
)


def explain(
    table: PublishedTable, verdicts: Sequence[Verdict], sections: Sequence[Section]
) -> dict[Key, str]:
    """Say of every cell that differs what was tested, from the tables of the learning rules.

    Args:
        table: The table.
        verdicts: On its cells.
        sections: What else there is to show: among them `REAL_TILES` and `OPEN_SETTINGS`.

    Returns:
        A sentence by key; nothing of cells that agree or were not run.
    """
    tables = {section.title: section.table for section in sections if section.table is not None}
    real: dict[Key, tuple[str, str]] = {}
    for states, rule, sigma, _, theirs, word in tables[REAL_TILES].rows if REAL_TILES in tables else ():
        key = key_of({"states": float(states), "rule": rule, "sigma_r": float(sigma)})
        real[key] = (theirs, word)
    tried: dict[Key, list[tuple[float, str]]] = {}
    if OPEN_SETTINGS in tables:
        heads = tables[OPEN_SETTINGS].header
        for name, *values, _ in tables[OPEN_SETTINGS].rows:
            match = _TRIED.fullmatch(name)
            if match is None:
                continue
            for head, value in zip(heads[1:-1], values, strict=True):
                if value == NOTHING:
                    continue
                at = float(head.removeprefix("sigma_r "))
                key = key_of({"states": float(match["states"]), "rule": match["rule"], "sigma_r": at})
                tried.setdefault(key, []).append((float(value), match["what"]))
    found = {}
    for verdict in verdicts:
        if verdict.word == "differs":
            key = verdict.cell.key
            found[key] = f"{_of_tiles(real.get(key))}; {_of_settings(table, verdict, tried.get(key, []))}"
    return found


def explain_claims(patterns: Sequence[Pattern], sections: Sequence[Section]) -> list[Pattern]:
    """Say beside claims about SGD and chopped Tiki-Taka v2 that do not hold what real aihwkit tiles do.

    Args:
        patterns: The claims.
        sections: What else there is to show: among them `REAL_TILES`.
    """
    tables = {section.title: section.table for section in sections if section.table is not None}
    rows = tables[REAL_TILES].rows if REAL_TILES in tables else ()
    real = {(rule, float(sigma), int(states)): float(theirs) for states, rule, sigma, _, theirs, _ in rows}
    found = []
    for pattern in patterns:
        rule, sigma = ("sgd", 0.0) if pattern.words.startswith("SGD") else ("chopped-ttv2", 1.0)
        known = {
            states: value for (of, at, states), value in sorted(real.items()) if (of, at) == (rule, sigma)
        }
        is_ours = pattern.words.startswith(("SGD", "chopped"))
        if pattern.holds is not False or len(known) < 2 or not is_ours:
            found.append(pattern)
            continue
        values = ", ".join(f"{value:g} % at {states} states" for states, value in known.items())
        said = f"real aihwkit tiles: {values}"
        if rule == "sgd":
            (few, before), *_, (many, after) = known.items()
            said += f", an exponent of {math.log(after / before) / math.log(many / few):.2f}"
        found.append(replace(pattern, why=said))
    return found


def _of_tiles(real: tuple[str, str] | None) -> str:
    if real is None:
        return "real tiles not run at so many states"
    value, verdict = real
    if verdict == "agrees":
        return f"real aihwkit tiles {value} %, as ours: not the emulator"
    return f"real aihwkit tiles {value} %, unlike ours: the emulator"


def _of_settings(table: PublishedTable, verdict: Verdict, tried: Sequence[tuple[float, str]]) -> str:
    if not tried:
        return "no other setting tried"
    reached = [(value, what) for value, what in tried if table.rule.agrees(verdict.cell, value)]
    if reached:
        value, what = reached[0]
        return f"agrees with {what} ({value:g} %): a setting that the paper leaves open"
    value, what = min(tried, key=lambda one: abs(one[0] - verdict.cell.published))
    return f"nearest of {len(tried)} tried: {what} ({value:g} %), so open settings do not explain it"
