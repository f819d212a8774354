"""A run's folder: named by what was asked for, whole whenever the power fails, one process at a time."""

import contextlib
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from devices.files import (
    MANIFEST,
    adopt,
    begin_manifest,
    is_listed,
    listed,
    make_folder,
    parse_json,
    read_regular,
    read_text,
    remove,
    write_atomically,
)

from ..data.user_function import label_of
from ..support.figure_formats import KNOWN as FIGURE_FORMATS
from ..support.json_files import read_json, write_json
from ..support.runs_folder import runs_folder
from .checkpoint import shards_beside
from .folder_lock import locked
from .networks.own_files import OwnFiles
from .options.device_names import label
from .run import MODEL_FILE, Run

# What commands write into a run folder, beside the files that a run itself has.
_ADDED: Final = (
    "confusion.*", "evaluation-*.*", "ledger-*.json", "cost-*.*", "paper.json", "wires.*", "wires_*.*",
    "does_it_matter.*", "report.html", ".*.tmp",
)  # fmt: skip
_OF_AN_EPOCH: Final = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds")


@final
@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def of(cls, run: Run) -> "RunFolder":
        """Return the folder of a run.

        Its name ends in a hash of every field that decides about the numbers, not only of those that differ
        from a default: a changed default must not borrow an old result.
        """
        name = re.sub(r"[^\w.-]", "_", f"{label_of(run.model)}-{run.mode}-{label(run.device)}")
        identity = run.identity()
        # Earlier versions named a run also by the folder of its data, and by the name of a file of one's own.
        earlier = {**identity, "data": run.data}
        for values in ({**earlier, "data_dir": run.data_dir}, earlier, identity):
            text = json.dumps(values, sort_keys=True)
            folder = cls(run.out / f"{name}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}")
            if folder.config_file.is_file():
                break
        return folder

    @classmethod
    def existing(cls, run: str, among: Path | None = None) -> "RunFolder":
        """Return the folder of a run that was started before.

        Args:
            run: A path, or the name of a folder in `among`.
            among: The folder of the runs; `runs` if None.

        Raises:
            FileNotFoundError: If there is no such folder.
            ValueError: If the folder is no run's.
        """
        path = next((path for path in (Path(run), (among or runs_folder()) / run) if path.is_dir()), None)
        if path is None:
            raise FileNotFoundError(
                f"`run` must be a run folder, but there is no folder {run}. "
                "`xbar train` prints its run folder."
            )
        folder = cls(path)
        if not folder.config_file.is_file():
            raise ValueError(
                f"`run` must be a run folder, but {path} holds no config.json. "
                "`xbar train` prints its run folder."
            )
        return folder

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.json"

    @property
    def device_file(self) -> Path:
        """The run's own copy of the device file, if it uses one: the original may change, or lie elsewhere later."""
        return self.path / "device.toml"

    @property
    def own_files(self) -> OwnFiles:
        """The run's copies of the files whose functions make its network and its data, if they are a user's own."""
        return OwnFiles(self.path)

    def admit_own_files(self, *, trust: bool) -> None:
        """Say which files of a user a command is about to execute; refuse those that were changed.

        Args:
            trust: Execute them all the same.

        Raises:
            ValueError: If one was changed since the training, and is not trusted.
        """
        self.own_files.admit(trust=trust)

    @property
    def environment_file(self) -> Path:
        """Versions, commit, machine and data of the run."""
        return self.path / "environment.json"

    @property
    def log_file(self) -> Path:
        """One JSON line for each epoch."""
        return self.path / "log.jsonl"

    @property
    def checkpoint_file(self) -> Path:
        """Model, optimizer and counters of an unfinished training."""
        return self.path / "checkpoint.safetensors"

    @property
    def record_file(self) -> Path:
        """What the updates of a training in situ did to the devices."""
        return self.path / "record.npz"

    @property
    def curve_file(self) -> Path:
        """Validation accuracy against what had to happen in the hardware for it."""
        return self.path / "curve.jsonl"

    @property
    def ledger_file(self) -> Path:
        """What happened in the hardware: while training, when programming, for the test images."""
        return self.path / "ledger.json"

    @property
    def model_file(self) -> Path:
        """The trained weights."""
        return self.path / MODEL_FILE

    @property
    def result_file(self) -> Path:
        """The accuracies; it exists once the run is finished."""
        return self.path / "result.json"

    @property
    def accuracy_figure(self) -> Path:
        """Accuracy against time since programming."""
        return self.path / "accuracy_over_time.png"

    @property
    def learning_figure(self) -> Path:
        """Loss and accuracy against epochs."""
        return self.path / "learning_curve.png"

    @property
    def confusion_figure(self) -> Path:
        """Which classes are taken for which; the same in numbers stands beside it, in confusion.csv."""
        return self.path / "confusion.png"

    @property
    def dynamics_figure(self) -> Path:
        """What the updates did, over the training."""
        return self.path / "learning_dynamics.png"

    @property
    def pulses_figure(self) -> Path:
        """Pulses per device, over the image plane."""
        return self.path / "pulse_maps.png"

    def read_config(self) -> Run:
        """Read the run as it was started.

        Raises:
            ValueError: If the file is damaged, or the run's own copy of its device file is gone.
        """
        values = read_json(self.config_file)
        if is_listed(self.device_file) and not self.device_file.exists():
            raise ValueError(
                f"`run` must hold its device.toml, but {self.device_file} is gone. Bring it back, or start over "
                "with --force."
            )
        try:
            run = Run.from_json(values)
            run = replace(run, device=str(self.device_file)) if self.device_file.exists() else run
            return self.own_files.as_kept(run)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"`run` must hold the config.json of a run, but that of {self.path} is damaged: {error}"
            ) from None

    def begin(self) -> None:
        """Give the folder a manifest, if it has none, which knows every file written from then on."""
        if not (self.path / MANIFEST).exists():
            begin_manifest(self.path)

    def start(self, run: Run, environment: dict[str, object]) -> None:
        """Write what a new run does; it counts as started from then on."""
        begin_manifest(self.path)
        write_json(self.environment_file, environment)
        if run.device.endswith(".toml"):
            write_atomically(self.device_file, read_regular(run.device, "device"))
        self.own_files.keep(run)
        write_json(self.config_file, run.to_json())

    def clear(self) -> None:
        """Delete everything that an earlier run, and commands that looked at it, have written, and nothing else."""
        # The mark of a finished run goes first: half a run must not look like a whole one.
        first = self.result_file, self.model_file, self.checkpoint_file, self.config_file
        for file in (*first, *self._written()):
            file.unlink(missing_ok=True)
        self.own_files.clear()
        for folder in self.path.glob("does_it_matter-*/"):
            shutil.rmtree(folder)
        with contextlib.suppress(ValueError):  # a damaged manifest: what commands are known to write is gone
            for name in listed(self.path):
                (self.path / name).unlink(missing_ok=True)
        (self.path / MANIFEST).unlink(missing_ok=True)

    def _written(self) -> list[Path]:
        """Return the files that the run, and commands that look at it, are known to write, those that are there."""
        figures = (self.accuracy_figure, self.learning_figure, self.dynamics_figure, self.pulses_figure)
        added = [file for pattern in _ADDED for file in self.path.glob(pattern)]
        added += [figure.with_suffix(f".{ending}") for figure in figures for ending in FIGURE_FORMATS]
        return [file for file in (*self._deciding, *figures, *added) if file.exists() or file.is_symlink()]

    @property
    def _deciding(self) -> tuple[Path, ...]:
        return (
            self.config_file, self.device_file, self.own_files.origins, self.environment_file, self.checkpoint_file,
            self.model_file, self.record_file, self.curve_file, self.log_file, self.ledger_file, self.result_file,
            *shards_beside(self.checkpoint_file),
        )  # fmt: skip

    def write_log(self, history: list[dict[str, float]]) -> None:
        """Write the log anew: one JSON line for each finished epoch."""
        write_atomically(self.log_file, "".join(f"{json.dumps(record)}\n" for record in history).encode())

    def read_log(self, *, is_finished: bool = True) -> list[dict[str, float]]:
        """Read the log of a training.

        Args:
            is_finished: Whether it must have all epochs.

        Raises:
            ValueError: If it is missing or damaged, or lacks an epoch.
        """
        try:
            lines = read_text(self.log_file, "run").split("\n")
            started = self.read_config() if self.config_file.exists() else None
            lowest = -math.inf if started is not None and started.metric == "r2" else 0.0
            numbered = enumerate(lines[:-1], start=1)
            history = [_epoch(parse_json(line), number, lowest) for number, line in numbered]
            if lines[-1] or (is_finished and not history):
                raise ValueError("it does not end with a whole line")
        except FileNotFoundError as error:
            problem = str(error)
        except ValueError as error:
            if str(error).startswith("`"):
                raise
            problem = f"{self.log_file} is damaged: {error}"
        else:
            epochs = len(history) if started is None else started.epochs
            if len(history) == epochs or not is_finished:
                return history
            problem = f"{self.log_file} has {len(history)} lines for {epochs} epochs"
        raise ValueError(f"`run` must hold a readable log.jsonl, but {problem}. Start it over with --force.")

    def check_origin(self) -> None:
        """Refuse files that decide about the numbers, and that the manifest does not know.

        Raises:
            ValueError: If something else has put such a file there.
        """
        for file in self._deciding:
            if file.exists() and is_listed(file) is False:
                raise ValueError(
                    f"`run` must hold its own files, but {file} is not in {MANIFEST}: something else has put it "
                    "there. Remove it, or start over with --force."
                )

    def check_data(self, fingerprint: str) -> None:
        """Refuse to go on with other images than the run was started with.

        Raises:
            ValueError: If their fingerprint is another one.
        """
        environment = read_json(self.environment_file)
        started_with = environment.get("data") if isinstance(environment, dict) and environment else 0
        if not isinstance(started_with, str | None):
            raise ValueError(
                f"`run` must hold an undamaged environment.json, but {self.environment_file} is damaged. "
                "Restore a copy of it, or start over with --force."
            )
        if started_with not in (None, fingerprint):  # earlier versions did not keep it
            raise ValueError(
                f"`data` must be the images that the run in {self.path} was started with, but they have changed. "
                "Bring them back, give their folder with --data-dir, or start over with --force."
            )

    def say_where_it_goes_on(self) -> None:
        """Print from where a training that was started goes on."""
        if self.checkpoint_file.exists():
            print(f"Continuing {self.path}.")
        elif is_listed(self.checkpoint_file) and not self.model_file.exists():
            print(f"The checkpoint of {self.path} is gone: its training begins anew, with the same numbers.")

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint, if there is one, of all processes that wrote it: the training is over."""
        for file in (self.checkpoint_file, *shards_beside(self.checkpoint_file)):
            remove(file)

    def _tidy(self) -> None:
        """Delete what a killed process has left, and give a run of an earlier version its manifest."""
        for file in self.path.glob(".*.tmp"):
            file.unlink(missing_ok=True)
        if self.config_file.exists() and not (self.path / MANIFEST).exists():
            adopt(self.path, (file for file in self._written() if file.is_file()))
            print(
                f"{self.path} has no {MANIFEST}: it was deleted, or an earlier version made the run. Its files are "
                "taken as they are; from now on damage will be noticed."
            )
        if self.model_file.exists() and self.config_file.exists() and self.checkpoint_file.exists():
            with contextlib.suppress(ValueError):  # a damaged manifest, which whoever reads a file will name
                self.delete_checkpoint()

    def is_in_use(self) -> bool:
        """Say whether another process is at work in the folder; if none is, delete what a killed one has left.

        A folder is locked for those who write its numbers. Who only reads, or adds figures and a page, need not wait:
        every file is replaced as a whole.
        """
        with self._lock_if_free() as is_free:
            return not is_free

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder; the lock ends with the process, however that ends.

        Raises:
            ValueError: If another process is at work in it.
        """
        with self._lock_if_free() as is_free:
            if not is_free:
                raise ValueError(
                    f"`run` must not be in use, but another process is at work in {self.path}. Wait for it."
                )
            yield

    @contextmanager
    def _lock_if_free(self) -> Iterator[bool]:
        """Keep other processes out of the folder, and tidy it, unless one is at work in it; says whether none is."""
        make_folder(self.path)
        with locked(self.path / "lock") as is_free:
            if is_free:
                self._tidy()
            yield is_free


def _epoch(values: Any, number: int, lowest: float) -> dict[str, float]:
    """Check a line of the log."""
    if not isinstance(values, dict) or not values.keys() >= set(_OF_AN_EPOCH):
        raise ValueError(f"line {number} is no epoch")
    if any(type(value) not in (int, float) for value in values.values()):
        raise ValueError(f"line {number} holds something else than numbers")
    if values["epoch"] != number or type(values["epoch"]) is not int:
        raise ValueError(f"line {number} is that of epoch {values['epoch']}")
    for name in ("accuracy", "validation_accuracy"):
        if not lowest <= values[name] <= 1:
            raise ValueError(f"line {number} has the {name.replace('_', ' ')} {values[name]}")
    return values
