"""Train a network in any mode, so that a resumed training repeats an uninterrupted one.

What a step needs is saved or derived from its number: the order of the images from (seed, "order", epoch),
the noise from (seed, "train", step), the learning rate from the step. So no generator's state has to be kept.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from crossbar import (
    neighbour_penalty,
    seed_noise,
    sleep,
)
from crossbar.distributed import communication
from devices import derive_seed
from devices.streams import generator
from devices.units import Dimensionless

from ..data.augmentation import IMAGES_ON_HARDWARE, PLAIN, augment, validation_sets
from ..data.datasets import DataSplit, Images
from ..data.objective import Reference
from ..data.objective_names import METRIC_NAMES
from ..support.interruption import Interruption
from ..support.torch_devices import torch_device_of
from .checkpoint import load_checkpoint, save_checkpoint
from .emergent_sharing import sharing_of
from .ledger_file import RunEvents, TrainingEvents
from .networks.first_network import own_draws
from .progress import Progress
from .run import Run
from .run_folder import RunFolder
from .run_network import make_model, network_to_start_from
from .team.beginning import begin_steps
from .team.steps import Steps
from .training_on_devices import Change, analog_sgd
from .watching.curve import Curve, Measurement
from .watching.recorder import Recorder

Optimizer = torch.optim.Adam | torch.optim.SGD


@final
class Diverged(ValueError):
    """The loss is no longer a number: the learning rate is too large."""


def make_optimizer(model: nn.Module, run: Run) -> Optimizer:
    """Make what takes the steps: plain SGD where devices learn, Adam otherwise."""
    if run.learns_on_devices:
        sgd: torch.optim.SGD = analog_sgd(model, run.lr)
        return sgd
    return torch.optim.Adam(model.parameters(), lr=run.lr)


def train(
    run: Run,
    data: DataSplit,
    folder: RunFolder,
    interruption: Interruption,
    *,
    fingerprint: str,
    change: Change | None = None,
    on_measure: Callable[[Measurement], None] | None = None,
) -> nn.Module:
    """Train from the last checkpoint of a run, or from the start, to the end.

    Args:
        run: The run.
        data: The images.
        folder: Where checkpoints, log, record and, at the end, the ledger of the training are kept.
        interruption: Asked after each step.
        fingerprint: That of the data, to notice when they have changed under an interrupted run.
        change: Changes the devices that a network learns on, before they are made; that of every start.
        on_measure: Told of every measurement on the validation images; what it raises ends the training.

    Returns:
        The trained model.

    Raises:
        RunInterrupted: If the training was asked to stop; its checkpoint is saved then.
        ValueError: If the checkpoint is damaged, the data have changed, or the loss is no number any more.
    """
    start = None if folder.checkpoint_file.exists() else network_to_start_from(run, data)
    model = make_model(run, change, data.facts, start=start).to(run.torch_device)
    optimizer = make_optimizer(model, run)
    steps = math.ceil(len(data.train) / run.batch_size)
    writes = communication.rank() == 0  # of several processes, the first one
    recorder = Recorder(model, run.record_every if writes else 0, run.epochs * steps)
    curve = Curve(run.measure_every, on_measure)
    progress = Progress(fingerprint)
    if folder.checkpoint_file.exists():
        saved = load_checkpoint(folder.checkpoint_file, model, optimizer)
        progress = Progress.from_json(saved, folder.checkpoint_file, run.epochs, steps)
        if progress.data != fingerprint:
            raise ValueError(
                f"`data` must be the images that the run in {folder.path} was started with, but they have "
                "changed. Bring them back, give their folder with --data-dir, or start over with --force."
            )
    part = begin_steps(run, model, optimizer, len(data.train))
    events = TrainingEvents(model, progress.events)
    recorder.restore(folder.record_file, progress.epoch * steps + progress.step)
    curve.restore(folder.curve_file, progress.epoch * steps + progress.step)
    # A kill between checkpoint and log leaves the log one line behind.
    if writes:
        folder.write_log(progress.history)

    def save() -> None:
        # Record and curve go first: they may run ahead of the checkpoint, never fall behind.
        if writes:
            recorder.save(folder.record_file)
            curve.save(folder.curve_file)
        progress.events = events.to_json()
        save_checkpoint(folder.checkpoint_file, model, optimizer, asdict(progress))

    def keep(step: int, loss: float, accuracy: Dimensionless) -> None:
        if not math.isfinite(loss):
            raise _diverged(run, f"the validation loss became {loss} after {step} steps")
        so_far = events.to_json() if run.learns_on_devices else None
        curve.add(Measurement(step=step, loss=loss, accuracy=accuracy, events=so_far))

    def measure(step: int) -> None:
        if curve.is_due(step):
            with events.paused():
                seed_noise(model, run.seed, "validation", "step", step)
                some = data.validation.first(IMAGES_ON_HARDWARE)
                keep(step, *part.measured(lambda: loss_and_accuracy(model, some)))
            model.train()

    done = progress.epoch * steps + progress.step
    with _noticing_divergence(run), tqdm(total=run.epochs * steps, initial=done, **_bar(writes)) as bar:
        while progress.epoch < run.epochs:
            with events.recording():
                _train_epoch(
                    run, data.train, part, optimizer, progress, recorder, interruption, measure, save, bar
                )
            _finish_epoch(run, data, model, progress, part)
            last = progress.history[-1]
            keep(progress.epoch * steps, last["validation_loss"], last["validation_accuracy"])
            save()
            if writes:
                folder.write_log(progress.history)
            if bar.disable and writes:
                _say_epoch(progress.history[-1], run.epochs, METRIC_NAMES[run.metric])
            _stop_together(interruption)
            interruption.stop_if_requested()
    total = RunEvents(events.total())
    if writes:
        total.write(folder.ledger_file)
    part.end()
    return model.eval().cpu()


def _train_epoch(
    run: Run,
    images: Images,
    part: Steps,
    optimizer: Optimizer,
    progress: Progress,
    recorder: Recorder,
    interruption: Interruption,
    measure: Callable[[int], None],
    save: Callable[[], None],
    bar: "tqdm[Any]",
) -> None:
    model = part.model.train()
    order = torch.randperm(len(images), generator=generator(run.seed, "order", progress.epoch))
    among = images.objective.reference_of(images.labels)
    batches = batches_of(order, run.batch_size, model)
    bar.set_description(f"epoch {progress.epoch + 1}/{run.epochs}")
    started = saved = time.monotonic()
    before = progress.seconds
    while progress.step < len(batches):
        index = batches[progress.step]
        step = progress.epoch * len(batches) + progress.step
        rate = learning_rate(run, step, run.epochs * len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        seed_noise(model, run.seed, "train", step)
        with recorder.watching(step, rate):
            pixels, labels = images.pixels[index], images.labels[index]
            if run.augment != "none":
                rng = generator(run.seed, "augmentation", step)
                pixels = augment(pixels, run.augment, run.strength, rng)
            batch = part.own(replace(images, pixels=pixels, labels=labels)).to(torch_device_of(model))
            with own_draws(run, "train", step, *part.names):
                loss, correct = part.of_all(*_take_step(run, part, optimizer, batch, among))
            if run.sleep_factor is not None and (step + 1) % run.sleep_every == 0:
                sleep(model, run.sleep_factor, seed=derive_seed(run.seed, "sleep", step))
        if not math.isfinite(loss):
            raise _diverged(run, f"the loss became {loss} in step {step}")
        progress.step += 1
        progress.loss_sum += loss * len(index)
        progress.correct += correct
        progress.seconds = before + time.monotonic() - started
        seen = min(progress.step * run.batch_size, len(images))
        bar.update()
        bar.set_postfix(loss=f"{progress.loss_sum / seen:.3f}", accuracy=f"{progress.correct / seen:.1%}")
        if progress.step < len(batches):
            measure(step + 1)
        late = time.monotonic() - saved > run.checkpoint_seconds
        if communication.processes() > 1:  # each has its own clock, and is asked to stop at its own moment
            late = communication.any_process(late)
            _stop_together(interruption)
        if (late or interruption.signal_number is not None) and progress.step < len(batches):
            save()
            saved = time.monotonic()
            interruption.stop_if_requested()


def _stop_together(interruption: Interruption) -> None:
    """Let all processes stop where one of them has been asked to: those that did not hear it would wait for it."""
    asked = communication.most(float(interruption.signal_number or 0))
    if asked:
        interruption.signal_number = int(asked)


def _diverged(run: Run, what: str) -> Diverged:
    advice = f"Lower --lr{' or --weight-noise' if run.mode == 'hwa' else ''}."
    return Diverged(f"`lr` must be small enough to train, but with {run.lr} {what}. {advice}")


@contextmanager
def _noticing_divergence(run: Run) -> Iterator[None]:
    """Say of layers that refuse their inputs that the rate was too large: the images themselves are finite."""
    try:
        yield
    except ValueError as error:
        if "must be finite" not in str(error):
            raise
        raise _diverged(run, "a layer was handed what is no number") from error


def _take_step(
    run: Run, part: Steps, optimizer: Optimizer, batch: Images, among: Reference
) -> tuple[float, Dimensionless]:
    """Take a step; return the loss without penalties, and the sum of the scores: of images classified correctly."""
    optimizer.zero_grad()
    # Before the forward pass, whose graph must find weights and input ranges as they are now.
    penalty = neighbour_penalty(part.model, run.soft_sharing) if run.soft_sharing else 0.0
    scores = part.outputs(batch.pixels)
    loss = batch.objective.loss_of(scores, batch.labels)
    penalized = part.mean_of_all(loss) + penalty
    penalized.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item(), batch.objective.score_of(scores.detach(), batch.labels, among)


def _finish_epoch(run: Run, data: DataSplit, model: nn.Module, progress: Progress, part: Steps) -> None:
    started = time.monotonic()
    seed_noise(model, run.seed, "validation", progress.epoch)
    validation_loss, validation_accuracy = part.measured(lambda: loss_and_accuracy(model, data.validation))
    is_scored = run.scores and communication.rank() == 0
    progress.history.append(
        {
            "epoch": progress.epoch + 1,
            "loss": progress.loss_sum / len(data.train),
            "accuracy": progress.correct / len(data.train),
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            **(_scores(run, data.validation, model, progress.epoch) if is_scored else {}),
            "seconds": round(progress.seconds + time.monotonic() - started, 3),
        }
    )
    progress.epoch += 1
    progress.step, progress.loss_sum, progress.correct, progress.seconds = 0, 0.0, 0, 0.0


def _scores(run: Run, validation: Images, model: nn.Module, epoch: int) -> dict[str, Dimensionless]:
    """Score the transformed validation images, and measure how alike the kernels of neighbouring locations are."""
    scores: dict[str, Dimensionless] = {}
    if run.mode != "digital":
        validation = validation.first(IMAGES_ON_HARDWARE)
    for name, images in validation_sets(validation, run.seed).items():
        if name != PLAIN:
            seed_noise(model, run.seed, "validation", epoch, name)
            scores[f"validation_{name}"] = loss_and_accuracy(model, images)[1]
    for layer, measures in sharing_of(model).items():
        scores.update({f"{layer} {measure}": value for measure, value in measures.items()})
    return scores


def batches_of(order: Tensor, batch_size: int, model: nn.Module) -> list[Tensor]:
    """Cut an order of images into batches; none of one image where a layer normalises over the images of a batch."""
    batches = list(torch.split(order, batch_size))
    normalises = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if normalises and len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 2:
        *batches, last, single = batches
        batches += [last[:-1], torch.cat([last[-1:], single])]
    return batches


def learning_rate(run: Run, step: int, steps: int) -> float:
    """Return the learning rate of a step: constant, falling to zero along half a cosine, or in two steps."""
    if run.schedule == "cosine":
        return run.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
    if run.schedule == "step":
        return run.lr * (1.0 if 2 * step < steps else 0.1 if 4 * step < 3 * steps else 0.01)
    return run.lr


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module,
    images: Images,
    batch_size: int = 256,
    *,
    note: Callable[[Tensor, Tensor], None] | None = None,
) -> tuple[float, float]:
    """Return a model's mean loss in evaluation, and the fraction of images that it classifies correctly.

    Of other metrics than the accuracy their value, 1 at the best.

    Args:
        model: The model.
        images: What it is tested with.
        batch_size: Images at a time.
        note: Told the outputs and labels of every batch.
    """
    model.eval()
    images = images.to(torch_device_of(model))
    loss: float = 0.0
    correct: Dimensionless = 0
    objective = images.objective
    among = objective.reference_of(images.labels)
    for pixels, labels in zip(
        torch.split(images.pixels, batch_size), torch.split(images.labels, batch_size), strict=True
    ):
        scores = model(pixels)
        loss += objective.loss_of(scores, labels, reduction="sum").item()
        correct += objective.score_of(scores, labels, among)
        if note is not None:
            note(scores, labels)
    return loss / len(images), correct / len(images)


def _bar(is_shown: bool) -> dict[str, Any]:
    # Into a file or a pipe a bar would write thousands of lines; there each epoch gets one.
    return {"unit": "step", "disable": None if is_shown else True, "dynamic_ncols": True}


def _say_epoch(record: dict[str, float], epochs: int, metric: str) -> None:
    print(
        f"epoch {record['epoch']:>3}/{epochs}  loss {record['loss']:.3f}  {metric} {record['accuracy']:.1%}",
        f" validation {record['validation_accuracy']:.1%}  {record['seconds']:.1f} s",
        flush=True,
    )
