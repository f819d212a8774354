"""One network that learns MNIST by pulses, of Wu et al. or aihwkit's: built, and trained from its last epoch."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import nn

from crossbar import convert_to_analog, seed_noise
from crossbar.aihwkit.adapter import MappingParameter, build_config
from crossbar.tiles.tile_array import Backend
from devices.aihwkit_adapter import ConstantStepDevice, PowStepDevice, SoftBoundsReferenceDevice
from devices.streams import derive_seed, generator
from devices.units import Dimensionless

from ....data.datasets import DataSplit, Images, load_data
from ....runs.checkpoint import load_checkpoint, save_checkpoint
from ....runs.training import loss_and_accuracy
from ....runs.training_on_devices import analog_sgd
from ....support.interruption import Interruption
from ....support.json_files import read_json, write_json
from ....support.typed_values import typed
from .layer_learning import configuration_of

_POWER: Final = "power "
_REFERENCE: Final = "reference "


@final
@dataclass(frozen=True, kw_only=True)
class Piece:
    """One training.

    Attributes:
        network: "fcn", "cnn" or "lenet".
        rule: "sgd" or "ttv1"; with a response "reference", see `layer_learning`.
        response: See `device_of`; or "reference" and the spread of the reference's error, with the devices of
            `layer_learning`.
        tau: Nominal bound of the devices.
        repeat: Number of the repeat.
        settings: Of the table.
        data_dir: Folder of MNIST.
        file: Where its result is kept; the checkpoint lies beside it.
        backend: "aihwkit" to learn on real aihwkit tiles with the same devices; their noise cannot be seeded.
    """

    network: str
    rule: str
    response: str
    tau: Dimensionless
    repeat: int
    settings: Mapping[str, Any]
    data_dir: str
    file: Path
    backend: Backend = "batched"

    @property
    def checkpoint(self) -> Path:
        """Its state after the last finished epoch."""
        return self.file.with_suffix(".safetensors")

    @property
    def progress(self) -> Path:
        """What its finished epochs were like, to look at while it learns."""
        return self.file.with_suffix(".progress.json")

    def setting(self, name: str) -> Any:
        """Return a setting: of the scale or the table, else of the response, else of the network."""
        parts = (self.settings, self.settings[self.response.split()[0]], self.settings[self.network])
        return next(part[name] for part in parts if name in part)


def device_of(response: str, tau: Dimensionless, states: int) -> Any:
    """Describe the device: aihwkit's soft bounds with a reference, or a power response, with bounds at +-tau.

    The paper's power response is a step s (1 - w / tau)^gamma up and s (1 + w / tau)^gamma down, of size s at zero.
    aihwkit's stock device has s ((tau - w) / (2 tau))^gamma and s ((w + tau) / (2 tau))^gamma, s / 2^gamma at zero:
    the same shape with more states. With 2^gamma times its `dw_min` it is the paper's law; its pulse trains are
    scaled by the step at zero in either case.

    Args:
        response: "constant-step" (aihwkit's device as it is, whatever the bound), "soft-bounds", or "power" and the
            exponent.
        tau: Nominal bound.
        states: Steps from bound to bound, of the size at zero, of a power response.
    """
    if response == "constant-step":
        return ConstantStepDevice()
    if response.startswith(_POWER):
        gamma = float(response.removeprefix(_POWER))
        return PowStepDevice(
            pow_gamma=gamma,
            pow_gamma_dtod=0.0,
            w_max=tau,
            w_min=-tau,
            w_max_dtod=0.0,
            w_min_dtod=0.0,
            dw_min=2**gamma * 2 * tau / states,
        )
    return SoftBoundsReferenceDevice(w_max=tau, w_min=-tau)


def digital_network(name: str, *, tanh_after_pool: bool = False) -> nn.Sequential:
    """Build a network: 784-256-128-10, sigmoid; or two convolutions of 5 x 5 and 512-128-10, tanh (also "lenet").

    Args:
        name: "fcn", "cnn" or "lenet".
        tanh_after_pool: Whether the second max pool of the latter is followed by one more tanh.
    """
    if name == "fcn":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 128), nn.Sigmoid(), nn.Linear(128, 10)
        )  # fmt: skip
    once_more = [nn.Tanh()] * tanh_after_pool
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.Tanh(), nn.MaxPool2d(2),
        *once_more, nn.Flatten(), nn.Linear(512, 128), nn.Tanh(), nn.Linear(128, 10),
    )  # fmt: skip


def network_of(piece: Piece) -> nn.Module:
    """Build the network of a piece on its devices, with the mapping of the paper."""
    mapping = MappingParameter(**piece.settings["mapping"])
    config: Any
    if piece.response.startswith(_REFERENCE):
        sigma_r, settings = float(piece.response.removeprefix(_REFERENCE)), piece.settings["reference"]
        rule: Any = piece.rule
        config = configuration_of(rule, settings, settings["states"], sigma_r, mapping=mapping)
    else:
        states = piece.settings.get("power", {}).get("states", 0)
        config = build_config(piece.rule, device_of(piece.response, piece.tau, states), mapping=mapping)
        if piece.rule == "ttv1":
            config.device.fast_lr = piece.settings["fast_lr"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(piece.repeat, "weights"))
        network = digital_network(piece.network, tanh_after_pool=piece.settings.get("tanh_after_pool", False))
        if piece.settings.get("softmax_twice"):
            network.append(nn.Softmax(dim=1))
        torch.manual_seed(piece.settings["construction_seed"])
        return convert_to_analog(network, config, backend=piece.backend)


def train_piece(piece: Piece) -> None:
    """Train a piece to the end, from its last finished epoch.

    Raises:
        FileNotFoundError: If MNIST is missing.
        RunInterrupted: If the user stopped it; the same command goes on.
    """
    if piece.file.exists():
        return
    piece.file.parent.mkdir(parents=True, exist_ok=True)
    data = load_data(
        "mnist",
        piece.data_dir,
        seed=piece.repeat,
        train_images=piece.settings.get("train_images"),
        test_images=piece.settings.get("test_images"),
    )
    model = network_of(piece)
    optimizer = analog_sgd(model, piece.settings["learning_rate"])
    history: list[dict[str, float]] = []
    if piece.checkpoint.exists():
        history = load_checkpoint(piece.checkpoint, model, optimizer)["history"]
    with Interruption("the same command") as interruption:
        while len(history) < piece.setting("epochs"):
            history.append(_epoch(piece, data, model, optimizer, len(history)))
            save_checkpoint(piece.checkpoint, model, optimizer, {"history": history})
            write_json(piece.progress, history)
            interruption.stop_if_requested()
    last = history[-piece.settings["last_epochs"] :]
    write_json(
        piece.file,
        {
            "test_accuracy": statistics.fmean(entry["test_accuracy"] for entry in last),
            "history": history,
            "cpu_seconds": sum(entry["cpu_seconds"] for entry in history),
        },
    )


def _epoch(
    piece: Piece, data: DataSplit, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int
) -> dict[str, float]:
    begin = time.process_time()
    rate = piece.settings["learning_rate"] * piece.setting("decay") ** (epoch // piece.setting("decay_every"))
    for group in optimizer.param_groups:
        group["lr"] = rate
    seed_noise(model, piece.repeat, "training", epoch)
    loss = _pass(piece, data.train, model, optimizer, epoch)
    seed_noise(model, piece.repeat, "test", epoch)
    accuracy = loss_and_accuracy(model, data.test)[1]
    return {
        "epoch": epoch + 1,
        "loss": loss,
        "test_accuracy": accuracy,
        "cpu_seconds": time.process_time() - begin,
    }


def _pass(
    piece: Piece, images: Images, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int
) -> float:
    """Show the network every training image once, and return the mean loss."""
    model.train()
    order = torch.randperm(len(images), generator=generator(piece.repeat, "order", epoch))
    total = 0.0
    for batch in torch.split(order, piece.setting("batch")):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.pixels[batch]), images.labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(images)


def images_of(settings: Mapping[str, Any]) -> str:
    """Say how many training images are learned: a tenth of them is kept back, as in all trainings here."""
    return f"{settings.get('train_images', 54_000):,} of the 60,000 training images"


def result_of(piece: Piece) -> Any:
    """Return what a finished piece has left."""
    return read_json(piece.file)


def history_of(piece: Piece) -> list[dict[str, float]]:
    """Return what the epochs of a piece that are done were like; none if it was not begun."""
    return typed(list[dict[str, float]], read_json(piece.progress)) if piece.progress.exists() else []
