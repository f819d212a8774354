"""The runs of a sweep: what each is, where its numbers lie, and how it is done."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, final

from devices.files import make_folder

from ...commands.config import EvaluateConfig
from ...commands.evaluate import AskedEvaluation
from ...data.datasets import Facts
from ...runs.options.command_line import command_of
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.run import Run
from ...runs.run_data import images_of, refuse_too_many
from ...runs.run_folder import RunFolder
from ...support.answer import Answer, as_json
from ...support.interruption import RunInterrupted
from ...support.json_files import write_json
from ...support.options.parsing import load
from ...support.torch_devices import check_torch_device
from .config import SWEPT, SweepPlan
from .lists import Combination, combinations_of, contents_of, lists_of, named_in_errors


@final
@dataclass(frozen=True, kw_only=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        command: Name of the command.
        values: Of each swept option its value, as it was typed.
        name: What progress calls it.
        line: The command line that repeats it.
        config: What the command is given.
        answer_file: Where its numbers lie when it is finished.
        run: Of a training or an evaluation, what is run.
        ledger_file: Of those, where the events in the hardware lie.
        packing: How its bill packs kernels.
    """

    command: str
    values: Mapping[str, str]
    name: str
    line: str
    config: Any
    answer_file: Path
    run: Run | None = None
    ledger_file: Path | None = None
    packing: str = "none"

    @property
    def is_done(self) -> bool:
        """Whether it is finished, and nothing asks for another time."""
        return self.answer_file.exists() and not getattr(self.config, "force", False)


def runs_of(plan: SweepPlan) -> tuple[list[SweptRun], Path]:
    """Return all runs of a sweep, checked, and the sweep's own folder.

    Raises:
        ValueError: If one cannot be run, or two are the same.
        FileNotFoundError: If data, a run or a device file are missing.
        SystemExit: If the common options cannot be read, which has been printed.
    """
    config_class = load(SWEPT[plan.command].config)
    lists = lists_of(plan.command, config_class, plan.over, plan.words)
    combinations = list(combinations_of(plan.command, config_class, lists, plan.words))
    out = plan.out or plan.runs / f"sweep-{_digest(plan.command, *(_identity(one) for one in combinations))}"
    known: dict[object, Facts] = {}
    runs: list[SweptRun] = []
    for one in combinations:
        with named_in_errors(one.values):
            runs.append(_run(plan, one, out, known))
    same: dict[Path, SweptRun] = {}
    for run in runs:
        other = same.setdefault(run.answer_file, run)
        if other is not run:
            raise ValueError(
                f"`over` must give runs with other numbers, but those with {other.name} and with {run.name} are the "
                "same run. Leave one out."
            )
    return runs, out


def _run(plan: SweepPlan, one: Combination, out: Path, known: dict[object, Facts]) -> SweptRun:
    config: Any = replace(one.config, **_handed_on(plan, one, out))
    given: dict[str, Any] = {
        "command": plan.command,
        "values": one.values,
        "name": one.name,
        "config": config,
    }
    if isinstance(config, TrainConfig):
        run = resolve(config, _facts(config, known))
        check_torch_device(run.torch_device)
        folder = RunFolder.of(run)
        return SweptRun(
            **given,
            line=command_of(config),
            answer_file=folder.result_file,
            run=run,
            ledger_file=folder.ledger_file,
        )
    line = shlex.join(["xbar", plan.command, *one.words])
    if isinstance(config, EvaluateConfig):
        asked = AskedEvaluation.of(config)
        return SweptRun(
            **given,
            line=line,
            answer_file=asked.numbers,
            run=asked.placed,
            ledger_file=asked.ledger,
            packing=config.packing,
        )
    return SweptRun(**given, line=line, answer_file=out / "answers" / f"{_digest(*_identity(one))}.json")


def _handed_on(plan: SweepPlan, one: Combination, out: Path) -> dict[str, Any]:
    """Return the options that the sweep itself gives to a run, of those that its command has."""
    has = {option.name: getattr(one.config, option.name) for option in fields(one.config)}
    values: dict[str, Any] = {
        "threads": plan.threads,
        "dask": plan.dask,
        "runs": plan.runs,
        "jobs": plan.jobs if plan.dask is None else None,
    }
    handed_on = {name: value for name, value in values.items() if name in has}
    if plan.command == "train":
        return {**handed_on, "out": plan.runs}
    if has.get("out") is not None:  # one folder for all would be written over by each
        handed_on["out"] = out / "runs" / _digest(*_identity(one))
    return handed_on


def _facts(config: TrainConfig, known: dict[object, Facts]) -> Facts:
    """Return what is known of the data of a run, which are loaded once for all runs that have the same.

    Raises:
        ValueError: If there are fewer images than are asked for.
        FileNotFoundError: If the data are not there.
    """
    key = (config.data, config.data_dir, config.train_images, config.test_images, config.fold, config.loss,
           config.metric)  # fmt: skip
    if key not in known:
        images = images_of(config)
        refuse_too_many(config, images)
        known[key] = images.facts
    return known[key]


def _identity(one: Combination) -> tuple[str, ...]:
    return (*one.words, *contents_of(one.words))


def _digest(*parts: object) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()


def do(run: SweptRun) -> None:
    """Do a run, or go on with it; its numbers lie in its file then.

    Raises:
        ValueError: If it fails, whatever has happened.
        OSError: If a file cannot be read or written.
        RunInterrupted: If the user stopped it.
    """
    function: Callable[[Any], Answer] = load(SWEPT[run.command].function)
    config = run.config
    if SWEPT[run.command].threads == "jobs":
        config = config.resolved()
    try:
        answer = function(config)
    except (ValueError, OSError, RunInterrupted):
        raise
    except Exception as error:
        # Such as an own network that breaks off: no reason to end the other runs.
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if answer != run.answer_file:
        make_folder(run.answer_file.parent)
        write_json(run.answer_file, json.loads(as_json(answer)))
