"""What a non-ideality does to the accuracy, chip by chip or seed by seed, and how that is told."""

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, final

from devices.units import Dimensionless

from ...drawing.sections import Section, Table
from ...support.statistics import Mean
from .switches import Switch

Verdict = Literal["matters", "within the spread", "NO EFFECT"]

_WHY: Final = {
    "imperfect resets": "devices are never reset by this learning rule",
    "drift": "at this time nothing has drifted yet",
    "accumulated read noise": "at this time none has accumulated yet",
    "saturation of the ADC": "no output ever reached the bound",
}
"""Why a setting may do nothing, where that is known."""


@final
@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one non-ideality does to the accuracy.

    Attributes:
        what: Its name.
        part: Where it is.
        with_it: Mean accuracy with it, over chips or seeds.
        without: Mean accuracy without it.
        change: Mean of what switching it off adds, chip by chip or seed by seed.
        error: Standard error of this mean.
        verdict: Whether it matters.
        note: Why it has no effect, if that is known.
    """

    what: str
    part: str
    with_it: Dimensionless
    without: Dimensionless
    change: Dimensionless
    error: Dimensionless
    verdict: Verdict
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the effect in the types of JSON."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Outcome:
    """What a network answered: its accuracy, and a digest of every output."""

    accuracy: Dimensionless
    digest: str

    def __post_init__(self) -> None:
        if not -math.inf < self.accuracy <= 1 or not re.fullmatch("[0-9a-f]{16}", self.digest):
            raise ValueError(f"an outcome must be an accuracy of at most 1 and a digest, but is {self}")


def effect_of(switch: Switch, with_it: Sequence[Outcome], without: Sequence[Outcome]) -> Effect:
    """Compare outcomes chip by chip, or seed by seed.

    Args:
        switch: What was switched off.
        with_it: The outcomes with it.
        without: Those without it, in the same order.
    """
    mean = Mean.of_all([b.accuracy - a.accuracy for a, b in zip(with_it, without, strict=True)])
    # So few chips need more than two standard errors (Student); one in twenty switches stands out by chance.
    is_clear = mean.reach is not None and abs(mean.value) > mean.reach
    verdict: Verdict = "matters" if is_clear else "within the spread"
    if all(a.digest == b.digest for a, b in zip(with_it, without, strict=True)):
        verdict = "NO EFFECT"
    return Effect(
        what=switch.what,
        part=switch.part,
        with_it=statistics.fmean(outcome.accuracy for outcome in with_it),
        without=statistics.fmean(outcome.accuracy for outcome in without),
        change=mean.value,
        error=mean.error or 0.0,
        verdict=verdict,
        note=_WHY.get(switch.what, "") if verdict == "NO EFFECT" else "",
    )


def table_of(effects: Sequence[Effect], sample: str) -> list[str]:
    """Write a table to read, with a warning for each setting that did nothing."""
    width = max(len(_name(effect)) for effect in effects)
    lines = [sample, f"{'without':<{width}}{'accuracy':>10}{'change':>18}"]
    for effect in effects:
        change = f"{100 * effect.change:+.1f} ± {100 * effect.error:.1f} %"
        lines.append(f"{_name(effect):<{width}}{100 * effect.without:>8.1f} %{change:>18}  {effect.verdict}")
    return lines + [f"Warning: {warning_of(effect)}" for effect in effects if effect.verdict == "NO EFFECT"]


def verdict_of(effects: Sequence[Effect]) -> str:
    """Say in a few sentences what matters, what does not, and what had no effect at all.

    Args:
        effects: What was found, the largest first.
    """
    matters = [
        f"{_name(e)} ({100 * e.change:+.1f} points without it)" for e in effects if e.verdict == "matters"
    ]
    within = sum(effect.verdict == "within the spread" for effect in effects)
    idle = [_name(effect) for effect in effects if effect.verdict == "NO EFFECT"]
    sentences = [f"What matters: {', '.join(matters)}." if matters else "Nothing alone matters."]
    if within:
        sentences.append(f"{within} of {len(effects)} change less than repeats differ by.")
    if idle:
        sentences.append(f"No effect at all: {', '.join(idle)}.")
    return " ".join(sentences)


def warning_of(effect: Effect) -> str:
    """Say that a setting did nothing, and why if that is known."""
    return f"{_name(effect)} had no effect{f': {effect.note}' if effect.note else ''}."


def _name(effect: Effect) -> str:
    return f"{effect.what} ({effect.part})" if "product" in effect.part else effect.what


def section_of(effects: Sequence[Effect], sample: str, title: str = "Does it matter?") -> Section:
    """Return the same as a section of a page."""
    lines = [
        [
            effect.what,
            effect.part,
            f"{100 * effect.without:.1f} %",
            f"{100 * effect.change:+.1f} ± {100 * effect.error:.1f}",
            effect.verdict,
        ]
        for effect in effects
    ]
    return Section(
        title=title,
        text=(
            verdict_of(effects),
            f"{sample}. Each non-ideality alone is switched off: accuracy, and the change in points.",
        ),
        table=Table(header=["without", "where", "accuracy", "change", "verdict"], rows=lines, text_columns=2),
        warnings=[warning_of(effect) for effect in effects if effect.verdict == "NO EFFECT"],
        page_only=True,
    )
