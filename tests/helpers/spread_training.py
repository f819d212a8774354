"""The same small trainings in one process, and with their tiles spread over several."""

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from crossbar import (
    LocallyConnected2d,
    convert_to_analog,
    gather_tiles,
    own_images,
    program_chip,
    record_events,
    seed_noise,
    spread_images,
    spread_tiles,
    use_gradient,
)
from crossbar.aihwkit.adapter import AnalogSGD
from devices import get
from experiments.data.datasets import DataSplit, load_data
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run import Run
from experiments.runs.run_folder import RunFolder
from experiments.runs.training import train as train_run
from experiments.support.interruption import Interruption, RunInterrupted

CASES = {
    "hwa": ("pcm", 20),
    "hwa, some absent": ("pcm", 5),
    "sgd": ("reram-sb", 20),
    "sgd, some absent": ("reram-sb", 5),
    "tiki-taka": ("ttv2-reram-es", 9),
    "choppers": ("chopped-ttv2-ecram", 6),
    "mixed precision": ("mixed-precision-reram-es", 20),
    "vector cells": ("reram-es-2", 6),
}
"""Device and batch size."""
STEPS = 3


def cases_of(number: int, cases: Iterable[str]) -> list[str]:
    """Return the cases that so many processes try: all, or where there are more than two the most different ones."""
    few = (
        "hwa",
        "sgd, some absent",
        "tiki-taka",
        "pcm replicated(tiles=3)",
        "reram-sb free",  # with a process of one image, whose gradients of biases are no sums
        "ttv2-reram-es time_multiplexed",
    )
    return [case for case in cases if number == 2 or case in few]


def network(case: str) -> nn.Module:
    """Make a network of layers that can be spread, with groups, padding, strides and kernels on several tiles."""
    torch.manual_seed(4)
    digital = nn.Sequential(
        LocallyConnected2d(2, 4, 3, 7, padding=1, padding_mode="reflect", connections=connections(case)),
        nn.ReLU(),
        LocallyConnected2d(4, 6, (4, 3), 7, stride=2, padding=1, groups=2),
        nn.ReLU(),
        LocallyConnected2d(6, 4, 2, (3, 4)),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    device, _ = CASES[case]
    rpu_config = get(device).rpu_config(weight_noise=0.1) if is_hwa(case) else get(device).training_config()
    rpu_config.mapping.max_input_size = 10
    return convert_to_analog(digital, rpu_config)


def connections(case: str) -> Tensor | None:
    """Return which inputs there are: not all in some of the cases, and none at all in a corner."""
    if not case.endswith("absent"):
        return None
    present = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(2)) < 0.7
    present[:, :2, :2] = False
    return present


def is_hwa(case: str) -> bool:
    """Tell whether weights are trained in software."""
    return case.startswith("hwa")


def train(case: str, *, is_spread: bool) -> dict[str, Tensor | str]:
    """Train a few steps, and return all that there is to compare."""
    model, batch = network(case), CASES[case][1]
    optimizer = (
        torch.optim.Adam(model.parameters(), lr=1e-2)
        if is_hwa(case)
        else AnalogSGD(model.parameters(), lr=0.5)
    )
    refusals = []
    if is_spread:
        assert spread_tiles(model, optimizer) == ("0", "2", "4")
        for action in (
            lambda: program_chip(model, seed=1),
            lambda: model[0].get_weights(),
            lambda: model[0].weight,
        ):
            try:
                action()
            except ValueError as error:
                refusals.append(str(error))
    data, losses = torch.Generator().manual_seed(1), []
    with record_events(model) as ledger:
        for step in range(STEPS):
            x = torch.rand(batch, 2, 7, 7, generator=data)
            y = torch.randint(3, (batch,), generator=data)
            seed_noise(model, 3, "train", step)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    found, exchanged = without_exchanges(ledger.to_json())
    results: dict[str, Tensor | str] = {"ledger": json.dumps(found), "loss": torch.stack(losses)}
    if is_spread:
        results["exchanged"] = json.dumps(exchanged)
        results["tiles"] = str([layer.tile_array.tiles for layer in model[:5:2]])
        results["refusals"] = "\n".join(refusals)
        gather_tiles(model, optimizer)
    results |= model.state_dict()
    for name, parameter in model.named_parameters():
        results |= {f"{name} {key}": value for key, value in optimizer.state.get(parameter, {}).items()}
    return results


def without_exchanges(ledger: Any) -> tuple[Any, Any]:
    """Take what processes have sent each other out of a ledger in the types of JSON; return both."""
    exchanged = {}
    for name, layer in ledger["layers"].items():
        for phase, counts in layer["counts"].items():
            of_processes = [event for event in counts if "process_" in event]
            exchanged |= {f"{name} {phase} {event}": counts.pop(event) for event in of_processes}
        layer["counts"] = {phase: counts for phase, counts in layer["counts"].items() if counts}
    return ledger, exchanged


def train_in_process(rank: int, number: int, folder: str, is_all: bool = False) -> None:
    """Do trainings as one of several processes, in all cases or those of `cases_of`, and leave the results."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting-{number}", rank=rank, world_size=number
    )
    try:
        for case in CASES if is_all else cases_of(number, CASES):
            torch.save(train(case, is_spread=True), Path(folder) / f"{number} {rank} {case}.pt")
        for case in BY_IMAGES if is_all else cases_of(number, BY_IMAGES):
            torch.save(train_on_images(case, number, rank), Path(folder) / f"{number} {rank} {case}.pt")
        if number == 2:
            stop_a_run_after_its_first_step(Path(folder) / "run")
            stop_a_run_after_its_first_step(Path(folder) / "run by images", **RUN_BY_IMAGES)
    finally:
        dist.destroy_process_group()


RUN_BY_IMAGES = {"model": "cnn_digits", "mode": "in-situ", "device": "reram-sb", "batch_size": 25}
"""Of one kernel: three steps, whose batches do not divide."""


def tiny_run(folder: Path, processes: int = 1, **options: Any) -> tuple[Run, DataSplit, RunFolder]:
    """Return a run of two steps on the digits, or as the options say."""
    data = load_data("digits", "", seed=0, train_images=64, test_images=20)
    options = {"batch_size": 32, "checkpoint_seconds": 0, **options}
    wish = TrainConfig(epochs=1, chips=1, threads=1, processes=processes, **options)
    run = resolve(wish, data.facts)
    folder.mkdir(exist_ok=True)
    return run, data, RunFolder(folder)


def stop_a_run_after_its_first_step(folder: Path, **options: Any) -> None:
    """Train in all processes until the last of them, and no other, is asked to stop."""
    run, data, run_folder = tiny_run(folder, dist.get_world_size(), **options)
    with Interruption("") as interruption:
        if dist.get_rank() == dist.get_world_size() - 1:
            interruption.signal_number = signal.SIGTERM
        with pytest.raises(RunInterrupted) as stop:
            train_run(run, data, run_folder, interruption, fingerprint="")
    assert stop.value.signal_number == signal.SIGTERM


BY_IMAGES = {
    f"{device} {placement}": (device, placement)
    for device, placement in (
        ("pcm", "free"),
        ("pcm", "replicated(tiles=3)"),
        ("pcm", "time_multiplexed"),
        ("reram-sb", "free"),
        ("reram-sb", "replicated(tiles=3,sync_every=2)"),
        ("ttv2-reram-es", "time_multiplexed"),
        ("mixed-precision-reram-es", "replicated(tiles=3)"),
    )
}
BATCHES = (8, 8, 5)
"""Images of the batch of each step; the last one does not divide."""


def train_on_images(case: str, processes: int = 1, rank: int = 0) -> dict[str, Tensor | str]:
    """Train a few steps on a share of every batch, and return all that there is to compare."""
    device, placement = BY_IMAGES[case]
    torch.manual_seed(4)
    digital = nn.Sequential(
        LocallyConnected2d(2, 4, 3, 5, stride=2, placement=placement),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    is_software = device == "pcm"
    rpu_config = get(device).rpu_config(weight_noise=0.1) if is_software else get(device).training_config()
    model: nn.Module = convert_to_analog(digital, rpu_config)
    use_gradient(model, "exact")
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.3) if is_software else AnalogSGD(parameters, lr=0.3)
    trained = DistributedDataParallel(spread_images(model)) if processes > 1 else model
    data, losses = torch.Generator().manual_seed(1), []
    with record_events(model) as ledger:
        for step, batch in enumerate(BATCHES):
            x = torch.rand(batch, 2, 5, 5, generator=data)
            y = torch.randint(3, (batch,), generator=data)
            own = own_images(model, batch) if processes > 1 else slice(batch)
            seed_noise(model, 3, "train", step)
            optimizer.zero_grad()
            of_all = len(x[own]) * processes / batch  # 1 where all parts are equal
            loss = F.cross_entropy(trained(x[own]), y[own]) * of_all
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    found, exchanged = without_exchanges(ledger.to_json())
    told = {"ledger": json.dumps(found, sort_keys=True), "exchanged": json.dumps(exchanged)}
    return {"losses": torch.stack(losses), **told, **model.state_dict()}
