"""Train a network, digitally, hardware-aware or in situ, so that a resumed training repeats an uninterrupted one.

What a step needs is saved or derived from its number: the order of the images from (seed, "order", epoch),
the noise from (seed, "train", step), the learning rate from the step. So no generator's state has to be kept.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from crossbar import convert_to_analog, seed_noise
from devices import get
from devices.streams import generator
from devices.units import Dimensionless, Seconds
from models import build, initialise

from .checkpoint import load_checkpoint, save_checkpoint
from .config import TrainConfig
from .data import DataSplit, Images
from .in_situ import analog_sgd, put_on_learning_tiles
from .interruption import Interruption
from .recorder import Recorder
from .run_folder import RunFolder

Optimizer = torch.optim.Adam | torch.optim.SGD


@final
@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        data: Fingerprint of the images.
        epoch: Number of finished epochs.
        step: Number of finished steps in the present epoch.
        loss_sum: Sum of the loss over the images of the present epoch.
        correct: Number of them that were classified correctly.
        seconds: Time spent in the present epoch.
        history: One record for each finished epoch.
    """

    data: str
    epoch: int = 0
    step: int = 0
    loss_sum: Dimensionless = 0.0
    correct: int = 0
    seconds: Seconds = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def from_json(cls, values: Any, path: Path, epochs: int, steps: int) -> "Progress":
        """Check what a checkpoint says.

        Raises:
            ValueError: If that cannot be a training of so many epochs and steps.
        """
        types = {item.name: type(getattr(cls(data=""), item.name)) for item in fields(cls)}
        if (
            not isinstance(values, dict)
            or {name: type(value) for name, value in values.items()} != types
            or not 0 <= values["epoch"] <= epochs
            or not 0 <= values["step"] < steps
            or len(values["history"]) != values["epoch"]
        ):
            raise ValueError(
                f"`path` must hold the counters of this training, but those in {path} are damaged."
            )
        return cls(**values)


def make_model(config: TrainConfig) -> nn.Module:
    """Build the network of a resolved configuration with its initial weights, on tiles unless it is digital."""
    assert config.model is not None
    network = build(config.model, config.placement)
    initialise(network, config.seed)
    if config.mode == "in-situ":
        return put_on_learning_tiles(network, config)
    return put_on_tiles(network, config, config.weight_noise or 0.0) if config.mode == "hwa" else network


def put_on_tiles(network: nn.Module, config: TrainConfig, weight_noise: Dimensionless) -> nn.Module:
    """Put a digital network onto analog tiles with the configuration's device."""
    rpu_config = get(config.device).rpu_config(weight_noise=weight_noise)
    return convert_to_analog(network, rpu_config, backend=config.backend)


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Make what takes the steps: plain SGD by pulses in situ, Adam otherwise."""
    assert config.lr is not None
    if config.mode == "in-situ":
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
        folder: Where checkpoints and log are kept.
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
                "changed. Bring them back, or start over with --force."
            )
    recorder.restore(folder.record_file, progress.epoch * steps + progress.step)
    # A kill between checkpoint and log leaves the log one line behind.
    folder.write_log(progress.history)

    def save() -> None:
        # The record goes first: it may run ahead of the checkpoint, never fall behind.
        recorder.save(folder.record_file)
        save_checkpoint(folder.checkpoint_file, model, optimizer, asdict(progress))

    with tqdm(total=config.epochs * steps, initial=progress.epoch * steps + progress.step, **_bar()) as bar:
        while progress.epoch < config.epochs:
            _train_epoch(config, data.train, model, optimizer, progress, recorder, interruption, save, bar)
            _finish_epoch(config, data, model, progress)
            save()
            folder.write_log(progress.history)
            if bar.disable:
                _say_epoch(progress.history[-1], config.epochs)
            interruption.stop_if_requested()
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
            loss, correct = _take_step(model, optimizer, images.pixels[index], images.labels[index])
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


def _take_step(model: nn.Module, optimizer: Optimizer, pixels: Tensor, labels: Tensor) -> tuple[float, int]:
    optimizer.zero_grad()
    scores = model(pixels)
    loss = cross_entropy(scores, labels)
    loss.backward()  # type: ignore[no-untyped-call]
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
            "seconds": round(progress.seconds + time.monotonic() - started, 3),
        }
    )
    progress.epoch += 1
    progress.step, progress.loss_sum, progress.correct, progress.seconds = 0, 0.0, 0, 0.0


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
