"""How fast a whole network learns in place: a step of `xbar train --mode in-situ`, over its first epoch.

How long a pulsed update takes depends on the gradients, which are large at first. So a network is trained with ours,
and at some steps of the first epoch all contestants take the same kind of step in turn, on the same images:

- `aihwkit_loop`: a copy of the network with the same devices, moved to real aihwkit tiles (`backend="aihwkit"`):
  forward, backward and update tile after tile.
- `ours`: the network itself, which goes on learning.
- `digital`: the same network without devices, trained with Adam as by `xbar train --mode digital`.

A step takes longer than filling the caches, so each contestant takes one a turn. The device is ReRamSB, with the
learning rate that `xbar train` takes for it, constant. Images are those that the network is made for, where the data
folder holds them, or else drawn: see `structured_images`.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from crossbar import tile_arrays
from devices.streams import generator
from devices.units import Dimensionless, Seconds
from models import NETWORKS

from ..data.datasets import CLASSES, Images, load_data
from ..runs.options.config import NO_DEVICE, Mode, TrainConfig
from ..runs.options.defaults import resolve
from ..runs.run import Run
from ..runs.run_network import make_model
from ..runs.training import Optimizer, make_optimizer
from ..support.progress_bar import progress_bar
from .speed import Spread, take_turns

STEP_DEVICE: Final = "reram-sb"
# What changes the gradients' size most happens early in the epoch, which has 844 steps for MNIST: our update took 190
# ms at step 5, 235 at 25, 199 at 60.
STEPS: Final = (1, 30)

_SEED: Final = 0
_KINDS: Final[tuple[tuple[Mode, str], ...]] = (("in-situ", STEP_DEVICE), ("digital", NO_DEVICE))
_DATA_OF_SHAPE: Final = {(1, 8, 8): "digits", (1, 28, 28): "mnist", (3, 32, 32): "cifar10"}
_DRAWN_IMAGES: Final = 6_400
# assumed: blobs of a quarter of the image, a fifth of the pixels lit, as in MNIST.
_BLOBS: Final = 4
_LIT: Final[Dimensionless] = 0.2
_NOISE: Final[Dimensionless] = 0.1


@final
@dataclass(frozen=True, kw_only=True)
class StepComparison:
    """A whole training step, taken by every contestant in turn.

    Attributes:
        step: How many steps of the epoch came before these.
        loss: Loss of our network at the last of these steps.
        rounds: Rounds that medians are over.
        seconds: Times of "aihwkit_loop", "ours" and "digital".
        loop_over_ours: How many times faster than the loop we are: the ratio within a round.
        ours_over_digital: How many times slower than the digital step we are: the ratio within a round.
    """

    step: int
    loss: Dimensionless
    rounds: int
    seconds: dict[str, Spread]
    loop_over_ours: Spread
    ours_over_digital: Spread

    @classmethod
    def of(cls, rounds: list[dict[str, Seconds]], **names: Any) -> "StepComparison":
        """Summarise rounds; each holds a time for every contestant."""
        return cls(
            **names,
            rounds=len(rounds),
            seconds={name: Spread.of([times[name] for times in rounds]) for name in rounds[0]},
            loop_over_ours=Spread.of([times["aihwkit_loop"] / times["ours"] for times in rounds]),
            ours_over_digital=Spread.of([times["ours"] / times["digital"] for times in rounds]),
        )


class Trainee:
    """A network that takes training steps on batches that follow one another.

    Args:
        model: The network.
        optimizer: What takes its steps.
        images: The training images, in the order of the epoch.
        batch_size: Images of a step.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, images: Images, batch_size: int) -> None:
        self.model, self.optimizer = model.train(), optimizer
        self.batches = list(
            zip(torch.split(images.pixels, batch_size), torch.split(images.labels, batch_size), strict=True)
        )
        self.steps = 0
        self.loss: Dimensionless = float("nan")

    def step(self) -> None:
        """Take the next step."""
        pixels, labels = self.batches[self.steps % len(self.batches)]
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(pixels), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss = loss.item()
        self.steps += 1


def measure_steps(
    network: str, batch_size: int, repeats: int, data_dir: Path, steps: Sequence[int] = STEPS
) -> tuple[str, list[StepComparison]]:
    """Train, and let the contestants take turns at some steps of the first epoch.

    Args:
        network: Name of a network (see `models.NETWORKS`).
        batch_size: Images of a step.
        repeats: Rounds that count, after the warm-up; see `take_turns` for long steps.
        data_dir: Folder of the images, in torchvision's layout.
        steps: Steps after which the turns begin, from 1, ascending.

    Returns:
        What the images are, and what was measured.
    """
    kind, images = training_images(NETWORKS[network].image_shape, data_dir)
    shape = NETWORKS[network].image_shape
    in_situ, digital = (
        resolve(TrainConfig(model=network, mode=mode, device=device, batch_size=batch_size), shape)
        for mode, device in _KINDS
    )
    ours, plain = (_trainee(make_model(run), run, images) for run in (in_situ, digital))
    comparisons = []
    with progress_bar(total=None, desc="step", unit="step", leave=False) as progress:

        def learn() -> None:
            ours.step()
            progress.update()

        progress.set_postfix_str("compiling, if that was never done: minutes")
        learn()
        for step in steps:
            progress.set_postfix_str(f"up to step {step}")
            while ours.steps < step:
                learn()
            progress.set_postfix_str(f"taking turns from step {step}")
            loop = _trainee(_on_aihwkit_tiles(ours.model), in_situ, images)
            loop.steps = plain.steps = ours.steps
            pieces: dict[str, Callable[[], None]] = {
                "aihwkit_loop": loop.step,
                "ours": learn,
                "digital": plain.step,
            }
            rounds = take_turns(pieces, repeats, times_a_turn=1)
            comparisons.append(StepComparison.of(rounds, step=step, loss=ours.loss))
    return kind, comparisons


def training_images(shape: tuple[int, int, int], data_dir: Path) -> tuple[str, Images]:
    """Return images of a shape and what they are: real ones where they are at hand, or else drawn ones.

    Args:
        shape: Channels, height and width.
        data_dir: Folder of the real ones.
    """
    name = _DATA_OF_SHAPE[shape]
    try:
        return name, load_data(name, data_dir, seed=_SEED).train
    except FileNotFoundError:
        return f"drawn, as {name} is not in {data_dir}", structured_images(shape, _DRAWN_IMAGES)


def structured_images(shape: tuple[int, int, int], number: int) -> Images:
    """Draw images that can be learned, about as bright as handwritten digits: blobs of ten classes, with noise.

    Args:
        shape: Channels, height and width.
        number: How many.
    """
    rng = generator(_SEED, "bench", "images")
    channels, height, width = shape
    coarse = torch.randn(CLASSES, channels, _BLOBS, _BLOBS, generator=rng)
    smooth = interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    threshold = smooth.flatten(1).quantile(1 - _LIT, dim=1)[:, None, None, None]
    classes = (4 * (smooth - threshold)).clamp(0, 1)
    labels = torch.randint(CLASSES, (number,), generator=rng)
    shown = classes[labels]
    noise = _NOISE * torch.randn(shown.shape, generator=rng) * (shown > 0)
    return Images((shown + noise).clamp(0, 1), labels)


def _trainee(model: nn.Module, run: Run, images: Images) -> Trainee:
    return Trainee(model, make_optimizer(model, run), images, run.batch_size)


def _on_aihwkit_tiles(model: nn.Module) -> nn.Module:
    copy = deepcopy(model)
    for _, array in tile_arrays(copy):
        array.use_backend("aihwkit")
    return copy
