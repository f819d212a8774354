"""`xbar does-it-matter`: switch off each non-ideality alone, and see what changes."""

import copy
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from crossbar import load_model, seed_noise, tile_arrays
from devices import get

from ...data.datasets import DataSplit
from ...drawing.sections import Picture, sections_to_json
from ...runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE, available_threads
from ...runs.run import Run
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.run_network import make_model
from ...runs.training import train
from ...support.answer import Answer
from ...support.durations import format_time, parse_times
from ...support.interruption import Interruption
from ...support.json_files import write_json
from ...support.parallel import do_all
from ...support.progress_bar import progress_bar
from .config import DoesItMatterConfig
from .effects import Effect, effect_of, first_to_change, section_of, table_of, verdict_of
from .figure import draw_effects
from .outcomes import Outcome, read_chip, read_network
from .switches import Switch, switches_of

_CHIPS: Final = 10
_SEEDS: Final = 3
_EPOCHS: Final = 5


def run_does_it_matter(config: DoesItMatterConfig) -> Answer:
    """Switch off what is on in a finished run, print a table, write numbers and figure; errors of `effects_of`.

    Returns:
        The file of numbers.
    """
    folder = RunFolder.existing(config.run)
    numbers, figure = folder.path / "does_it_matter.json", folder.path / "does_it_matter.png"
    with folder.lock():
        folder.check_origin()
        effects, sample = effects_of(config)
        threshold = config.threshold / 100
        draw_effects(effects, f"{folder.path.name}: {sample}", figure, threshold)
        picture = Picture(path=figure, description="What switching off each non-ideality alone changes")
        section = replace(section_of(effects, sample, threshold=threshold), pictures=(picture,))
        write_json(
            numbers,
            {
                "sample": sample,
                "threshold": threshold,
                "verdict": verdict_of(effects, threshold),
                "what_to_change_first": first_to_change(effects, threshold),
                "effects": [effect.to_json() for effect in effects],
                "sections": sections_to_json([section], folder.path),
            },
        )
    print("\n" + "\n".join(table_of(effects, sample, threshold)) + "\n")
    print(f"numbers: {numbers}\nfigure:  {figure}")
    return numbers


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
    folder.admit_own_files(trust=config.trust)
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


def _refuse_what_has_no_effect(config: DoesItMatterConfig, trained: Run) -> None:
    learns = trained.mode in LEARNS_ON_DEVICES
    names = ("chips", "time") if learns else ("seeds", "epochs", "jobs")
    for name in names:
        if getattr(config, name) is not None:
            why = "compared as trained, seed by seed" if learns else "not trained again"
            raise ValueError(
                f"`{name}` must be left out, but is {getattr(config, name)}: this network was trained with --mode "
                f"{trained.mode} and is {why}."
            )


def _times_of(config: DoesItMatterConfig, trained: Run, folder: RunFolder) -> str:
    """Return the time that was asked for, or the times of the run.

    Raises:
        ValueError: If neither is known.
    """
    times = config.time if config.time is not None else trained.times
    if times is None:
        raise ValueError(
            f"`time` must be given, as {folder.config_file} says none, but is left out. Give --time 1d."
        )
    return times


def _by_programming(
    config: DoesItMatterConfig, trained: Run, folder: RunFolder, data: DataSplit
) -> tuple[list[Effect], str]:
    """Program the same weights onto the same chips again and again."""
    device = get(trained.device)
    time = parse_times(_times_of(config, trained, folder))[-1]
    device.check_time(time)
    chips, threshold = config.chips or _CHIPS, config.threshold / 100
    rpu_config = device.rpu_config(weight_noise=trained.weight_noise or 0.0)
    switches = switches_of(rpu_config, device.noise_model())
    faults = trained.faults_of_chips
    if faults is not None:
        switches.append(Switch("faults", "device", lambda _: None))
    if trained.wires is not None:
        # They have taken the place of the approximation.
        switches = [switch for switch in switches if not switch.what.startswith("IR drop")]
        switches.append(Switch("wires", "device", lambda _: None))
    if trained.compensation not in (None, "none"):
        switches.append(Switch("compensation of drift (a remedy)", "digital", lambda _: None))
    with Interruption("the same command") as interruption:
        bar = progress_bar(total=chips * (len(switches) + 1), desc="chips", unit="chip")

        def outcomes(switch: Switch | None) -> list[Outcome]:
            model = load_model(folder.model_file, make_model(trained, facts=data.facts)).eval()
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
                    read_chip(
                        model, trained, data.test, noise_model, chip, time,
                        faults=None if switch is not None and switch.what == "faults" else faults,
                        compensation=trained.compensation if switch is None or switch.part != "digital" else "none",
                    )
                )  # fmt: skip
                bar.update()
                interruption.stop_if_requested()
            return results

        with bar:
            base = outcomes(None)
            effects = [effect_of(switch, base, outcomes(switch), threshold) for switch in switches]
    return effects, f"{chips} {device.name} chips after {format_time(time)}, {len(data.test)} test images"


@dataclass(frozen=True)
class _Task:
    config: Run
    switch: tuple[str, str] | None
    folder: Path


def _by_training(
    config: DoesItMatterConfig, trained: Run, folder: RunFolder, data: DataSplit
) -> tuple[list[Effect], str]:
    """Train again without each of them, from the same initial weights, on the same devices but for that."""
    seeds, epochs = config.seeds or _SEEDS, min(trained.epochs, config.epochs or _EPOCHS)
    threshold = config.threshold / 100
    rpu_config = get(trained.device).training_config()
    switches = switches_of(rpu_config)
    if trained.mode == "write-verify" and not hasattr(rpu_config.device, "dw_min"):
        # A pair of devices can be written by pulses only.
        switches = [switch for switch in switches if switch.part != "update"]
    if trained.faults_of_chips is not None:
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
    found = {name: Outcome.read(_outcome_file(task)) for name, task in tasks.items()}

    def outcomes(switch: Switch | None) -> list[Outcome]:
        wanted = None if switch is None else (switch.what, switch.part)
        return [found[name] for name, task in tasks.items() if task.switch == wanted]

    effects = [effect_of(switch, outcomes(None), outcomes(switch), threshold) for switch in switches]
    shutil.rmtree(place)
    return (
        effects,
        f"{get(trained.device).name} as trained for {epochs} epochs, {seeds} seeds, {len(data.test)} test images",
    )


def _outcome_file(task: _Task) -> Path:
    return task.folder / "outcome.json"


def _train_without(task: _Task) -> None:
    """Train one network without one non-ideality; goes on from its checkpoint if it was stopped."""
    config = task.config
    data = images_of(config)
    folder = RunFolder(task.folder)
    with (
        folder.lock(),
        Interruption("the same command") as interruption,
    ):
        folder.begin()
        fingerprint = data.fingerprint()
        model = train(config, data, folder, interruption, fingerprint=fingerprint, change=_change_of(task))
        seed_noise(model, config.seed, "does it matter")
        write_json(_outcome_file(task), asdict(read_network(model, data.test)))


def _change_of(task: _Task) -> Callable[[Any], None]:
    def change(rpu_config: Any) -> None:
        for switch in switches_of(rpu_config):
            if (switch.what, switch.part) == task.switch:
                switch.off(rpu_config)

    return change
