"""Learning rates chosen by one rule and budget for every device: a short ladder, and validation images.

A device that nobody has tuned a rate for would else lose for that. The usual rate of the training stands in the
middle of a geometric ladder; every rate of it is trained once, and the one with the best score on the validation
images at the end is taken. No test image is looked at.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, final

from devices.units import Dimensionless

from ..commands.train import run_train
from ..data.examples import Facts
from ..runs.options.config import TrainConfig
from ..runs.options.defaults import resolve
from ..runs.run_folder import RunFolder
from ..support.parallel import do_all
from .study import StudyPlan

_STEP: Final = (
    3.0  # assumed: between neighbours of this ladder accuracy changes little (learning_rates.py has trials)
)

Key = TypeVar("Key", bound=Hashable)


@final
@dataclass(frozen=True, kw_only=True)
class TunedRate:
    """The rate that a training is done with.

    Attributes:
        rate: The rate.
        tried: Score on the validation images by rate, None where the training broke off; empty if none was tried.
    """

    rate: Dimensionless
    tried: Mapping[Dimensionless, Dimensionless | None]

    @property
    def is_at_end(self) -> bool:
        """Whether a rate beyond the ladder might have been better still."""
        return len(self.tried) > 1 and self.rate in (min(self.tried), max(self.tried))

    def text(self) -> str:
        """Write the rate, with an arrow where the ladder ends there."""
        if not self.is_at_end:
            return f"{self.rate:.2g}"
        return f"{self.rate:.2g} {'<' if self.rate == min(self.tried) else '>'}"


def ladder(usual: Dimensionless, number: int) -> tuple[Dimensionless, ...]:
    """Return an odd number of rates around the usual one, rising.

    Example:
        >>> [round(rate, 2) for rate in ladder(1.0, 3)]
        [0.33, 1.0, 3.0]
    """
    return tuple(usual * _STEP**place for place in range(-(number // 2), number // 2 + 1))


def is_done(wish: TrainConfig, facts: Facts) -> bool:
    """Say whether a run is finished."""
    return RunFolder.of(resolve(wish, facts)).result_file.exists()


def tune_rates(
    wishes: Mapping[Key, TrainConfig],
    facts: Facts,
    plan: StudyPlan,
    *,
    number: int,
    name_of: Callable[[Key], str],
) -> tuple[dict[Key, TunedRate], dict[str, str]]:
    """Train each wish with each rate of its ladder, side by side, and choose.

    Args:
        wishes: What is trained, with its usual rate.
        facts: What is known of the data.
        plan: How many at a time, and where.
        number: Rates for each; with 1 nothing is trained and the usual one taken.
        name_of: What errors and progress call a wish.

    Returns:
        The rate of each wish for which a training came to an end, and those that broke off, with the reason.

    Raises:
        RunInterrupted: If the user stopped it; the same call goes on.
    """
    usual = {key: wish.lr for key, wish in wishes.items()}
    if number == 1:
        return {key: TunedRate(rate=rate or 0.0, tried={}) for key, rate in usual.items()}, {}
    steps = {
        (key, rate): replace(wish, lr=rate)
        for key, wish in wishes.items()
        for rate in ladder(usual[key] or 0.0, number)
    }
    names = {step: f"{name_of(step[0])}, rate {step[1]:.2g}" for step in steps}
    todo = {names[step]: wish for step, wish in steps.items() if not is_done(wish, facts)}
    failed: dict[str, str] = {}
    if todo:
        folder = next(iter(todo.values())).out
        failed = do_all(
            run_train,
            todo,
            total=len(steps),
            jobs=plan.jobs,
            threads=plan.threads,
            folder=folder,
            dask=plan.dask,
        )
    found = {}
    for key in wishes:
        tried = {
            rate: None if names[own, rate] in failed else validation_score(wish, facts)
            for (own, rate), wish in steps.items()
            if own == key
        }
        rate = best_of(tried)
        if rate is not None:
            found[key] = TunedRate(rate=rate, tried=tried)
    return found, failed


def best_of(tried: Mapping[Dimensionless, Dimensionless | None]) -> Dimensionless | None:
    """Return the rate with the best score; of equals the one nearest to the middle of the ladder, then the lower."""
    known = {rate: score for rate, score in tried.items() if score is not None}
    if not known:
        return None
    rates: Sequence[Dimensionless] = sorted(tried)
    middle = len(rates) // 2
    best = max(known.values())
    return min(
        (rate for rate, score in known.items() if score == best),
        key=lambda rate: (abs(rates.index(rate) - middle), rate),
    )


def validation_score(wish: TrainConfig, facts: Facts) -> Dimensionless:
    """Return the score on the validation images after the last epoch of a finished run.

    Raises:
        ValueError: If its log is damaged.
    """
    return RunFolder.of(resolve(wish, facts)).read_log()[-1]["validation_accuracy"]
