"""`xbar does-it-matter`: switch off each non-ideality alone, and see what changes."""

import copy
import hashlib
import math
import re
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, final

import torch
from scipy.stats import t as student
from torch import Tensor, nn
from tqdm import tqdm

from crossbar import age_chip, load_model, program_chip, seed_noise, tile_arrays
from devices import Faults, get
from devices.streams import derive_seed
from devices.units import Dimensionless, Seconds

from ...data.datasets import DataSplit, Images
from ...runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE, TrainConfig, available_threads
from ...runs.options.fault_options import faults_of
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.training import make_model, train
from ...runs.training_on_devices import configuration_changed
from ...support.durations import format_time, parse_times
from ...support.interruption import Interruption
from ...support.json_files import read_json, write_json
from ...support.parallel import do_all
from ...support.typed_values import typed
from .config import DoesItMatterConfig
from .figure import draw_effects
from .switches import Switch, switches_of

Verdict = Literal["matters", "within the spread", "NO EFFECT"]

_CHIPS: Final = 10
_SEEDS: Final = 3
_EPOCHS: Final = 5
_CONFIDENCE: Final = 0.95
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
        if not 0 <= self.accuracy <= 1 or not re.fullmatch("[0-9a-f]{16}", self.digest):
            raise ValueError(f"an outcome must be an accuracy in [0, 1] and a digest, but is {self}")


def effect_of(switch: Switch, with_it: Sequence[Outcome], without: Sequence[Outcome]) -> Effect:
    """Compare outcomes chip by chip, or seed by seed.

    Args:
        switch: What was switched off.
        with_it: The outcomes with it.
        without: Those without it, in the same order.
    """
    changes = [b.accuracy - a.accuracy for a, b in zip(with_it, without, strict=True)]
    change = statistics.fmean(changes)
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    # So few chips need more than two standard errors (Student); one in twenty switches stands out by chance.
    reach = float(student.ppf((1 + _CONFIDENCE) / 2, len(changes) - 1)) * error
    verdict: Verdict = "matters" if abs(change) > reach else "within the spread"
    if all(a.digest == b.digest for a, b in zip(with_it, without, strict=True)):
        verdict = "NO EFFECT"
    return Effect(
        what=switch.what,
        part=switch.part,
        with_it=statistics.fmean(outcome.accuracy for outcome in with_it),
        without=statistics.fmean(outcome.accuracy for outcome in without),
        change=change,
        error=error,
        verdict=verdict,
        note=_WHY.get(switch.what, "") if verdict == "NO EFFECT" else "",
    )


def run_does_it_matter(config: DoesItMatterConfig) -> None:
    """Switch off what is on in a finished run, print a table, write numbers and figure; errors of `effects_of`."""
    folder = RunFolder.existing(config.run)
    numbers, figure = folder.path / "does_it_matter.json", folder.path / "does_it_matter.png"
    with folder.lock():
        folder.check_origin()
        effects, sample = effects_of(config)
        write_json(numbers, {"sample": sample, "effects": [effect.to_json() for effect in effects]})
        draw_effects(effects, f"{folder.path.name}: {sample}", figure)
    print("\n" + "\n".join(table_of(effects, sample)) + "\n")
    print(f"numbers: {numbers}\nfigure:  {figure}")


def effects_of(config: DoesItMatterConfig) -> tuple[list[Effect], str]:
    """Switch off each non-ideality of a finished run alone.

    Returns:
        The effects, the largest first, and a sentence on what was compared.

    Raises:
        ValueError: If the run is not trained, uses no device, or the wishes do not fit.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it.
    """
    folder = RunFolder.existing(config.run)
    trained = folder.read_config()
    if not folder.model_file.exists():
        raise ValueError(
            f"`run` must be trained, but {folder.path} has no model.safetensors yet. "
            f"Finish it with `xbar resume {folder.path}`."
        )
    if trained.mode == "digital" or trained.device == NO_DEVICE:
        raise ValueError(
            f"`run` must be trained for devices, but {folder.path} is digital. Train with --mode hwa or in-situ."
        )
    _refuse_what_has_no_effect(config, trained)
    data = images_of(trained)
    if trained.mode in LEARNS_ON_DEVICES:
        effects, sample = _by_training(config, trained, folder, data)
    else:
        effects, sample = _by_programming(config, trained, folder, data)
    effects.sort(key=lambda effect: (effect.verdict == "NO EFFECT", -abs(effect.change)))
    return effects, sample


def table_of(effects: Sequence[Effect], sample: str) -> list[str]:
    """Write a table to read, with a warning for each setting that did nothing."""
    width = max(len(_name(effect)) for effect in effects)
    lines = [sample, f"{'without':<{width}}{'accuracy':>10}{'change':>18}"]
    for effect in effects:
        change = f"{100 * effect.change:+.1f} ± {100 * effect.error:.1f} %"
        lines.append(f"{_name(effect):<{width}}{100 * effect.without:>8.1f} %{change:>18}  {effect.verdict}")
    return lines + [f"Warning: {warning_of(effect)}" for effect in effects if effect.verdict == "NO EFFECT"]


def warning_of(effect: Effect) -> str:
    """Say that a setting did nothing, and why if that is known."""
    return f"{_name(effect)} had no effect{f': {effect.note}' if effect.note else ''}."


def _name(effect: Effect) -> str:
    return f"{effect.what} ({effect.part})" if "product" in effect.part else effect.what


def _refuse_what_has_no_effect(config: DoesItMatterConfig, trained: TrainConfig) -> None:
    learns = trained.mode in LEARNS_ON_DEVICES
    names = ("chips", "time") if learns else ("seeds", "epochs", "jobs")
    for name in names:
        if getattr(config, name) is not None:
            why = "compared as trained, seed by seed" if learns else "not trained again"
            raise ValueError(
                f"`{name}` must be left out, but is {getattr(config, name)}: this network was trained with --mode "
                f"{trained.mode} and is {why}."
            )


def _by_programming(
    config: DoesItMatterConfig, trained: TrainConfig, folder: RunFolder, data: DataSplit
) -> tuple[list[Effect], str]:
    """Program the same weights onto the same chips again and again."""
    device = get(trained.device)
    times = config.time if config.time is not None else trained.times
    assert times is not None
    time = parse_times(times)[-1]
    device.check_time(time)
    chips = config.chips or _CHIPS
    rpu_config = device.rpu_config(weight_noise=trained.weight_noise or 0.0)
    switches = switches_of(rpu_config, device.noise_model())
    faults = faults_of(trained)
    if faults is not None:
        switches.append(Switch("faults", "device", lambda _: None))
    if trained.wires is not None:
        # They have taken the place of the approximation.
        switches = [switch for switch in switches if not switch.what.startswith("IR drop")]
        switches.append(Switch("wires", "device", lambda _: None))
    if trained.compensation not in (None, "none"):
        switches.append(Switch("compensation of drift (a remedy)", "digital", lambda _: None))
    with Interruption("the same command") as interruption:
        bar = tqdm(
            total=chips * (len(switches) + 1), desc="chips", unit="chip", disable=None, dynamic_ncols=True
        )

        def outcomes(switch: Switch | None) -> list[Outcome]:
            model = load_model(folder.model_file, make_model(trained)).eval()
            noise_model, changed = device.noise_model(), copy.deepcopy(rpu_config)
            if switch is not None:
                switch.off(noise_model if switch.part == "device model" else changed)
            for _, array in tile_arrays(model):
                kept = array.rpu_config
                new = copy.deepcopy(kept)
                new.forward = changed.forward
                array.replace_rpu_config(new)
                if switch is not None and switch.what == "wires":
                    new.forward.ir_drop = 0.0
                    array.replace_rpu_config(new)
                    array.use_wires(None)
            results = []
            for chip in range(chips):
                results.append(
                    _read_chip(
                        model, trained, data.test, noise_model, chip, time,
                        faults=None if switch is not None and switch.what == "faults" else faults,
                        compensates=switch is None or switch.part != "digital",
                    )
                )  # fmt: skip
                bar.update()
                interruption.stop_if_requested()
            return results

        with bar:
            base = outcomes(None)
            effects = [effect_of(switch, base, outcomes(switch)) for switch in switches]
    return effects, f"{chips} {device.name} chips after {format_time(time)}, {len(data.test)} test images"


def _read_chip(
    model: nn.Module,
    config: TrainConfig,
    images: Images,
    noise_model: Any,
    chip: int,
    time: Seconds,
    *,
    faults: Faults | None,
    compensates: bool,
) -> Outcome:
    seed_noise(model, config.seed, "does it matter", chip)
    compensation: Any = config.compensation if compensates else "none"
    seed = derive_seed(config.seed, "chip", chip)
    program_chip(model, noise_model, seed=seed, compensation=compensation, faults=faults)
    age_chip(model, time, seed=seed)
    return _read(model, images)


@torch.no_grad()
def _read(model: nn.Module, images: Images) -> Outcome:
    model.eval()
    scores: Tensor = torch.cat([model(pixels) for pixels in torch.split(images.pixels, 256)])
    accuracy = float((scores.argmax(dim=1) == images.labels).double().mean())
    return Outcome(accuracy, hashlib.blake2b(scores.numpy().tobytes(), digest_size=8).hexdigest())


@dataclass(frozen=True)
class _Task:
    config: TrainConfig
    switch: tuple[str, str] | None
    folder: Path


def _by_training(
    config: DoesItMatterConfig, trained: TrainConfig, folder: RunFolder, data: DataSplit
) -> tuple[list[Effect], str]:
    """Train again without each of them, from the same initial weights, on the same devices but for that."""
    assert trained.epochs is not None
    seeds, epochs = config.seeds or _SEEDS, min(trained.epochs, config.epochs or _EPOCHS)
    rpu_config = get(trained.device).training_config()
    switches = switches_of(rpu_config)
    if trained.mode == "write-verify" and not hasattr(rpu_config.device, "dw_min"):
        # A pair of devices can be written by pulses only.
        switches = [switch for switch in switches if switch.part != "update"]
    if faults_of(trained) is not None:
        switches.append(Switch("faults", "device", lambda _: None))
    place = folder.path / f"does_it_matter-{epochs}"
    tasks: dict[str, _Task] = {}
    for switch in (None, *switches):
        for seed in range(trained.seed, trained.seed + seeds):
            name = "as it is" if switch is None else f"without {switch.what} ({switch.part})"
            wish = replace(
                trained, epochs=epochs, seed=seed, record_every=0, threads=1, reference=False,
                faults=None if switch is not None and switch.what == "faults" else trained.faults,
            )  # fmt: skip
            key = hashlib.blake2b(f"{name} {seed}".encode(), digest_size=6).hexdigest()
            tasks[f"{name}, seed {seed}"] = _Task(
                wish, None if switch is None else (switch.what, switch.part), place / key
            )
    todo = {name: task for name, task in tasks.items() if not _outcome_file(task).exists()}
    failed = do_all(
        _train_without,
        todo,
        total=len(tasks),
        jobs=config.jobs or available_threads(),
        threads=1,
        folder=place,
    )
    if failed:
        name, reason = next(iter(failed.items()))
        raise ValueError(f"`run` must be trained without each of its settings, but {name}: {reason}")
    found = {name: _outcome_of(task) for name, task in tasks.items()}

    def outcomes(switch: Switch | None) -> list[Outcome]:
        wanted = None if switch is None else (switch.what, switch.part)
        return [found[name] for name, task in tasks.items() if task.switch == wanted]

    effects = [effect_of(switch, outcomes(None), outcomes(switch)) for switch in switches]
    shutil.rmtree(place)
    return (
        effects,
        f"{get(trained.device).name} as trained for {epochs} epochs, {seeds} seeds, {len(data.test)} test images",
    )


def _outcome_file(task: _Task) -> Path:
    return task.folder / "outcome.json"


def _outcome_of(task: _Task) -> Outcome:
    file = _outcome_file(task)
    try:
        return typed(Outcome, read_json(file))
    except ValueError as error:
        if str(error).startswith("`"):
            raise
        raise ValueError(
            f"`run` must hold undamaged outcomes, but {file} is damaged: {error}. Delete it."
        ) from None


def _train_without(task: _Task) -> None:
    """Train one network without one non-ideality; goes on from its checkpoint if it was stopped."""
    config = task.config
    data = images_of(config)
    folder = RunFolder(task.folder)
    with (
        folder.lock(),
        configuration_changed(_change_of(task)),
        Interruption("the same command") as interruption,
    ):
        folder.begin()
        model = train(config, data, folder, interruption, fingerprint=data.fingerprint())
        seed_noise(model, config.seed, "does it matter")
        write_json(_outcome_file(task), asdict(_read(model, data.test)))


def _change_of(task: _Task) -> Callable[[Any], None]:
    def change(rpu_config: Any) -> None:
        for switch in switches_of(rpu_config):
            if (switch.what, switch.part) == task.switch:
                switch.off(rpu_config)

    return change
