"""Emergent sharing in the seed paper: how far apart kernels of the first free layer stand after augmented images.

Shifted images pull kernels at neighbouring places together, turned ones do not, noise only where it is strong.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from devices.units import Dimensionless

from ....drawing.sections import Section, Table
from ....runs.emergent_sharing import DISTANCES, EUCLIDEAN, expected_at_start
from ..judgement import Pattern

DISTANCES_TITLE: Final = "How far apart kernels of the first free layer are"
_LAYER: Final = "local1"
# Of independent kernels at 13 x 13 places.
_START: Final = expected_at_start(13 * 13)
# What counts as closer: below this part of the distance at the start, from which starts differ by up to 1 %. Written
# on 2026-11-30, before trainings with noise or rotation.
_CLOSER: Final = 0.99
# From which strength on noise pulls kernels together, says the paper.
_STRONG_NOISE: Final = 0.8
_TEXT: Final = (
    "Mean Euclidean distance of a kernel to those on the ring around it, of kernels divided by the norm of the whole "
    "layer: 0.1088 where they are independent, as at the start. After 250 epochs the paper's figure shows 0.110 "
    "without shifts, 0.108 with 0.1, 0.100 with 0.2, 0.091 with 0.3, 0.080 with 0.4 and 0.072 with 0.5, at radius 1."
)

Point = tuple[str, Dimensionless, str]
"""Augmentation, strength and network."""


def distances(finished: Mapping[Point, Sequence[Sequence[Mapping[str, Any]]]]) -> list[Section]:
    """Return the distances after the first and the last epoch, means over folds.

    Args:
        finished: By point the logs of its folds, epoch by epoch.

    Returns:
        A section, or none if no log tells of kernels.
    """
    rows = []
    for (augmentation, strength, _), logs in finished.items():
        for radius in DISTANCES:
            name = f"{_LAYER} {EUCLIDEAN} {radius}"
            if any(name not in log[-1] for log in logs):
                continue
            first, last = (sum(log[place][name] for log in logs) / len(logs) for place in (0, -1))
            epochs = min(len(log) for log in logs)
            rows.append(
                [augmentation, f"{strength:g}", str(radius), f"{first:.4f}", f"{last:.4f}", str(epochs)]
            )
    if not rows:
        return []
    header = ["augmentation", "strength", "radius", "first epoch", "last epoch", "epochs"]
    return [
        Section(title=DISTANCES_TITLE, text=(_TEXT,), table=Table(header=header, rows=rows, align="lllrrr"))
    ]


def claims(sections: Sequence[Section]) -> list[Pattern]:
    """Judge what the paper says of distances, as far as trainings tell.

    Args:
        sections: Among them those of `distances`.
    """
    tables = [section.table for section in sections if section.title == DISTANCES_TITLE]
    last: dict[tuple[str, float, int], float] = {}
    for table in tables:
        for augmentation, strength, radius, _, at_end, _ in table.rows if table is not None else ():
            last[augmentation, float(strength), int(radius)] = float(at_end)

    def of(augmentation: str, radius: int = DISTANCES[0]) -> dict[float, float]:
        found = sorted(last.items())
        return {at: value for (kind, at, ring), value in found if (kind, ring) == (augmentation, radius)}

    weak = {strength: value for strength, value in of("noise").items() if strength < _STRONG_NOISE}
    strong = {strength: value for strength, value in of("noise").items() if strength >= _STRONG_NOISE}
    shifts, far = of("translation"), of("translation", DISTANCES[-1])
    pairs = {strength: (far[strength], shifts[strength]) for strength in shifts if strength > 0.1}
    rule = f"below {_CLOSER:g} of {_START:.4f} after the last epoch"
    return [
        _all("Rotation does not pull kernels together", of("rotation"), is_closer=False, rule=rule),
        _all(f"Noise below {_STRONG_NOISE:g} does not, either", weak, is_closer=False, rule=rule),
        _all(f"Noise of {_STRONG_NOISE:g} and above does", strong, is_closer=True, rule=rule),
        Pattern(
            words="Shifts do, the more the stronger: distances fall with the strength",
            holds=list(shifts.values()) == sorted(shifts.values(), reverse=True) if len(shifts) > 1 else None,
            measured=_listed(shifts),
        ),
        Pattern(
            words=f"With shifts above 0.1, kernels {DISTANCES[-1]} places apart are further apart than neighbours",
            holds=all(away > close for away, close in pairs.values()) if pairs else None,
            measured=", ".join(
                f"{strength:g}: {away:.4f} and {close:.4f}" for strength, (away, close) in pairs.items()
            ),
        ),
    ]


def _all(words: str, found: Mapping[float, float], *, is_closer: bool, rule: str) -> Pattern:
    verdicts = [(value < _CLOSER * _START) == is_closer for value in found.values()]
    return Pattern(
        words=f"{words} ({rule})", holds=all(verdicts) if verdicts else None, measured=_listed(found)
    )


def _listed(found: Mapping[float, float]) -> str:
    return ", ".join(f"{strength:g}: {value:.4f}" for strength, value in found.items())
