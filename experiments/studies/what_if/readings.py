"""What trained networks answer on a device: the one they learned on, or chips that they are written onto."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from crossbar import load_model, seed_noise, tile_arrays
from devices import read_device_file
from devices.units import Seconds

from ...data.datasets import DataSplit
from ...runs.result import Result
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.run_network import make_model
from ...runs.team.memory import use_memory
from ...support.interruption import Interruption
from ...support.json_files import read_json, write_json
from ..does_it_matter.outcomes import Outcome, read_chip, read_network


@final
@dataclass(frozen=True)
class Reading:
    """A trained network that is to answer the test images, on a device.

    Attributes:
        run: Folder of the training.
        device: Device file of the chips; those that learned in situ are read as they are.
        time: Since programming, in s; None in situ.
        chips: How many.
        file: Where the outcome is kept.
        memory: Most memory that a piece of work takes, as for `xbar train`; None for as much as it takes.
    """

    run: Path
    device: Path
    time: Seconds | None
    chips: int
    file: Path
    memory: str | None = None


def read(task: Reading) -> None:
    """Let a trained network answer the test images, on the devices it learned on or on programmed chips."""
    folder = RunFolder(task.run)
    run = folder.read_config()
    data = images_of(run)
    model = load_model(folder.model_file, make_model(run, facts=data.facts)).eval()
    with use_memory(task.memory):
        if task.time is None:
            seed_noise(model, run.seed, "what if")
            outcome = read_network(model, data.test)
        else:
            outcome = _read_chips(task, run, model, data)
    task.file.parent.mkdir(parents=True, exist_ok=True)
    write_json(task.file, asdict(outcome))


def _read_chips(task: Reading, run: Any, model: Any, data: DataSplit) -> Outcome:
    """Program chips of the device, read them at the time, and return the mean over them of every image."""
    assert task.time is not None
    device = read_device_file(task.device)
    forward = device.rpu_config().forward
    for _, array in tile_arrays(model):
        config = replace(array.rpu_config, forward=forward)
        array.replace_rpu_config(config)
    chips = []
    with Interruption("the same command") as interruption:
        for chip in range(task.chips):
            chips.append(
                read_chip(
                    model, run, data.test, device.noise_model(), chip, task.time, faults=None,
                    compensation=run.compensation,
                )
            )  # fmt: skip
            interruption.stop_if_requested()
    digest = hashlib.blake2b("".join(own.digest for own in chips).encode(), digest_size=8).hexdigest()
    scores = np.mean([own.scores for own in chips], axis=0)
    return Outcome(scores.tolist(), digest, chips[0].images)


def did_learn(folder: RunFolder) -> bool:
    """Say whether the network of a finished run learned at all; see `chance.RULE`."""
    return Result.from_json(read_json(folder.result_file)).did_learn
