"""One search for a learning rate, trial by trial: Optuna proposes rates, a training tries each on validation images.

Trials follow each other, and each of them learns from those before: the first takes the usual rate of its mode, the
next three are drawn at random, further ones by a tree-structured Parzen estimator (Bergstra et al., 2011). Successive
halving (Li et al., 2020) looks at the validation accuracy after a ninth and after a third of a training, and stops it
unless it is among the best third of all that have come so far.

A search lies in a folder of its own: `search.jsonl` is Optuna's journal, lines of JSON; a training that is under way
has a folder of its own beside it, with checkpoints, which is deleted when it is over. So a search can be stopped at
any time, goes on where it was, and ends as if it had not been stopped; later it can be given more trials.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from devices import derive_seed
from devices.units import Dimensionless

from ...data.chance import highest_from
from ...data.datasets import DataSplit
from ...data.examples import Facts
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.rates.tuned import TunedRate, key_of
from ...runs.run import Run
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.team.memory import use_memory
from ...runs.team.threads import use_threads
from ...runs.training import Diverged, train
from ...runs.watching.curve import Measurement
from ...support.interruption import Interruption
from ..study import steps_of

_REDUCTION: Final = 3
# A training is looked at after a ninth and a third of its steps; those that go on are trained to their end.
_LOOKS: Final = _REDUCTION**2
_RANDOM: Final = 4  # trials before the estimator has enough to go by, the usual rate among them
# assumed: rates that were found by trial lie within, for all schemes, mechanisms and devices.
_BELOW: Final = 30.0
_ABOVE: Final = 10.0
_NEAR_AN_END: Final = 0.1  # of the range, on a logarithmic scale
_JOURNAL: Final = "search.jsonl"
_NAME: Final = "search"
# What decides nothing about a training on validation images, or is what is searched.
_NOT_SEARCHED_FOR: Final = ("lr", "chips", "times", "compensation", "record_every", "measure_every")


@final
@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for the rate of one training.

    Attributes:
        name: How a progress bar calls it.
        wish: The training; its learning rate is open.
        batch_sizes: Those that are searched; empty for that of the training.
        transfers: Intervals between transfers that are searched; empty where nothing is transferred, or for that of
            the device.
        lr_range: Lower and upper end of the rates; None for a range around the usual one.
        folder: Where all searches lie.
    """

    name: str
    wish: TrainConfig
    batch_sizes: tuple[int, ...]
    transfers: tuple[int, ...]
    lr_range: tuple[Dimensionless, Dimensionless] | None
    folder: Path


def advance(search: Search) -> None:
    """Do one more trial, or go on with the one that was interrupted.

    Raises:
        ValueError: If the search is damaged, or its images have changed.
        RunInterrupted: If the user stopped it.
    """
    data = images_of(search.wish)
    usual = resolve(search.wish, data.facts)
    path = _path_of(search, usual)
    use_threads(usual.threads)
    with (
        RunFolder(path).lock(),
        use_memory(usual.memory),
        Interruption("the same command; what was tried is not tried again") as interruption,
    ):
        with _opened(path) as study:
            _check_images(study, path, data.fingerprint())
            images = usual.epochs * len(data.train)
            study.pruner = optuna.pruners.SuccessiveHalvingPruner(
                min_resource=math.ceil(images / _LOOKS), reduction_factor=_REDUCTION
            )
            trial = _next_trial(study, search, usual)
            lowest, highest = _range_of(search, usual)
            lr = trial.suggest_float("lr", lowest, highest, log=True)
            batch_size = trial.suggest_categorical("batch_size", _batch_sizes(search, usual))
            wish = replace(search.wish, lr=lr, batch_size=batch_size)
            if search.transfers:
                every = trial.suggest_categorical("transfer_every", search.transfers)
                wish = replace(wish, transfer_every=every)
        folder = RunFolder(path / f"trial-{trial.number}")
        run = resolve(wish, data.facts)
        steps = run.epochs * steps_of(len(data.train), batch_size)
        run = replace(run, measure_every=math.ceil(steps / _LOOKS))
        state, attributes, value = _tried(run, data, folder, trial, interruption)
        for name, attribute in attributes.items():
            trial.set_user_attr(name, attribute)
        study.tell(trial, value, state=state)
        shutil.rmtree(folder.path)


def trials_done(search: Search, facts: Facts) -> int:
    """Return how many trials of a search are over."""
    path = _path_of(search, resolve(search.wish, facts))
    if not (path / _JOURNAL).exists():
        return 0
    with _opened(path) as study:
        return sum(trial.state.is_finished() for trial in study.trials)


@final
@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came out of a trial.

    Attributes:
        lr: Learning rate.
        batch_size: Images per step.
        transfer_every: Vectors or mini-batches between two transfers; None where that was not searched.
        accuracy: On the validation images, when it ended; None if the loss was no longer a number.
        loss: Mean loss on them.
        is_complete: Whether it was trained to its end.
    """

    lr: Dimensionless
    batch_size: int
    transfer_every: int | None
    accuracy: Dimensionless | None
    loss: Dimensionless
    is_complete: bool


def outcome_of(search: Search, data: DataSplit) -> tuple[TunedRate, list[Trial]]:
    """Return the best rate of a search, and all that was tried.

    The best is that of the highest validation accuracy at the end of a training; among equals, of the lowest loss.

    Raises:
        ValueError: If no training came to its end.
    """
    usual = resolve(search.wish, data.facts)
    lowest, highest = _range_of(search, usual)
    with _opened(_path_of(search, usual)) as study:
        trials = [_trial_of(frozen) for frozen in study.trials if frozen.state.is_finished()]
    complete = [trial for trial in trials if trial.is_complete and trial.accuracy is not None]
    if not complete:
        raise ValueError(
            f"`lr_range` must hold a rate at which {search.name} can be trained, but the loss was no number at any "
            f"of {len(trials)} between {lowest:.3g} and {highest:.3g}. Give a lower one."
        )
    best = max(complete, key=lambda trial: (trial.accuracy, -trial.loss))
    place = math.log(best.lr / lowest) / math.log(highest / lowest)
    images, model, placement, mode, device = key_of(search.wish, usual.model, usual.placement)
    rate = TunedRate(
        data=images,
        model=model,
        placement=placement,
        mode=mode,
        device=device,
        lr=best.lr,
        batch_size=best.batch_size,
        transfer_every=best.transfer_every,
        validation_accuracy=best.accuracy or 0.0,
        validation_images=len(data.validation),
        epochs=usual.epochs,
        train_images=len(data.train),
        trials=len(trials),
        stopped=len(trials) - len(complete),
        lowest=lowest,
        highest=highest,
        did_learn=(best.accuracy or 0.0) > _by_chance(data, usual),
        is_at_end=not _NEAR_AN_END < place < 1 - _NEAR_AN_END,
    )
    return rate, trials


def _by_chance(data: DataSplit, usual: Run) -> Dimensionless:
    labels = data.validation.labels
    return highest_from(data.validation.objective.by_chance(labels), len(labels), usual.metric)


class _NotAmongTheBest(Exception):
    """Successive halving stops the training."""


def _tried(
    run: Run, data: DataSplit, folder: RunFolder, trial: optuna.trial.Trial, interruption: Interruption
) -> tuple[TrialState, dict[str, float], float | None]:
    """Train until the end, or until others are better; returns how it ended, what to note, and the accuracy."""
    reported = trial.study.trials[trial.number].intermediate_values.keys()
    steps = run.epochs * steps_of(len(data.train), run.batch_size)
    last: list[Measurement] = []

    def look(measurement: Measurement) -> None:
        last[:] = [measurement]
        images = measurement.step * run.batch_size
        if measurement.step == steps:
            return
        if images not in reported:  # else an interrupted training tells again what it had told
            trial.report(measurement.accuracy, images)
        if trial.should_prune():
            raise _NotAmongTheBest

    folder.path.mkdir(parents=True, exist_ok=True)
    folder.begin()
    try:
        train(run, data, folder, interruption, fingerprint=data.fingerprint(), on_measure=look)
    except _NotAmongTheBest:
        return TrialState.PRUNED, {"loss": last[0].loss}, None  # Optuna takes what was reported last
    except Diverged:
        return TrialState.FAIL, {}, None
    return TrialState.COMPLETE, {"loss": last[0].loss}, last[0].accuracy


def _next_trial(study: optuna.study.Study, search: Search, usual: Run) -> optuna.trial.Trial:
    """Return the trial that was interrupted, or propose a new one."""
    seed = derive_seed(usual.seed, "trial", len(study.trials)) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if running:
        # Optuna itself would give such a trial up; ours has a checkpoint, and ends as if nothing had happened.
        return optuna.trial.Trial(study, running[0]._trial_id)
    if not study.trials:
        lowest, highest = _range_of(search, usual)
        first = usual.lr if lowest <= usual.lr <= highest else math.sqrt(lowest * highest)
        others = {"transfer_every": search.transfers[0]} if search.transfers else {}
        study.enqueue_trial({"lr": first, "batch_size": _batch_sizes(search, usual)[0], **others})
    return study.ask()


@contextmanager
def _opened(path: Path) -> Iterator[optuna.study.Study]:
    """Open the journal of a search.

    Raises:
        ValueError: If it is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.mkdir(parents=True, exist_ok=True)
    file = path / _JOURNAL
    try:
        backend = JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file)))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`runs` must hold undamaged searches, but {file} is damaged: {error}. Delete its folder to search anew."
        ) from None
    yield study


def _check_images(study: optuna.study.Study, path: Path, fingerprint: str) -> None:
    before = study.user_attrs.get("data")
    if before is None:
        study.set_user_attr("data", fingerprint)
    elif before != fingerprint:
        raise ValueError(
            f"`data` must be the images that the search in {path} was started with, but they have changed. Bring "
            "them back, or delete that folder."
        )


def _trial_of(frozen: optuna.trial.FrozenTrial) -> Trial:
    return Trial(
        lr=float(frozen.params["lr"]),
        batch_size=int(frozen.params["batch_size"]),
        transfer_every=frozen.params.get("transfer_every"),
        accuracy=None if frozen.state == TrialState.FAIL else frozen.value,
        loss=float(frozen.user_attrs.get("loss", math.inf)),
        is_complete=frozen.state == TrialState.COMPLETE,
    )


def _batch_sizes(search: Search, usual: Run) -> tuple[int, ...]:
    return search.batch_sizes or (usual.batch_size,)


def _range_of(search: Search, usual: Run) -> tuple[Dimensionless, Dimensionless]:
    return search.lr_range or (usual.lr / _BELOW, usual.lr * _ABOVE)


def _path_of(search: Search, usual: Run) -> Path:
    """Return the folder of a search, named by all that decides about what it finds, but not by its trials."""
    identity: dict[str, Any] = {
        name: value for name, value in usual.identity().items() if name not in _NOT_SEARCHED_FOR
    }
    identity |= {"batch_size": _batch_sizes(search, usual), "lr_range": _range_of(search, usual)}
    if search.transfers:
        identity["transfer_every"] = search.transfers
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=6).hexdigest()
    return search.folder / f"search-{digest}"
