"""What a non-ideality does to the accuracy, chip by chip or seed by seed, and how that is told."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, final

from devices.units import Dimensionless

from ...drawing.sections import Section, Table
from ...support.statistics import Difference
from .outcomes import Outcome, change_between
from .switches import Switch

Verdict = Literal["matters", "below the threshold", "within the spread", "NO EFFECT"]

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
        change: Mean of what switching it off adds, paired over chips (or seeds) and test images.
        error: Standard error of this mean, of which both are samples.
        reach: Half of its 95 % interval.
        verdict: Whether it matters.
        note: Why it has no effect, if that is known.
    """

    what: str
    part: str
    with_it: Dimensionless
    without: Dimensionless
    change: Dimensionless
    error: Dimensionless
    reach: Dimensionless
    verdict: Verdict
    note: str = ""

    @property
    def difference(self) -> Difference:
        """The change with its interval."""
        return Difference(self.change, self.error, self.reach)

    @property
    def name(self) -> str:
        """What is switched off, and of what kind of product, if of one."""
        return f"{self.what} ({self.part})" if "product" in self.part else self.what

    def to_json(self) -> dict[str, Any]:
        """Return the effect in the types of JSON."""
        return asdict(self)


def effect_of(
    switch: Switch, with_it: Sequence[Outcome], without: Sequence[Outcome], threshold: Dimensionless = 0.0
) -> Effect:
    """Compare outcomes chip by chip, or seed by seed, and image by image.

    Args:
        switch: What was switched off.
        with_it: The outcomes with it.
        without: Those without it, in the same order.
        threshold: Changes of accuracy up to this one do not matter to the user.
    """
    change = change_between(with_it, without)
    is_same = all(a.digest == b.digest for a, b in zip(with_it, without, strict=True))
    verdict = "NO EFFECT" if is_same else verdict_on(change, threshold)
    return Effect(
        what=switch.what,
        part=switch.part,
        with_it=statistics.fmean(outcome.accuracy for outcome in with_it),
        without=statistics.fmean(outcome.accuracy for outcome in without),
        change=change.value,
        error=change.error,
        reach=change.reach,
        verdict=verdict,
        note=_WHY.get(switch.what, "") if verdict == "NO EFFECT" else "",
    )


def verdict_on(change: Difference, threshold: Dimensionless) -> Verdict:
    """Say whether a change is surely more than the threshold, surely less, or neither.

    One in twenty changes that are none stands out by chance.
    """
    if threshold > 0 and max(abs(change.low), abs(change.high)) <= threshold:
        return "below the threshold"
    if change.low > threshold or change.high < -threshold:
        return "matters"
    return "within the spread"


def first_to_change(effects: Sequence[Effect], threshold: Dimensionless) -> str:
    """Say which non-ideality costs most, among those that matter."""
    costly = [effect for effect in effects if effect.verdict == "matters" and effect.change > 0]
    if costly:
        first = max(costly, key=lambda effect: effect.change)
        return f"What to change first: {first.name}. Without it {first.difference.points()} points."
    sure = max((effect.difference.high for effect in effects), default=0.0)
    beyond = f"{100 * threshold:g} points" if threshold else "chance"
    return (
        f"What to change first: nothing stands out. None costs more than {beyond} surely, and none more than "
        f"{100 * sure:.2f} points likely (upper ends of the 95 % intervals)."
    )


def table_of(effects: Sequence[Effect], sample: str, threshold: Dimensionless = 0.0) -> list[str]:
    """Write a table to read, with a warning for each setting that did nothing, and then what follows from it."""
    width = max(len(effect.name) for effect in effects)
    lines = [sample, f"{'without':<{width}}{'accuracy':>10}{'change in points, 95 % interval':>34}"]
    for effect in effects:
        change = effect.difference.points()
        lines.append(f"{effect.name:<{width}}{100 * effect.without:>8.1f} %{change:>34}  {effect.verdict}")
    lines += [f"Warning: {warning_of(effect)}" for effect in effects if effect.verdict == "NO EFFECT"]
    return [*lines, "", verdict_of(effects, threshold)]


def verdict_of(effects: Sequence[Effect], threshold: Dimensionless = 0.0) -> str:
    """Say in a few sentences what matters, what does not, what had no effect at all, and what to change first.

    Args:
        effects: What was found, the largest first.
        threshold: Changes up to this one do not matter to the user.
    """
    matters = [
        f"{effect.name} ({100 * effect.change:+.1f} points without it)"
        for effect in effects
        if effect.verdict == "matters"
    ]
    within, below = (
        sum(effect.verdict == verdict for effect in effects)
        for verdict in ("within the spread", "below the threshold")
    )
    idle = [effect.name for effect in effects if effect.verdict == "NO EFFECT"]
    sentences = [f"What matters: {', '.join(matters)}." if matters else "Nothing alone matters."]
    if within:
        sentences.append(f"{within} of {len(effects)} change no more than chance explains.")
    if below:
        sentences.append(f"{below} of {len(effects)} change less than {100 * threshold:g} points.")
    if idle:
        sentences.append(f"No effect at all: {', '.join(idle)}.")
    return " ".join([*sentences, first_to_change(effects, threshold)])


def warning_of(effect: Effect) -> str:
    """Say that a setting did nothing, and why if that is known."""
    return f"{effect.name} had no effect{f': {effect.note}' if effect.note else ''}."


def section_of(
    effects: Sequence[Effect], sample: str, title: str = "Does it matter?", threshold: Dimensionless = 0.0
) -> Section:
    """Return the same as a section of a page."""
    lines = [
        [
            effect.what,
            effect.part,
            f"{100 * effect.without:.1f} %",
            effect.difference.points(),
            effect.verdict,
        ]
        for effect in effects
    ]
    return Section(
        title=title,
        text=(
            verdict_of(effects, threshold),
            f"{sample}. Each non-ideality alone is switched off: accuracy, and the change in points with its 95 % "
            "interval over chips or seeds and test images.",
        ),
        table=Table(header=["without", "where", "accuracy", "change", "verdict"], rows=lines, text_columns=2),
        warnings=[warning_of(effect) for effect in effects if effect.verdict == "NO EFFECT"],
        page_only=True,
    )
