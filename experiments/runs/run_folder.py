"""A run's folder: named by what was asked for, whole whenever the power fails, one process at a time."""

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from crossbar.network.storage import write_atomically

from ..support.json_files import read_json, write_json
from .options.config import TrainConfig
from .options.device_names import label


@final
@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def of(cls, config: TrainConfig) -> "RunFolder":
        """Return the folder of a resolved configuration.

        Its name ends in a hash of every field that decides about the numbers, not only of those that differ
        from a default: a changed default must not borrow an old result.
        """
        identity = json.dumps(config.identity(), sort_keys=True)
        digest = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
        name = re.sub(r"[^\w.-]", "_", f"{config.model}-{config.mode}-{label(config.device)}")
        return cls(config.out / f"{name}-{digest}")

    @classmethod
    def existing(cls, run: str) -> "RunFolder":
        """Return the folder of a run that was started before.

        Args:
            run: A path, or the name of a folder in `runs`.

        Raises:
            FileNotFoundError: If there is no such folder.
            ValueError: If the folder is no run's.
        """
        path = next((path for path in (Path(run), Path("runs") / run) if path.is_dir()), None)
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
    def ledger_file(self) -> Path:
        """What happened in the hardware: while training, when programming, for the test images."""
        return self.path / "ledger.json"

    @property
    def model_file(self) -> Path:
        """The trained weights."""
        return self.path / "model.safetensors"

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
    def dynamics_figure(self) -> Path:
        """What the updates did, over the training."""
        return self.path / "learning_dynamics.png"

    @property
    def pulses_figure(self) -> Path:
        """Pulses per device, over the image plane."""
        return self.path / "pulse_maps.png"

    def read_config(self) -> TrainConfig:
        """Read the configuration that the run was started with.

        Raises:
            ValueError: If the file is damaged.
        """
        values = read_json(self.config_file)
        try:
            config = TrainConfig.from_json(values)
            return replace(config, device=str(self.device_file)) if self.device_file.exists() else config
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"`run` must hold the config.json of a run, but that of {self.path} is damaged: {error}"
            ) from None

    def start(self, config: TrainConfig, environment: dict[str, object]) -> None:
        """Write what a new run was asked for; it counts as started from then on."""
        write_json(self.environment_file, environment)
        if config.device.endswith(".toml"):
            write_atomically(self.device_file, Path(config.device).read_bytes())
        write_json(self.config_file, config.to_json())

    def clear(self) -> None:
        """Delete the files of an earlier run, and nothing else."""
        # The mark of a finished run goes first: half a run must not look like a whole one.
        for file in (self.result_file, self.model_file, self.checkpoint_file, self.config_file):
            file.unlink(missing_ok=True)
        for file in (self.environment_file, self.log_file, self.record_file, self.ledger_file):
            file.unlink(missing_ok=True)
        for file in (self.accuracy_figure, self.learning_figure, self.dynamics_figure, self.pulses_figure):
            file.unlink(missing_ok=True)
        for pattern in ("evaluation-*.json", "evaluation-*.png", "ledger-*.json", ".*.tmp"):
            for file in self.path.glob(pattern):
                file.unlink()

    def write_log(self, history: list[dict[str, float]]) -> None:
        """Write the log anew: one JSON line for each finished epoch."""
        write_atomically(self.log_file, "".join(f"{json.dumps(record)}\n" for record in history).encode())

    def read_log(self) -> list[dict[str, float]]:
        """Read the log.

        Raises:
            ValueError: If it is missing or damaged.
        """
        try:
            return [json.loads(line) for line in self.log_file.read_text().splitlines()]
        except (OSError, ValueError):
            raise ValueError(
                f"`run` must hold a readable log.jsonl, but {self.path} does not. Start it over with --force."
            ) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder; the lock ends with the process, however that ends.

        Raises:
            ValueError: If another process is at work in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"`run` must not be in use, but another process is at work in {self.path}. Wait for it."
                ) from None
            yield
