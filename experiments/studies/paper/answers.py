"""The four answers of `xbar paper` in numbers."""

from operator import attrgetter
from typing import Final

from devices.units import Dimensionless, MicroJoules, Seconds

from ...data.augmentation import PLAIN
from ...support.durations import parse_times
from ...support.statistics import Mean
from .points import NETWORKS, TIMES, Setting
from .rows import LAYER, Row, Rows, accuracy_at_energy, distance_of, score_of

UNCERTAINTY: Final = (
    "Differences with 95 % intervals over seeds (Student's t), accuracies ± standard deviation."
)
_SCOPES: Final = {
    "energy": "with static power of all arrays while the network works",
    "work": "without static power",
}
"""Fields of a row, and what they hold: between these two lies the scope in which arrays are gated layer by layer."""
YEAR: Final[Seconds] = parse_times(TIMES)[-1]
_QUESTIONS: Final = (
    "1. Is weight sharing necessary to prevent overfitting?",
    "2. Is it necessary for translation-invariant recognition?",
    "3. Can acceptable accuracy be reached without it, and at which price?",
    "4. Does approximate weight sharing emerge by itself, and does it last?",
)


def answers(rows: Rows) -> dict[str, list[str]]:
    """Return for each question sentences with numbers, one for each place of learning."""
    found: dict[str, list[str]] = {question: [] for question in _QUESTIONS}
    learned = rows.learned()
    for setting in rows.settings():
        strengths = rows.strengths(setting)
        lost = _what_did_not_learn(rows, setting)
        for question, answer in zip(
            _QUESTIONS, (_overfitting, _translation, _price, _emergence), strict=True
        ):
            sentence = answer(
                learned,
                setting,
                strengths[0],
                strengths[min(1, len(strengths) - 1) if len(strengths) < 3 else 2],
            )
            if sentence or lost:
                parts = [sentence or "nothing to compare.", *([lost] if lost else [])]
                found[question].append(f"{str(setting).capitalize()}: {' '.join(parts)}")
    return found


def _what_did_not_learn(rows: Rows, setting: Setting) -> str:
    """Name the networks that are left out of a setting's answers."""
    seeds: dict[tuple[str, Dimensionless, Dimensionless], list[str]] = {}
    for row in rows.rows:
        if row.point.setting == setting and not row.did_learn:
            point = row.point
            seeds.setdefault((point.network, point.strength, point.vcp), []).append(str(point.seed))
    names = []
    for (network, strength, vcp), lost in seeds.items():
        absent = f" and {100 * vcp:.0f} % of the inputs absent" if vcp else ""
        names.append(f"{title_of(network)} {_taught(rows, strength)}{absent} (seed {', '.join(lost)})")
    return f"Not counted, as they did not learn: {'; '.join(names)}." if names else ""


def _overfitting(rows: Rows, setting: Setting, plain: Dimensionless, strong: Dimensionless) -> str:
    fcn, cnn = (rows.mean(Row.gap, setting, network, plain) for network in NETWORKS)
    difference = rows.difference(score_of(PLAIN), setting, plain)
    if fcn is None or cnn is None or difference is None:
        return ""
    return (
        f"{_taught(rows, plain)}, accuracy on training images less that on validation images is {fcn.points()} (FCN) "
        f"and {cnn.points()} (CNN); on validation images the FCN has {difference.points()} against the CNN."
    )


def _translation(rows: Rows, setting: Setting, plain: Dimensionless, strong: Dimensionless) -> str:
    parts = []
    for network in NETWORKS:
        before, after, aged = (
            rows.mean(score_of("translation", time), setting, network, strength)
            for strength, time in ((plain, None), (strong, None), (strong, YEAR))
        )
        if before is None or after is None:
            return ""
        taught = f", trained {_taught(rows, plain)}" if plain else ""
        taught += f", trained {_taught(rows, strong)} {after.percent()}" if strong > plain else ""
        later = "" if aged is None else f", {aged.percent()} a year later"
        parts.append(f"{network.upper()} {before.percent()} on shifted images{taught}{later}")
    difference = rows.difference(score_of("translation"), setting, strong)
    sentence = f"{'; '.join(parts)}."
    if difference is None:  # no seed has both
        return sentence
    return f"{sentence} The FCN has {difference.points()} against the CNN."


def _price(rows: Rows, setting: Setting, plain: Dimensionless, strong: Dimensionless) -> str:
    score = rows.difference(score_of(PLAIN), setting, strong)
    if score is None:
        return ""
    sentence = f"after as many epochs {_taught(rows, strong)}, the FCN has {score.points()} against the CNN"
    for energy, scope in _SCOPES.items():
        equal = _at_equal_energy(rows, setting, strong, f"{energy}_per_epoch")
        if equal is not None:
            sentence += (
                f", and after as much energy ({equal[0] * 1e-6:.3g} J on the chip, {scope}) {equal[1]}"
            )
    parts = []
    for energy, scope in _SCOPES.items():
        images = [
            rows.mean(attrgetter(f"{energy}_per_image"), setting, network, strong) for network in NETWORKS
        ]
        if images[0] is not None and images[1] is not None:
            parts.append(f"{images[0].value:.3g} µJ (FCN) and {images[1].value:.3g} µJ (CNN) {scope}")
    if parts:
        sentence += f"; an image costs {', '.join(parts)}"
    for network in rows.networks():
        other = None if network in NETWORKS else rows.difference(score_of(PLAIN), setting, strong, network)
        if other is not None:
            sentence += f"; {network} has {other.points()} against the CNN"
    absent = rows.vcps(setting)
    if absent:
        means = [(vcp, rows.mean(score_of(PLAIN), setting, "fcn", s, vcp)) for s, vcp in absent]
        sentence += "; with inputs absent: " + ", ".join(
            f"{100 * vcp:.0f} % {mean.percent()}" for vcp, mean in means if mean is not None
        )
    return f"{sentence}."


def _at_equal_energy(
    rows: Rows, setting: Setting, strength: Dimensionless, per_epoch: str
) -> tuple[MicroJoules, str] | None:
    """Return the energy that the cheaper training used in all, and how the FCN compares when both have used it.

    Args:
        rows: Runs of the study.
        setting: Where they learned.
        strength: Of the augmentation.
        per_epoch: The attribute of a row that holds the energy of an epoch, in a scope of static power.
    """
    energy_of = attrgetter(per_epoch)

    def total(row: Row) -> MicroJoules | None:
        return None if energy_of(row) is None else energy_of(row) * len(row.history)

    totals = [rows.mean(total, setting, network, strength) for network in NETWORKS]
    budget = min((one.value for one in totals if one is not None), default=None)
    if budget is None:
        return None
    equal = rows.difference(lambda row: accuracy_at_energy(row, budget, energy_of(row)), setting, strength)
    return None if equal is None else (budget, equal.points())


def _emergence(rows: Rows, setting: Setting, plain: Dimensionless, strong: Dimensionless) -> str:
    before = Mean.of([row.start[LAYER]["euclidean 1"] for row in rows.select(setting, "fcn", plain)])
    here, apart, turned = (
        rows.mean(value_of, setting, "fcn", strong)
        for value_of in (distance_of(), distance_of("orthogonal 1"), Row.turned)
    )
    still = rows.mean(distance_of(), setting, "fcn", plain)
    if before is None or here is None or still is None or apart is None or turned is None:
        return ""
    aged = rows.mean(lambda row: row.turned(YEAR), setting, "fcn", strong)
    later = "" if aged is None else f", on chips a year later {_change(aged)} from the start"
    more = f" and {number_of(here)} {_taught(rows, strong)}" if strong > plain else ""
    return (
        f"the distance between neighbouring kernels goes from {before.value:.4f} to {number_of(still)} "
        f"{_taught(rows, plain)}{more}, where kernels as long as these at right angles would be "
        f"{apart.value:.4f} apart; their cosine distance changes by {_change(turned)}{later}."
    )


def _taught(rows: Rows, strength: Dimensionless) -> str:
    return f"with {rows.what} of {strength:g}" if strength else f"without {rows.what}"


def _change(mean: Mean) -> str:
    return f"{mean.value:+.4f}" + ("" if mean.reach is None else f" ± {mean.reach:.4f}")


def number_of(mean: Mean) -> str:
    """Write a distance: mean and standard deviation."""
    return f"{mean.value:.4f}" + ("" if mean.std is None else f" ± {mean.std:.4f}")


def title_of(network: str) -> str:
    """Return how tables and figures name a network."""
    return network.upper() if network in NETWORKS else network
