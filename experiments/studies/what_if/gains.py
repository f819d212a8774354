"""What each change of a device gains, and how that is told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, final

from devices.units import Dimensionless

from ...data.chance import mark
from ...data.objective_names import METRIC_NAMES, Metric
from ...drawing.sections import Section, Table
from ...support.statistics import Difference
from .variants import BASE

Verdict = Literal["gains", "loses", "below the threshold", "within the spread"]
HOW: Final = {"in-situ": "Learning in situ", "hwa": "Written, and aged"}


@final
@dataclass(frozen=True, kw_only=True)
class Gain:
    """One change of a device in one use of it.

    Attributes:
        mode: "in-situ" or "hwa".
        change: What is different, or `BASE`.
        device_file: The device.
        accuracy: Mean over the seeds, and the chips of each.
        gain: What is gained over the device as it is, paired over seeds.
        error: Standard error of the gain.
        reach: Half of its 95 % interval.
        verdict: Whether that is more than chance explains, and than the threshold; None of the device as it is.
        rate: Learning rate, in situ; 0 else.
        rate_text: The same, marked where the ladder of rates ends.
        tried: Score on validation images by learning rate, empty where none was tried.
        did_learn: Of each seed, whether the network learned at all; see `chance.RULE`.
    """

    mode: str
    change: str
    device_file: str
    accuracy: Dimensionless
    gain: Dimensionless
    error: Dimensionless
    reach: Dimensionless
    verdict: Verdict | None
    rate: Dimensionless
    rate_text: str
    tried: Mapping[str, Dimensionless | None]
    did_learn: Sequence[bool]

    @property
    def difference(self) -> Difference:
        """The gain with its interval."""
        return Difference(self.gain, self.error, self.reach)

    @property
    def name(self) -> str:
        """The change, and whether networks learned."""
        return f"{self.change}{mark(self.did_learn)}"

    def to_json(self) -> dict[str, Any]:
        """Return the gain in the types of JSON, with the ends of its interval."""
        ends = {"low": self.difference.low, "high": self.difference.high}
        return {**asdict(self), **ends, "did_learn": list(self.did_learn)}


def verdict_on(gain: Difference, threshold: Dimensionless) -> Verdict:
    """Say whether a gain is surely more than the threshold, surely less, or neither."""
    if threshold > 0 and max(abs(gain.low), abs(gain.high)) <= threshold:
        return "below the threshold"
    if gain.low > threshold:
        return "gains"
    return "loses" if gain.high < -threshold else "within the spread"


def ranked(gains: Sequence[Gain], mode: str) -> list[Gain]:
    """Return the device as it is, then its changes in one use, the largest gain first."""
    mine = [gain for gain in gains if gain.mode == mode]
    return sorted(mine, key=lambda gain: (gain.change != BASE, -gain.gain))


def first_of(gains: Sequence[Gain], mode: str, threshold: Dimensionless) -> str:
    """Say in one sentence what to change first."""
    own = ranked(gains, mode)[1:]
    sure = [gain for gain in own if gain.verdict == "gains" and not gain.change.startswith("all of these")]
    if sure:
        return f"{HOW[mode]}: what to change first: {sure[0].change}, {sure[0].difference.points()} points."
    if not own:
        return f"{HOW[mode]}: nothing in the device file could be better."
    beyond = f"{100 * threshold:g} points" if threshold else "chance"
    highest = max(gain.difference.high for gain in own)
    return (
        f"{HOW[mode]}: what to change first: nothing stands out. No change alone gains more than {beyond} surely, "
        f"and none more than {100 * highest:.2f} points likely."
    )


def sections_of(gains: Sequence[Gain], lead: str, threshold: Dimensionless, metric: Metric) -> list[Section]:
    """Return a table for each use of the device, and what its columns mean."""
    found = [Section(text=(lead,), records=[_record(gain) for gain in gains])]
    for mode in HOW:
        own = ranked(gains, mode)
        if not own:
            continue
        has_rates = mode == "in-situ"
        titles = ["what if", METRIC_NAMES[metric], "gain in points, 95 % interval", "verdict"]
        rows = [
            [
                gain.name,
                f"{100 * gain.accuracy:.1f} %",
                "" if gain.change == BASE else gain.difference.points(),
                gain.verdict or "",
                *([gain.rate_text] if has_rates else []),
            ]
            for gain in own
        ]
        table = Table(
            header=[*titles, *(["rate"] if has_rates else [])], rows=rows, align="lrrl" + "r" * has_rates
        )
        found.append(Section(title=HOW[mode], text=(first_of(gains, mode, threshold),), table=table))
    notes = [
        "gains, loses: all of the interval lies beyond the threshold "
        f"({100 * threshold:g} points), so at 0 one change in twenty does by chance. within the spread: more seeds, "
        "or test images, would tell.",
    ]
    if any(gain.mode == "in-situ" for gain in gains):
        notes.append(
            "rate: of those tried, the one that was best on validation images with the first seed. <, >: the lowest "
            "or the highest of them."
        )
    return [*found, Section(notes=notes)]


def _record(gain: Gain) -> dict[str, object]:
    columns = gain.to_json()
    return {
        name: value for name, value in columns.items() if name not in ("tried", "did_learn", "rate_text")
    } | {"seeds_that_learned": sum(gain.did_learn)}
