"""Train a network in any mode, so that a resumed training repeats an uninterrupted one.

What a step needs is saved or derived from its number: the order of the images from (seed, "order", epoch),
the noise from (seed, "train", step), the learning rate from the step. So no generator's state has to be kept.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from crossbar import convert_to_analog, neighbour_penalty, seed_noise, sleep, use_gradient
from devices import derive_seed, get
from devices.streams import generator
from devices.units import Dimensionless
from models import build, draw_connections, initialise

from ..data.augmentation import IMAGES_ON_HARDWARE, PLAIN, augment, validation_sets
from ..data.datasets import DataSplit, Images
from ..support.interruption import Interruption
from .checkpoint import load_checkpoint, save_checkpoint
from .emergent_sharing import sharing_of
from .ledger_file import RunEvents, TrainingEvents
from .options.config import LEARNS_ON_DEVICES, TrainConfig
from .options.wire_options import wires_of
from .progress import Progress
from .recorder import Recorder
from .run_folder import RunFolder
from .training_on_devices import analog_sgd, put_on_learning_tiles

Optimizer = torch.optim.Adam | torch.optim.SGD


def make_model(config: TrainConfig) -> nn.Module:
    """Build the network of a resolved configuration with its initial weights, on tiles unless it is digital."""
    network = initial_network(config)
    if config.mode in LEARNS_ON_DEVICES:
        return put_on_learning_tiles(network, config)
    return put_on_tiles(network, config, config.weight_noise or 0.0) if config.mode == "hwa" else network


def initial_network(config: TrainConfig) -> nn.Module:
    """Build the digital network of a resolved configuration with its initial weights and connections."""
    assert config.model is not None
    network = build(config.model, config.placement)
    initialise(network, config.seed)
    draw_connections(network, config.vcp, config.seed)
    return network


def put_on_tiles(network: nn.Module, config: TrainConfig, weight_noise: Dimensionless) -> nn.Module:
    """Put a digital network onto analog tiles with the configuration's device."""
    rpu_config = get(config.device).rpu_config(weight_noise=weight_noise)
    if config.tile_size is not None:
        rpu_config.mapping.max_input_size = rpu_config.mapping.max_output_size = config.tile_size
    analog = convert_to_analog(
        network,
        rpu_config,
        backend=config.backend,
        wires=wires_of(config),
        wires_every=config.wires_every or 1,
    )
    use_gradient(analog, "exact")  # the digital network's learning rates keep their meaning
    return analog


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Make what takes the steps: plain SGD where devices learn, Adam otherwise."""
    assert config.lr is not None
    if config.mode in LEARNS_ON_DEVICES:
        sgd: torch.optim.SGD = analog_sgd(model, config.lr)
        return sgd
    return torch.optim.Adam(model.parameters(), lr=config.lr)


def train(
    config: TrainConfig, data: DataSplit, folder: RunFolder, interruption: Interruption, *, fingerprint: str
) -> nn.Module:
    """Train from the last checkpoint of a run, or from the start, to the end.

    Args:
        config: The resolved configuration.
        data: The images.
        folder: Where checkpoints, log, record and, at the end, the ledger of the training are kept.
        interruption: Asked after each step.
        fingerprint: That of the data, to notice when they have changed under an interrupted run.

    Returns:
        The trained model.

    Raises:
        RunInterrupted: If the training was asked to stop; its checkpoint is saved then.
        ValueError: If the checkpoint is damaged, the data have changed, or the loss is no longer a number.
    """
    model = make_model(config)
    assert config.epochs is not None
    optimizer = make_optimizer(model, config)
    steps = math.ceil(len(data.train) / config.batch_size)
    recorder = Recorder(model, config.record_every, config.epochs * steps)
    progress = Progress(fingerprint)
    if folder.checkpoint_file.exists():
        saved = load_checkpoint(folder.checkpoint_file, model, optimizer)
        progress = Progress.from_json(saved, folder.checkpoint_file, config.epochs, steps)
        if progress.data != fingerprint:
            raise ValueError(
                f"`data` must be the images that the run in {folder.path} was started with, but they have "
                "changed. Bring them back, give their folder with --data-dir, or start over with --force."
            )
    events = TrainingEvents(model, progress.events)
    recorder.restore(folder.record_file, progress.epoch * steps + progress.step)
    # A kill between checkpoint and log leaves the log one line behind.
    folder.write_log(progress.history)

    def save() -> None:
        # The record goes first: it may run ahead of the checkpoint, never fall behind.
        recorder.save(folder.record_file)
        progress.events = events.to_json()
        save_checkpoint(folder.checkpoint_file, model, optimizer, asdict(progress))

    with tqdm(total=config.epochs * steps, initial=progress.epoch * steps + progress.step, **_bar()) as bar:
        while progress.epoch < config.epochs:
            with events.recording():
                _train_epoch(
                    config, data.train, model, optimizer, progress, recorder, interruption, save, bar
                )
            _finish_epoch(config, data, model, progress)
            save()
            folder.write_log(progress.history)
            if bar.disable:
                _say_epoch(progress.history[-1], config.epochs)
            interruption.stop_if_requested()
    RunEvents(events.total()).write(folder.ledger_file)
    return model.eval()


def _train_epoch(
    config: TrainConfig,
    images: Images,
    model: nn.Module,
    optimizer: Optimizer,
    progress: Progress,
    recorder: Recorder,
    interruption: Interruption,
    save: Callable[[], None],
    bar: "tqdm[Any]",
) -> None:
    assert config.epochs is not None
    model.train()
    order = torch.randperm(len(images), generator=generator(config.seed, "order", progress.epoch))
    batches = torch.split(order, config.batch_size)
    bar.set_description(f"epoch {progress.epoch + 1}/{config.epochs}")
    started = saved = time.monotonic()
    before = progress.seconds
    while progress.step < len(batches):
        index = batches[progress.step]
        step = progress.epoch * len(batches) + progress.step
        rate = learning_rate(config, step, config.epochs * len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        seed_noise(model, config.seed, "train", step)
        with recorder.watching(step, rate):
            pixels = images.pixels[index]
            if config.augment != "none":
                rng = generator(config.seed, "augmentation", step)
                pixels = augment(pixels, config.augment, config.strength, rng)
            loss, correct = _take_step(config, model, optimizer, pixels, images.labels[index])
            if config.sleep_every and (step + 1) % config.sleep_every == 0:
                assert config.sleep_factor is not None
                sleep(model, config.sleep_factor, seed=derive_seed(config.seed, "sleep", step))
        if not math.isfinite(loss):
            raise ValueError(
                f"`lr` must be small enough to train, but with {config.lr} the loss became {loss} in step "
                f"{step}. Lower --lr{' or --weight-noise' if config.mode == 'hwa' else ''}."
            )
        progress.step += 1
        progress.loss_sum += loss * len(index)
        progress.correct += correct
        progress.seconds = before + time.monotonic() - started
        seen = min(progress.step * config.batch_size, len(images))
        bar.update()
        bar.set_postfix(loss=f"{progress.loss_sum / seen:.3f}", accuracy=f"{progress.correct / seen:.1%}")
        late = time.monotonic() - saved > config.checkpoint_seconds
        if (late or interruption.signal_number is not None) and progress.step < len(batches):
            save()
            saved = time.monotonic()
            interruption.stop_if_requested()


def _take_step(
    config: TrainConfig, model: nn.Module, optimizer: Optimizer, pixels: Tensor, labels: Tensor
) -> tuple[float, int]:
    """Take a step; return the loss without penalties, and the number of images classified correctly."""
    optimizer.zero_grad()
    # Before the forward pass, whose graph must find weights and input ranges as they are now.
    penalty = neighbour_penalty(model, config.soft_sharing) if config.soft_sharing else 0.0
    scores = model(pixels)
    loss = cross_entropy(scores, labels)
    penalized = loss + penalty
    penalized.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item(), int((scores.argmax(dim=1) == labels).sum())


def _finish_epoch(config: TrainConfig, data: DataSplit, model: nn.Module, progress: Progress) -> None:
    started = time.monotonic()
    seed_noise(model, config.seed, "validation", progress.epoch)
    validation_loss, validation_accuracy = loss_and_accuracy(model, data.validation)
    progress.history.append(
        {
            "epoch": progress.epoch + 1,
            "loss": progress.loss_sum / len(data.train),
            "accuracy": progress.correct / len(data.train),
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            **(_scores(config, data.validation, model, progress.epoch) if config.scores else {}),
            "seconds": round(progress.seconds + time.monotonic() - started, 3),
        }
    )
    progress.epoch += 1
    progress.step, progress.loss_sum, progress.correct, progress.seconds = 0, 0.0, 0, 0.0


def _scores(
    config: TrainConfig, validation: Images, model: nn.Module, epoch: int
) -> dict[str, Dimensionless]:
    """Score the transformed validation images, and measure how alike the kernels of neighbouring locations are."""
    scores: dict[str, Dimensionless] = {}
    if config.mode != "digital":
        validation = validation.first(IMAGES_ON_HARDWARE)
    for name, images in validation_sets(validation, config.seed).items():
        if name != PLAIN:
            seed_noise(model, config.seed, "validation", epoch, name)
            scores[f"validation_{name}"] = loss_and_accuracy(model, images)[1]
    for layer, measures in sharing_of(model).items():
        scores.update({f"{layer} {measure}": value for measure, value in measures.items()})
    return scores


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step: constant, falling to zero along half a cosine, or in two steps."""
    assert config.lr is not None
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
    if config.schedule == "step":
        return config.lr * (1.0 if 2 * step < steps else 0.1 if 4 * step < 3 * steps else 0.01)
    return config.lr


@torch.no_grad()
def loss_and_accuracy(model: nn.Module, images: Images, batch_size: int = 256) -> tuple[float, float]:
    """Return a model's mean loss in evaluation, and the fraction of images that it classifies correctly."""
    model.eval()
    loss, correct = 0.0, 0
    for pixels, labels in zip(
        torch.split(images.pixels, batch_size), torch.split(images.labels, batch_size), strict=True
    ):
        scores = model(pixels)
        loss += cross_entropy(scores, labels, reduction="sum").item()
        correct += int((scores.argmax(dim=1) == labels).sum())
    return loss / len(images), correct / len(images)


def _bar() -> dict[str, Any]:
    # Into a file or a pipe a bar would write thousands of lines; there each epoch gets one.
    return {"unit": "step", "disable": None, "dynamic_ncols": True}


def _say_epoch(record: dict[str, float], epochs: int) -> None:
    print(
        f"epoch {record['epoch']:>3}/{epochs}  loss {record['loss']:.3f}  accuracy {record['accuracy']:.1%}",
        f" validation {record['validation_accuracy']:.1%}  {record['seconds']:.1f} s",
        flush=True,
    )
