"""`xbar what-if`: the same work for a device and for devices that differ from it in one property."""

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from devices import DeviceModel, read_device_file
from devices.device_file import device_file
from devices.files import parse_toml, read_regular, write_atomically
from devices.units import Seconds

from ...commands.train import run_train
from ...data.datasets import DataSplit, Facts, load_data
from ...data.objective_names import Metric
from ...drawing.sections import Picture, Section
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.rates.own_rates import rate_of_study
from ...runs.run_data import refuse_too_many
from ...runs.run_folder import RunFolder
from ...support.answer import Answer
from ...support.durations import format_time, parse_times
from ...support.environment import describe_environment
from ...support.parallel import do_all
from ..does_it_matter.outcomes import Outcome, change_between
from ..options import line_of
from ..rate_ladder import TunedRate, is_done, tune_rates
from ..results import numbers_file
from ..study import Findings, begin_folder, family_of, write_findings
from .config import Mode, WhatIfConfig, WhatIfPlan
from .figure import draw_gains
from .gains import Gain, first_of, sections_of, verdict_on
from .readings import Reading, did_learn, read
from .variants import BASE, Variant, variants_of

NAME: Final = "what-if"
TITLE: Final = "What if the device were better?"
_FIGURE: Final = "what_if.png"
_LONGEST: Final = 90  # bytes of a device's name


def run_what_if(plan: WhatIfPlan) -> Answer:
    """Change one property after the other, train and read what is not there yet, write table, figure and page.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If the study cannot be run as asked.
        FileNotFoundError: If data or the device file are missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    path = Path(plan.device)
    base = read_device_file(path)
    content = parse_toml(read_regular(path, "device"))
    pulsed: Any = None if base.build_training is None else base.training_config().device
    modes = _modes(plan, base)
    variants = [own for own in variants_of(content, pulsed, plan.factors) if set(own.modes) & set(modes)]
    plan.out.mkdir(parents=True, exist_ok=True)
    begin_folder(plan.out)
    files = {own.change: _file_of(own, content, path, plan.out / "devices") for own in variants}
    data = load_data(
        plan.data, plan.data_dir, seed=plan.seeds[0], download=plan.download, train_images=plan.train_images,
        test_images=plan.test_images, loss=plan.loss, metric=plan.metric,
    )  # fmt: skip
    refuse_too_many(plan, data)
    study = Uses(plan, base, variants, files, data.facts)
    gains = [gain for mode in modes for gain in study.gains(mode)]
    _write(plan, study, gains, data)
    return numbers_file(NAME, plan.out)


def _modes(plan: WhatIfPlan, base: DeviceModel) -> tuple[Mode, ...]:
    """Return the uses that were asked for, or those that the device file has numbers for."""
    known: tuple[Mode, ...] = (
        *(("in-situ",) if base.build_training is not None else ()),
        *(("hwa",) if base.build is not None else ()),
    )
    for mode in plan.modes or ():
        if mode not in known:
            section = "[pulses]" if mode == "in-situ" else "[drift]"
            raise ValueError(
                f"`modes` must be {' or '.join(known)} for {plan.device}, but hold {mode}: the file has no "
                f"{section}. Leave it out, or add the section."
            )
    if plan.time is not None and "hwa" not in (plan.modes or known):
        raise ValueError(
            f"`time` must be left out, but is {plan.time}: networks that learn in situ are read as training left "
            "them."
        )
    return plan.modes or known


def _file_of(variant: Variant, content: Mapping[str, Any], path: Path, folder: Path) -> Path:
    """Write a device file of a variant; that of the device as it is, is the user's."""
    if variant.change == BASE:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{variant.slug}.toml"
    name = f"{content['name']}-{variant.slug}".encode()[:_LONGEST].decode(errors="ignore")
    text = device_file(
        name=name,
        technology=content["technology"],
        source=f"{path.name}, changed: {variant.change}",
        summary=content.get("summary", f"As {path.name}") + f" Changed: {variant.change}.",
        conductance=variant.sections.get("conductance"),
        pulses=variant.sections.get("pulses"),
        drift=variant.sections.get("drift"),
        not_modelled=content.get("not_modelled"),
        reads=variant.sections.get("reads"),
    )
    if not file.exists() or file.read_text() != text:
        write_atomically(file, text.encode())
    read_device_file(file)  # what is written can be read
    return file


@final
class Uses:
    """What a device and its changes are used for: their trainings and readings.

    Args:
        plan: What is done.
        base: The device as it is.
        variants: It, and its changes.
        files: Their device files.
        facts: What is known of the data.
    """

    def __init__(
        self,
        plan: WhatIfPlan,
        base: DeviceModel,
        variants: Sequence[Variant],
        files: Mapping[str, Path],
        facts: Facts,
    ) -> None:
        self._plan, self._base, self._variants, self._files, self._facts = plan, base, variants, files, facts

    def wish(self, mode: Mode, change: str, seed: int, rate: float | None = None) -> TrainConfig:
        """Return what `xbar train` is asked for; with the usual rate unless told otherwise."""
        plan = self._plan
        wish = TrainConfig(
            data=plan.data, data_dir=plan.data_dir, download=plan.download, train_images=plan.train_images,
            test_images=plan.test_images, loss=plan.loss, metric=plan.metric,
            model=plan.model or f"cnn_{family_of(self._facts, plan.data)}", mode=mode,
            device=str(self._files[change]), epochs=plan.epochs, seed=seed, lr=rate, chips=1, times="1s",
            threads=plan.threads, memory=plan.memory, out=plan.runs,
        )  # fmt: skip
        if mode == "hwa":
            return wish
        if self._base.build is None:
            wish = replace(wish, times=None)
        usual = resolve(wish, self._facts)
        return (
            wish if rate is not None else replace(wish, lr=rate_of_study(usual, usual.placement, self._facts))
        )

    def time(self) -> Seconds:
        """Return when written devices are read: as asked, or at the last time that was measured."""
        if self._plan.time is not None:
            (time,) = parse_times(self._plan.time)
            self._base.check_time(time)
            return time
        times = parse_times("1s,1h,1d,1month,1y")
        return max([time for time in times if not self._base.is_extrapolated(time)] or times[:1])

    def gains(self, mode: Mode) -> list[Gain]:
        """Train, read, and compare each change with the device as it is.

        Raises:
            ValueError: If a training broke off.
            RunInterrupted: If the user stopped it.
        """
        plan = self._plan
        changes = [own.change for own in self._variants if mode in own.modes]
        print(
            f"{mode}: the device as it is and {len(changes) - 1} changes, {len(plan.seeds)} seeds.",
            flush=True,
        )
        rates: dict[str, TunedRate] = {}
        trained = changes
        if mode == "in-situ":
            rates, failed = tune_rates(
                {change: self.wish(mode, change, plan.seeds[0]) for change in changes},
                self._facts, plan, number=plan.rates, name_of=str,
            )  # fmt: skip
            _refuse_failed(failed if len(rates) < len(changes) else {})
        else:
            trained = [BASE]  # the same weights are written onto all
        wishes = {
            (change, seed): self.wish(mode, change, seed, rates[change].rate if change in rates else None)
            for change in trained
            for seed in plan.seeds
        }
        self._do(
            run_train,
            {self._name(*key): wish for key, wish in wishes.items() if not is_done(wish, self._facts)},
            len(wishes),
        )
        folders = {key: RunFolder.of(resolve(wish, self._facts)) for key, wish in wishes.items()}
        readings = {
            (change, seed): self._reading(mode, folders[change if change in trained else BASE, seed], change)
            for change in changes
            for seed in plan.seeds
        }
        self._do(
            read,
            {self._name(*key): own for key, own in readings.items() if not own.file.exists()},
            len(readings),
        )
        outcomes = {key: Outcome.read(own.file) for key, own in readings.items()}
        learned = {key: did_learn(folder) for key, folder in folders.items()}
        return [self._gain(mode, change, outcomes, rates, learned) for change in changes]

    def _name(self, change: str, seed: int) -> str:
        return f"{change}, seed {seed}"

    def _do(self, work: Any, todo: Mapping[str, Any], total: int) -> None:
        plan = self._plan
        if todo:
            _refuse_failed(
                do_all(
                    work,
                    todo,
                    total=total,
                    jobs=plan.jobs,
                    threads=plan.threads,
                    folder=plan.runs,
                    dask=plan.dask,
                )
            )

    def _reading(self, mode: Mode, run: RunFolder, change: str) -> Reading:
        time = None if mode == "in-situ" else self.time()
        chips = 1 if mode == "in-situ" else self._plan.chips
        device = self._files[change]
        content = hashlib.blake2b(read_regular(device, "device"), digest_size=8).hexdigest()
        key = hashlib.blake2b(f"{run.path.name} {content} {time} {chips}".encode(), digest_size=8).hexdigest()
        return Reading(
            run.path, device, time, chips, self._plan.out / "outcomes" / f"{key}.json", self._plan.memory
        )

    def _gain(
        self,
        mode: Mode,
        change: str,
        outcomes: Mapping[tuple[str, int], Outcome],
        rates: Mapping[str, TunedRate],
        learned: Mapping[tuple[str, int], bool],
    ) -> Gain:
        seeds = self._plan.seeds
        own = [outcomes[change, seed] for seed in seeds]
        gain = change_between([outcomes[BASE, seed] for seed in seeds], own)
        rate = rates.get(change)
        return Gain(
            mode=mode,
            change=change,
            device_file=str(self._files[change]),
            accuracy=statistics.fmean(outcome.accuracy for outcome in own),
            gain=gain.value,
            error=gain.error,
            reach=gain.reach,
            verdict=None if change == BASE else verdict_on(gain, self._plan.threshold / 100),
            rate=0.0 if rate is None else rate.rate,
            rate_text="" if rate is None else rate.text(),
            tried={} if rate is None else {f"{r:.4g}": score for r, score in rate.tried.items()},
            did_learn=[learned.get((change, seed), learned.get((BASE, seed), True)) for seed in seeds],
        )


def _refuse_failed(failed: Mapping[str, str]) -> None:
    for name, reason in failed.items():
        raise ValueError(f"`device` must be one that networks can learn on, but with {name}: {reason}")


def _write(plan: WhatIfPlan, study: Uses, gains: Sequence[Gain], data: DataSplit) -> None:
    name = Path(plan.device).stem
    draw_gains(gains, name, plan.out / _FIGURE, plan.threshold / 100)
    command = line_of(NAME, plan, WhatIfConfig(device=plan.device).resolved(), first=())
    command = command.replace(NAME, f"{NAME} {plan.device}", 1)
    used = study.wish(gains[0].mode, BASE, plan.seeds[0])  # type: ignore[arg-type]
    lead = (
        f"`{command}`. {used.model} on {len(data.test)} test images, {len(plan.seeds)} seeds; each change alone, "
        "then all at once, against the device as it is, paired over seeds."
    )
    if any(gain.mode == "hwa" for gain in gains):
        lead += f" Written: {plan.chips} chips for each seed, read after {format_time(study.time())}."
    metric: Metric = data.test.objective.metric
    sections = sections_of(gains, lead, plan.threshold / 100, metric)
    picture = Picture(path=plan.out / _FIGURE, description="Gain of each change with its 95 % interval")
    if picture.path.exists():
        sections.insert(1, Section(title="Figure", pictures=(picture,), page_only=True))
    modes = list(dict.fromkeys(gain.mode for gain in gains))
    summary = " ".join(first_of(gains, mode, plan.threshold / 100) for mode in modes)
    write_findings(
        Findings(title=TITLE, summary=summary, sections=sections, numbers={"what_to_change_first": summary}),
        study=NAME,
        command=command,
        configuration=plan.to_json(),
        environment=describe_environment(plan.threads),
        rows=[gain.to_json() for gain in gains],
        failed={},
        out=plan.out,
    )
