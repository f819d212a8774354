"""The searches of a study: one for each training whose rate is open, all with the same number of trials."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from devices.files import make_folder, write_atomically

from ...data.datasets import DataSplit
from ...runs.options.defaults import resolve
from ...runs.options.device_names import has_transfers
from ...runs.rates.tuned import TunedRate, TunedRates, key_of
from ...runs.run_data import images_of
from ...support.environment import describe_environment
from ...support.parallel import do_all
from ..study import Study, within
from .search import Search, Trial, advance, outcome_of, trials_done

SEED: Final = 100
"""Of the trainings of a search: none of those whose results are told."""
TUNED_FILE: Final = "tuned.toml"
METHOD: Final = (
    "Each rate is that of the highest validation accuracy at the end of a training. The first trial takes the usual "
    "rate of its mode, the others are drawn by Optuna's tree-structured Parzen estimator. After a ninth and a third "
    "of its steps a training goes on only if it is among the best third so far. Test images were not looked at."
)


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """What searches have found.

    Attributes:
        rates: One for each training.
        trials: By the name of a search, all that was tried.
        failed: Searches that found nothing, and why.
    """

    rates: list[TunedRate]
    trials: dict[str, list[Trial]]
    failed: dict[str, str]


def searches_of(
    study: Study[Any, Any],
    data: DataSplit,
    *,
    seed: int = SEED,
    batch_sizes: tuple[int, ...] = (),
    transfers: tuple[int, ...] = (),
    lr_range: tuple[float, float] | None = None,
) -> list[Search]:
    """List the searches of a study: its runs without their seeds, each once.

    Args:
        study: Which trainings there are.
        data: Its images.
        seed: Seed of all trainings of the searches.
        batch_sizes: Those that are searched; empty for that of the study.
        transfers: Intervals between transfers that are searched, where a rule has any; empty for that of the device.
        lr_range: Lower and upper end of the rates; None for a range around the usual one of each mode.
    """
    searches: dict[tuple[str, ...], Search] = {}
    for point in study.points():
        wish = study.wish(replace(point, seed=seed), data.facts)
        folder = study.config.runs / "searches"
        wish = replace(wish, lr=None, record_every=0, chips=1, times=None, out=folder, reference=False)
        wish = within(getattr(study.config, "memory", None), wish)
        run = resolve(wish, data.facts)
        key = key_of(wish, run.model, run.placement)
        name = ", ".join((point.device, point.mechanism, point.scheme))
        search = Search(
            name=name,
            wish=wish,
            batch_sizes=batch_sizes,
            transfers=transfers if wish.mode == "in-situ" and has_transfers(wish.device) else (),
            lr_range=lr_range,
            folder=folder,
        )
        searches.setdefault(key, search)
    return list(searches.values())


def search_all(searches: Sequence[Search], trials: int, config: Any) -> Found:
    """Give every search so many trials, one after the other in all of them, so that none is ahead of the others.

    Args:
        searches: The searches.
        trials: Trials of each; those that were done before count.
        config: How it is done; a `StudyPlan`.

    Raises:
        ValueError: If no search found anything.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    splits = {search.name: images_of(search.wish) for search in searches}
    done = {search.name: trials_done(search, splits[search.name].facts) for search in searches}
    total = len(searches) * trials
    failed: dict[str, str] = {}
    print(
        f"{len(searches)} searches of {trials} trials each, {sum(min(n, trials) for n in done.values())} of {total} "
        "done; chosen on validation images."
    )
    for number in range(1, trials + 1):
        todo = [search for search in searches if done[search.name] < number and search.name not in failed]
        if todo:
            names = {f"{search.name}, trial {number}": search for search in todo}
            broken = do_all(
                advance,
                names,
                total=total,
                finished=sum(min(n, trials) for n in done.values()),
                unit="trial",
                jobs=config.jobs,
                threads=config.threads,
                folder=config.runs,
                dask=config.dask,
            )
            failed |= {names[name].name: reason for name, reason in broken.items()}
            done |= {search.name: number for search in todo}
    rates, tried = [], {}
    for search in searches:
        if search.name in failed:
            continue
        try:
            rate, tried[search.name] = outcome_of(search, splits[search.name])
            rates.append(rate)
        except ValueError as error:
            failed[search.name] = str(error)
    if not rates:
        raise ValueError(next(iter(failed.values())))
    return Found(rates=rates, trials=tried, failed=failed)


def write_rates(found: Found, command: str, seed: int, threads: int, out: Path) -> Path:
    """Write the file for `--tuned` into a folder; returns it."""
    commit = str(describe_environment(threads)["commit"] or "unknown")
    rates = TunedRates(command=command, commit=commit, method=METHOD, seed=seed, rates=tuple(found.rates))
    make_folder(out)
    write_atomically(out / TUNED_FILE, rates.to_toml().encode())
    return out / TUNED_FILE


def tune_for(study: Study[Any, Any], data: DataSplit) -> Path:
    """Search the rates of all runs of a study that asks for it by `tune`; returns the file for `tuned`.

    Args:
        study: The study.
        data: Its images.

    Raises:
        ValueError: If a search found nothing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    config = study.config
    found = search_all(searches_of(study, data), config.tune, config)
    if found.failed:
        raise ValueError(next(iter(found.failed.values())))
    return write_rates(found, study.command, SEED, config.threads, config.out)
