"""Program a trained network onto chips, let them age, and measure the accuracy.

All chips hold the same weights; they differ in what programming, drift and reading add. A chip is the same
devices with and without drift compensation, so the two curves differ by the compensation alone.

A network that has learned on devices, in situ or by write-verify, is one chip, and nothing is programmed: its
devices are where training left them. It is read several times as it is, and over time where its devices have a model
of drift.
"""

from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from crossbar import (
    age_chip,
    device_yield,
    erase_chip,
    program_chip,
    replace_placement,
    seed_noise,
)
from devices import get
from devices.streams import derive_seed
from devices.units import Dimensionless, Seconds

from ..data.confusion import ConfusionLog
from ..data.datasets import DataSplit, Images, is_own
from ..data.user_function import label_of
from ..support.durations import parse_times
from ..support.interruption import Interruption
from ..support.progress_bar import progress_bar
from .copies import CopiesLog
from .ledger_file import EvaluationEvents
from .networks.first_network import take_off_tiles
from .options.config import NO_DEVICE
from .options.device_names import label
from .result import Result
from .run import Run
from .run_network import put_on_tiles
from .training import loss_and_accuracy

# assumed: enough to average the spread of the inputs; a hardware-aware training takes its first 100 batches.
_CALIBRATION_BATCHES = 30


class Evaluation(NamedTuple):
    """What an evaluation has found, and what happened in the hardware for it."""

    result: Result
    events: EvaluationEvents


def evaluate(
    run: Run,
    model: nn.Module,
    data: DataSplit,
    interruption: Interruption,
    *,
    placement: str | None = None,
) -> Evaluation:
    """Measure a trained model on its device over time.

    Args:
        run: The run, which names device, chips, times and compensation.
        model: The trained model; programmed devices are erased at the end.
        data: The images: the test images count, training images set input ranges where none were learned.
        interruption: Asked after each accuracy.
        placement: Program the kernels onto tiles placed otherwise than in the training; None for the same.

    Returns:
        The result, and the events of one programming and of one pass through the test images.

    Raises:
        RunInterrupted: If the evaluation was asked to stop.
        ValueError: If the placement does not fit what was trained.
    """
    events, copies, confusion = EvaluationEvents(), CopiesLog(), ConfusionLog(data.objective)
    network = model if run.mode == "digital" else take_off_tiles(model, run, data.facts)
    seed_noise(network, run.seed, "digital")
    with events.first("inference", network) if run.device == NO_DEVICE else nullcontext():
        _, digital_accuracy = loss_and_accuracy(network, data.test, note=partial(confusion.note, "digital"))
    analog = model
    if run.mode == "digital" and run.times is not None:
        # The ranges must not see the noise that training would add to the weights.
        analog = calibrate(put_on_tiles(network, run, weight_noise=0.0), run, data.train)
    if placement is not None:
        analog = replace_placement(analog, placement, data.image_shape)
    times: tuple[Seconds, ...] = ()
    accuracy: dict[str, list[list[Dimensionless]]] = {}
    as_trained: list[Dimensionless] = []
    yields: list[Dimensionless] = []
    if run.learns_on_devices:
        as_trained = _read_as_trained(run, analog, data.test, events, confusion, interruption)
        copies.look(analog, None)
        yields.append(device_yield(analog))
    if run.times is not None:
        times = parse_times(run.times)
        accuracy = _age_chips(run, analog, data.test, times, events, copies, confusion, yields, interruption)
    events.close(analog)
    result = Result(
        model=label_of(run.model),
        placement=placement or run.placement,
        data=label_of(run.data, "data"),
        mode=run.mode,
        device=label(run.device),
        compensation=run.compensation,
        seed=run.seed,
        test_images=len(data.test),
        digital_accuracy=digital_accuracy,
        times=times,
        extrapolated=tuple(time for time in times if get(run.device).is_extrapolated(time)),
        accuracy=accuracy,
        as_trained=tuple(as_trained),
        faults=run.faults,
        yields=tuple(yields) if run.faults else (),
        wires=run.wires,
        copies=copies.summary(),
        confusion=confusion.counted(),
        metric=run.metric,
        by_chance=data.objective.by_chance(data.test.labels) if is_own(run.data) else None,
    )
    return Evaluation(result, events)


@torch.no_grad()
def calibrate(analog: nn.Module, run: Run, images: Images) -> nn.Module:
    """Let tiles choose their input ranges from training images; returns the same model."""
    analog.train()
    seed_noise(analog, run.seed, "calibration")
    # The images lie in the order of the split, which was drawn at random.
    for pixels in torch.split(images.pixels, run.batch_size)[:_CALIBRATION_BATCHES]:
        analog(pixels)
    return analog.eval()


def _read_as_trained(
    run: Run,
    analog: nn.Module,
    test: Images,
    events: EvaluationEvents,
    confusion: ConfusionLog,
    interruption: Interruption,
) -> list[Dimensionless]:
    """Return the accuracy of the devices as training left them, read several times."""
    readings = []
    for reading in range(run.chips):
        seed_noise(analog, run.seed, "test", "as trained", reading)
        with events.first("inference", analog):
            note = partial(confusion.note, "as_trained")
            readings.append(loss_and_accuracy(analog, test, note=note)[1])
        interruption.stop_if_requested()
    return readings


def _age_chips(
    run: Run,
    analog: nn.Module,
    test: Images,
    times: tuple[Seconds, ...],
    events: EvaluationEvents,
    copies: CopiesLog,
    confusion: ConfusionLog,
    yields: list[Dimensionless],
    interruption: Interruption,
) -> dict[str, list[list[Dimensionless]]]:
    compensations = list(dict.fromkeys(("none", run.compensation or "none")))
    noise_model = get(run.device).noise_model()
    # Devices that have learned were faulty before.
    faults = None if run.learns_on_devices else run.faults_of_chips
    accuracy: dict[str, list[list[Dimensionless]]] = {name: [] for name in compensations}
    total = run.chips * len(compensations) * len(times)
    with progress_bar(total=total, desc="chips", unit="test") as bar:
        for chip in range(run.chips):
            for name, chips in accuracy.items():
                # What has learned on devices is one chip: they age alike in all readings.
                chip_seed = derive_seed(run.seed, "chip", 0 if run.learns_on_devices else chip)
                is_last = name == compensations[-1]  # compensating reads the devices too
                with events.first("programming", analog) if is_last else nullcontext():
                    program_chip(
                        analog,
                        noise_model,
                        seed=chip_seed,
                        compensation=name,  # type: ignore[arg-type]
                        faults=faults,
                    )
                if is_last and not run.learns_on_devices:
                    yields.append(device_yield(analog))
                chips.append([])
                for time in times:
                    age_chip(analog, time, seed=derive_seed(run.seed, "chip", chip))
                    if name == compensations[0]:
                        copies.look(analog, time)
                    seed_noise(analog, run.seed, "test", chip, repr(time))
                    note = partial(confusion.note, "aged") if is_last and time == times[-1] else None
                    with events.first("inference", analog):
                        _, value = loss_and_accuracy(analog, test, note=note)
                    chips[-1].append(value)
                    bar.update()
                    bar.set_postfix(accuracy=f"{value:.1%}")
                    interruption.stop_if_requested()
    erase_chip(analog)
    return accuracy
