"""How fast whole networks learn in place, for every learning rule, from batches of one vector on; and small tiles.

`aihwkit_loop` is the network that aihwkit's own `convert_to_analog` makes, one tile for each layer; `ours` is the one
that this emulator makes of the same weights. Each takes whole training steps with aihwkit's `AnalogSGD`: forward,
loss, backward, update. The networks are LeNet with 16 and 32 channels, and three dense layers of 784-256-128-10. They
learn from images that are drawn (`structured_images`).

Small tiles, of 20 x 20, learn from one vector at a time: the update alone, 1, 30 and 300 of them, real tiles in a
loop and ours in one call.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from crossbar import convert_to_analog
from crossbar.aihwkit.adapter import AnalogSGD, convert_by_aihwkit
from crossbar.learning import make_cells
from crossbar.reading.noise import NoiseStream
from crossbar.reference.backend import ReferenceCells
from devices.streams import generator
from devices.units import Dimensionless, Seconds
from models.lenet import dense

from ..data.datasets import Images
from ..support.progress_bar import progress_bar
from .speed import Spread, take_turns
from .step import structured_images
from .update import RULES, Learner

IN_PLACE_CONTESTANTS: Final = ("aihwkit_loop", "ours")
BATCHES: Final = (1, 8, 10, 64)
TILES: Final = (1, 30, 300)
TILE_SIZE: Final = 20
EPOCH: Final = 60_000
EPOCH_BATCH, EPOCH_NETWORK = 10, "784-256-128-10"
# A look that takes seconds.
QUICK_RULES: Final = ("ConstantStep", "AGAD ReRamSB")

_SEED: Final = 0
_IMAGE: Final = (1, 28, 28)
_IMAGES: Final = 640
_LEARNING_RATE: Final[Dimensionless] = 0.05
_X_STD, _D_STD = 0.3, 0.05  # as in `update`


def _lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 128),
        nn.Tanh(),
        nn.Linear(128, 10),
    )


IN_PLACE_NETWORKS: Final[dict[str, Callable[[], nn.Module]]] = {"LeNet": _lenet, EPOCH_NETWORK: dense}


@final
@dataclass(frozen=True, kw_only=True)
class InPlaceComparison:
    """A step of a network, or the update of some tiles, done by both contestants in turn.

    Attributes:
        what: Name of the network, or number and size of the tiles.
        rule: Name of the device or the learning rule, of `update.RULES`.
        batch_size: Images of a step.
        rounds: Rounds that medians are over; see `take_turns` for long steps.
        seconds: Times of "aihwkit_loop" and "ours".
        loop_over_ours: How many times faster we are: the ratio within a round.
    """

    what: str
    rule: str
    batch_size: int
    rounds: int
    seconds: dict[str, Spread]
    loop_over_ours: Spread

    @classmethod
    def of(cls, rounds: list[dict[str, Seconds]], **names: Any) -> "InPlaceComparison":
        """Summarise rounds; each holds a time for both."""
        return cls(
            **names,
            rounds=len(rounds),
            seconds={name: Spread.of([times[name] for times in rounds]) for name in IN_PLACE_CONTESTANTS},
            loop_over_ours=Spread.of([times["aihwkit_loop"] / times["ours"] for times in rounds]),
        )


class NetworkLearner:
    """A network that learns in place.

    Args:
        model: The network, on analog tiles.
        images: What it learns from.
        batch_size: Images of a step.
    """

    def __init__(self, model: nn.Module, images: Images, batch_size: int) -> None:
        self.model, self.images, self.batch_size = model.train(), images, batch_size
        self.optimizer = AnalogSGD(model.parameters(), lr=_LEARNING_RATE)
        self.optimizer.regroup_param_groups(model)
        self.seen = 0

    def step(self) -> None:
        """Take the next step, from the beginning again after the last image."""
        first = self.seen % (len(self.images.labels) - self.batch_size + 1)
        part = slice(first, first + self.batch_size)
        self.seen += self.batch_size
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.images.pixels[part]), self.images.labels[part])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def measure_in_place(
    repeats: int,
    *,
    rules: Sequence[str] = tuple(RULES),
    networks: Sequence[str] = tuple(IN_PLACE_NETWORKS),
    batches: Sequence[int] = BATCHES,
    tiles: Sequence[int] = TILES,
) -> list[InPlaceComparison]:
    """Let both take turns, for every network, batch and rule, and for small tiles.

    Args:
        repeats: Rounds that count, after the warm-up.
        rules: Names of the rules, of `update.RULES`.
        networks: Names of the networks, of `IN_PLACE_NETWORKS`.
        batches: Images of a step.
        tiles: Numbers of small tiles.
    """
    total = len(rules) * (len(networks) * len(batches) + len(tiles))
    comparisons = []
    with progress_bar(total=total, desc="in place", unit="piece", leave=False) as progress:
        for what, rule, batch_size, pieces in _pieces(rules, networks, batches, tiles):
            progress.set_postfix_str(f"{what}, {rule}, batch {batch_size}")
            rounds = take_turns(pieces, repeats)
            comparisons.append(InPlaceComparison.of(rounds, what=what, rule=rule, batch_size=batch_size))
            progress.update()
    return comparisons


def _pieces(
    rules: Sequence[str], networks: Sequence[str], batches: Sequence[int], tiles: Sequence[int]
) -> Iterator[tuple[str, str, int, dict[str, Callable[[], None]]]]:
    images = structured_images(_IMAGE, _IMAGES)
    for network in networks:
        for rule in rules:
            for batch_size in batches:
                learners = network_learners(network, RULES[rule](), images, batch_size)
                yield network, rule, batch_size, {name: one.step for name, one in learners.items()}
    for number in tiles:
        what = f"{number} tile{'s' * (number > 1)} of {TILE_SIZE} x {TILE_SIZE}"
        for rule in rules:
            tile_learners = small_learners(number, RULES[rule]())
            yield what, rule, 1, {name: one.update for name, one in tile_learners.items()}


def network_learners(
    network: str, rpu_config: Any, images: Images, batch_size: int
) -> dict[str, NetworkLearner]:
    """Put the same weights onto aihwkit's tiles and onto ours.

    Args:
        network: Name of the network.
        rpu_config: aihwkit's training configuration.
        images: What they learn from.
        batch_size: Images of a step.
    """
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        digital = IN_PLACE_NETWORKS[network]()
    models = convert_by_aihwkit(digital, rpu_config), convert_to_analog(digital, rpu_config)
    return {
        name: NetworkLearner(model, images, batch_size)
        for name, model in zip(IN_PLACE_CONTESTANTS, models, strict=True)
    }


def small_learners(tiles: int, rpu_config: Any) -> dict[str, Learner]:
    """Make small tiles of both kinds, with all weights at zero, and a vector that they learn from.

    Args:
        tiles: How many.
        rpu_config: aihwkit's training configuration.
    """
    rng = generator(_SEED, "bench", "small tiles")
    size = tiles, TILE_SIZE, TILE_SIZE
    x = _X_STD * torch.randn(tiles, 1, TILE_SIZE, generator=rng)
    d = _D_STD * torch.randn(tiles, 1, TILE_SIZE, generator=rng)
    loop, ours = ReferenceCells(rpu_config, *size, seed=_SEED), make_cells(rpu_config, *size, seed=_SEED)
    loop.set_weights(torch.zeros(size), noise=NoiseStream(_SEED, "bench", "first weights"))
    return {
        name: Learner([cells], [x], [d], "auto")
        for name, cells in zip(IN_PLACE_CONTESTANTS, (loop, ours), strict=True)
    }
