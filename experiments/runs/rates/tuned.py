"""Learning rates that a search on validation images has found: a file to read, to keep, and to hand to `--tuned`.

Written by `xbar tune` as TOML: what was searched how, and then one table for each training that was tuned. A rate
belongs to images, network, placement, mode and device; it was found for trainings of one length, and whoever uses it
for another length is told so.
"""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, final

from devices import get
from devices.files import parse_toml, read_regular
from devices.units import Dimensionless

from ...data.user_function import label_of
from ...support.typed_values import typed
from ..options.config import NO_DEVICE, TrainConfig
from ..run import Run

FORMAT: Final = "crossbar-emulator tuned 1"


@final
@dataclass(frozen=True, kw_only=True)
class TunedRate:
    """What suits one training.

    Attributes:
        data: The images.
        model: The network.
        placement: Where the kernels of its local layers live.
        mode: How it learns.
        device: The memory cell.
        lr: The learning rate, as the optimizer gets it.
        batch_size: Images per step.
        validation_accuracy: What the training reached with them; of another metric its value.
        validation_images: On how many images.
        epochs: Passes through the training images.
        train_images: How many there were.
        trials: Trainings that were tried.
        stopped: Those of them that were stopped early.
        lowest: Lower end of the rates that were searched.
        highest: Upper end.
        is_at_end: Whether the rate lies so near an end that better ones may lie beyond.
        did_learn: Whether the network learned at all with it, on the validation images; see `chance.RULE`.
        transfer_every: Vectors or mini-batches between two transfers, of rules that transfer; None where it was not
            searched.
    """

    data: str
    model: str
    placement: str
    mode: str
    device: str
    lr: Dimensionless
    batch_size: int
    validation_accuracy: Dimensionless
    validation_images: int
    epochs: int
    train_images: int
    trials: int
    stopped: int
    lowest: Dimensionless
    highest: Dimensionless
    is_at_end: bool
    did_learn: bool
    transfer_every: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.lr < float("inf") or self.batch_size < 1 or self.epochs < 1:
            raise ValueError("a tuned rate must have a positive `lr`, `batch_size` and `epochs`, but has not")

    @property
    def key(self) -> tuple[str, ...]:
        """What a rate belongs to."""
        placement = self.placement.replace(" ", "")
        return self.data, self.model, placement, self.mode, self.device

    @property
    def name(self) -> str:
        """What a rate belongs to, in words."""
        return f"{self.data}, {self.model}, {self.placement}, {self.mode}, {self.device}"


@final
@dataclass(frozen=True, kw_only=True)
class TunedRates:
    """The file.

    Attributes:
        command: The line that searches them again.
        commit: The version of the program that did.
        method: How they were searched, in sentences.
        seed: Seed of all trainings of the search, and of its draws.
        rates: One for each training.
    """

    command: str
    commit: str
    method: str
    seed: int
    rates: tuple[TunedRate, ...]

    def to_toml(self) -> str:
        """Return the text of the file."""
        lines = [
            "# Learning rates chosen on validation images; no test image was looked at. Read by --tuned.",
            f"format = {_quoted(FORMAT)}",
            *(f"{name} = {_quoted(getattr(self, name))}" for name in ("command", "commit", "method")),
            f"seed = {self.seed}",
        ]
        for rate in self.rates:
            lines += ["", "[[rates]]"]
            values = {item.name: getattr(rate, item.name) for item in fields(rate)}
            lines += [f"{name} = {_quoted(value)}" for name, value in values.items() if value is not None]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, path: Path) -> "TunedRates":
        """Read the file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is something else, or damaged.
        """
        try:
            content = parse_toml(read_regular(path, "tuned"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"`tuned` must be a file that `xbar tune` has written, but there is no {path}. Check the path."
            ) from None
        except ValueError as error:
            if str(error).startswith("`"):
                raise
            raise _wrong(path, str(error)) from None
        if content.pop("format", None) != FORMAT:
            raise _wrong(path, f"its `format` is not {FORMAT!r}")
        try:
            found = typed(cls, content)
        except ValueError as error:
            raise _wrong(path, str(error)) from None
        keys = [rate.key for rate in found.rates]
        if len(set(keys)) < len(keys):
            raise _wrong(path, "it has two rates for the same training")
        return found


def at_tuned_rate(wish: TrainConfig, model: str, placement: str) -> TrainConfig:
    """Return the wish with what the file that it names has for it; the wish itself if it names none.

    Args:
        wish: What was asked for.
        model: The network.
        placement: Where the kernels of its local layers live.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no rate for this training, or one for another batch size or interval.
    """
    if wish.tuned is None:
        return wish
    wanted = key_of(wish, model, placement)
    rates = TunedRates.read(wish.tuned).rates
    rate = next((one for one in rates if one.key == wanted), None)
    if rate is None:
        raise ValueError(
            f"`tuned` must hold a rate for {', '.join(wanted)}, but {wish.tuned} has only "
            f"{'; '.join(one.name for one in rates) or 'none'}. Search it with `xbar tune`, or give --lr."
        )
    if wish.batch_size not in (None, rate.batch_size):
        raise ValueError(
            f"`batch_size` must be {rate.batch_size} with --tuned, or be left out, but is {wish.batch_size}: the "
            "rate was found for that one. Leave it out."
        )
    if rate.transfer_every is not None and wish.transfer_every not in (None, rate.transfer_every):
        raise ValueError(
            f"`transfer_every` must be {rate.transfer_every} with --tuned, or be left out, but is "
            f"{wish.transfer_every}: the rate was found for that one. Leave it out."
        )
    every = rate.transfer_every or wish.transfer_every
    return replace(wish, lr=rate.lr, batch_size=rate.batch_size, transfer_every=every, tuned=None)


def with_found_rate(wish: TrainConfig, usual: Run) -> TrainConfig:
    """Return a wish that says itself what a file of tuned rates has for it; the same if it names no file.

    Args:
        wish: What is asked for.
        usual: What it is resolved to.
    """
    if wish.tuned is None:
        return wish
    return replace(wish, lr=usual.lr, batch_size=usual.batch_size, tuned=None)


def key_of(wish: TrainConfig, model: str, placement: str) -> tuple[str, ...]:
    """Return what the rate of a training belongs to, as `TunedRate.key`."""
    device = wish.device if wish.device == NO_DEVICE else get(wish.device).name
    return label_of(wish.data, "data"), label_of(model), placement.replace(" ", ""), wish.mode, device


def say_other_length(path: Path, epochs: int, train_images: int) -> None:
    """Print for which trainings the rates of a file were found, if for shorter or longer ones.

    Args:
        path: The file.
        epochs: Passes through the images of the training to come.
        train_images: How many images it has.
    """
    for other in sorted({(one.epochs, one.train_images) for one in TunedRates.read(path).rates}):
        if other != (epochs, train_images):
            print(
                f"{path} was found for {other[0]} epochs of {other[1]:,} images, not {epochs} of {train_images:,}: "
                "shorter trainings want larger rates."
            )


def _quoted(value: Any) -> str:
    """Write a value as TOML: texts as JSON does, numbers with all their digits."""
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _wrong(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"`tuned` must be a file that `xbar tune` has written, but {path} is not: {reason}. Search anew."
    )
