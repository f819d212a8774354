"""How fast a local layer learns and reads: a loop over aihwkit's tiles, our tile arrays, no hardware at all.

Three contestants map the same images to the same output maps, on the same threads:

- `aihwkit_loop`: what a user of aihwkit writes: patches, a Python loop over real aihwkit tiles, a bias. The
  patches are ours, cut out in one call and laid out as aihwkit's tiles want them; given for free, they would
  spare the loop a piece of work that the other two do.
- `ours`: `AnalogLocallyConnected2d`, whole.
- `digital`: `LocallyConnected2d`, the same layer without hardware.

A training step is forward, backward, and a step of plain SGD; or of Adam, as in `xbar train`, which costs a digital
layer about as much as all the rest. aihwkit's inference tiles keep their weights as torch parameters
(`shared_weights`, and the torch tile's `weight`), so torch's optimizers reach them; its own `AnalogSGD` and
`AnalogAdam` do that same step, and then ask each tile to clip and remap, which the loop does here as well. Ours
clips and remaps at the next forward, so within the next step measured. As in the network, the first layer's input
needs no gradient and that of every other layer does.

Two settings of aihwkit's configurations are changed, for both analog contestants: no kernel is cut into
several physical tiles (one tile per location on both sides), and input ranges follow the data in the warm-up
only, so that what is measured is the bulk of a training and not its first hundred steps.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any, Final, final

import numba
import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from crossbar import AnalogLocallyConnected2d, LocallyConnected2d
from crossbar.aihwkit.adapter import InferenceRPUConfig, StandardHWATrainingPreset, TorchInferenceRPUConfig
from crossbar.placement.patches import assemble, extract_patches
from crossbar.reference.backend import LoopOfTiles
from devices.streams import generator
from devices.units import Seconds
from models import build, initialise

from ..support.progress_bar import progress_bar

CONFIGURATIONS: Final[dict[str, Callable[[], Any]]] = {
    "StandardHWATrainingPreset": StandardHWATrainingPreset,
    "InferenceRPUConfig": InferenceRPUConfig,
    "TorchInferenceRPUConfig": TorchInferenceRPUConfig,
}
CONTESTANTS: Final = ("aihwkit_loop", "ours", "digital")
WORKS: Final = ("training_step", "training_step_adam", "training_forward", "evaluation_forward")
TOGETHER: Final = "together"

_WARM_UP_ROUNDS: Final = 1
# After the pause, one piece of work does not count: in a training, too, caches are warm and threads awake.
_PIECES_PER_TURN: Final = 2
# aihwkit brings an OpenMP of its own beside torch's, and the threads of each spin for a while after they have
# worked: without a pause they would slow down whoever comes next. assumed: libgomp gives up within 10 ms.
_PAUSE: Final[Seconds] = 0.010
# What takes so long needs neither warm caches nor many rounds to be known well.
LONG: Final[Seconds] = 2.0
ROUNDS_OF_LONG_WORK: Final = 3
_SEED: Final = 0
# Small enough that the weights hardly move: every round does the same work on numbers of the same size.
_LEARNING_RATE: Final = 1e-4


@final
@dataclass(frozen=True, kw_only=True)
class Spread:
    """A median and the quartiles around it.

    Attributes:
        median: Half of the values lie below.
        quartiles: A quarter of the values lies below the first, and above the second.
    """

    median: float
    quartiles: tuple[float, float]

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Summarise at least one value."""
        lower, upper = np.quantile(values, [0.25, 0.75])
        return cls(median=median(values), quartiles=(float(lower), float(upper)))


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One piece of work, done by every contestant in turn.

    Attributes:
        configuration: Name of aihwkit's configuration of the two analog contestants.
        batch_size: Images in a batch.
        layers: Name of the layer, or "together" for all layers, one after another with ReLU between.
        tiles: Tiles and their size, for people.
        work: "training_step" (plain SGD), "training_step_adam", "training_forward" (recording for the backward
            pass) or "evaluation_forward".
        seconds: Times of each contestant.
        loop_over_ours: How many times faster than the loop we are: the ratio within a round.
        ours_over_digital: How many times slower than the digital layer we are: the ratio within a round.
    """

    configuration: str
    batch_size: int
    layers: str
    tiles: str
    work: str
    seconds: dict[str, Spread]
    loop_over_ours: Spread
    ours_over_digital: Spread

    @classmethod
    def of(cls, rounds: list[dict[str, Seconds]], **names: Any) -> "Comparison":
        """Summarise rounds; each holds a time for every contestant.

        The ratios are formed within a round, whose times lie milliseconds apart: what else the machine does
        cancels as far as it can.
        """
        return cls(
            **names,
            seconds={name: Spread.of([times[name] for times in rounds]) for name in CONTESTANTS},
            loop_over_ours=Spread.of([times["aihwkit_loop"] / times["ours"] for times in rounds]),
            ours_over_digital=Spread.of([times["ours"] / times["digital"] for times in rounds]),
        )


class LoopLayer(nn.Module):
    """A locally connected layer as a user of aihwkit writes it, with the weights of a digital one.

    Args:
        digital: The layer to put onto tiles, one per location.
        rpu_config: aihwkit configuration of every tile.
    """

    def __init__(self, digital: LocallyConnected2d, rpu_config: Any) -> None:
        super().__init__()
        self.geometry = digital.geometry
        kernels = digital.weight.detach().flatten(2)  # (tiles, out, in)
        tiles, out_size, in_size = kernels.shape
        self.loop = LoopOfTiles(tiles, out_size, in_size, rpu_config)
        self.loop.set_weights(kernels)
        bias = torch.zeros(tiles, out_size) if digital.bias is None else digital.bias.detach().clone()
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to the output map."""
        patches = extract_patches(x, self.geometry).contiguous()
        return assemble(self.loop(patches) + self.bias[:, None, :], self.geometry)


class Contestant:
    """One way to compute layers, with the optimizers that train them.

    Args:
        layers: The layers, in order; ReLU stands between them.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        chain = [module for layer in layers for module in (layer, nn.ReLU())]
        self.model = nn.Sequential(*chain[:-1])
        self.loops = [module for module in self.model.modules() if isinstance(module, LoopOfTiles)]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "training_step": torch.optim.SGD(self.model.parameters(), lr=_LEARNING_RATE),
            "training_step_adam": torch.optim.Adam(self.model.parameters(), lr=_LEARNING_RATE),
        }

    def do(self, work: str, x: Tensor, gradient: Tensor) -> None:
        """Do one piece of work on a batch; `gradient` is the loss's gradient of the output."""
        if work in self.optimizers:
            optimizer = self.optimizers[work]
            optimizer.zero_grad()
            x.grad = None
            self.model(x).backward(gradient)
            optimizer.step()
            for loop in self.loops:
                loop.after_step()
        elif work == "training_forward":
            self.model(x)
        else:
            with torch.no_grad():
                self.model(x)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Compute with a number of threads, everywhere: aihwkit's C++ has an OpenMP of its own beside torch's."""
    before, numba_before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
        numba.set_num_threads(numba_before)


def clock_name() -> str:
    """Return what tells the time: "cpu" on one thread, which leaves out what others do meanwhile, or else "wall"."""
    return "cpu" if torch.get_num_threads() == 1 else "wall"


def take_turns(
    pieces: Mapping[str, Callable[[], None]],
    repeats: int,
    clock: Callable[[], Seconds] | None = None,
    times_a_turn: int = _PIECES_PER_TURN,
) -> list[dict[str, Seconds]]:
    """Let everyone do a piece of work in turn, round after round, and time it.

    Args:
        pieces: The work of each contestant.
        repeats: Rounds that count, after the warm-up; three at most if somebody's work takes over two seconds.
        clock: What tells the time; if None, see `clock_name`.
        times_a_turn: How often the work is done in a turn, unless it takes over two seconds.

    Returns:
        The times of each round.
    """
    clock = clock or (process_time if clock_name() == "cpu" else perf_counter)
    rounds: list[dict[str, Seconds]] = []
    while len(rounds) < _WARM_UP_ROUNDS + repeats:
        times = {}
        for name, work in pieces.items():
            sleep(_PAUSE)
            for _ in range(times_a_turn):
                start = clock()
                work()
                times[name] = clock() - start  # the last one counts
                if times[name] > LONG:
                    break
        rounds.append(times)
        # The warm-up does not tell: numba may have compiled in it.
        if len(rounds) > _WARM_UP_ROUNDS and max(times.values()) > LONG:
            repeats = min(repeats, ROUNDS_OF_LONG_WORK)
    return rounds[_WARM_UP_ROUNDS:]


def local_layers(network: str) -> dict[str, LocallyConnected2d]:
    """Return the local layers of a network by name, with weights that a seed determines."""
    model = build(network)
    initialise(model, _SEED)
    return {name: layer for name, layer in model.named_children() if isinstance(layer, LocallyConnected2d)}


def measure_speed(network: str, batch_sizes: tuple[int, ...], repeats: int) -> list[Comparison]:
    """Let the contestants work in turns, each layer alone and all together, for every configuration.

    Args:
        network: Name of a network without weight sharing (see `models.NETWORKS`).
        batch_sizes: Batches to measure.
        repeats: Rounds that count, after the warm-up.
    """
    comparisons = []
    selections = len(local_layers(network)) + 1
    pieces = len(CONFIGURATIONS) * len(batch_sizes) * selections * len(WORKS)
    with progress_bar(total=pieces, desc="speed", unit="piece", leave=False) as progress:
        for configuration, make_config in CONFIGURATIONS.items():
            digital = local_layers(network)
            contestants = _contestants(digital, _for_the_bench(make_config()))
            for batch_size in batch_sizes:
                for layers, chosen in _selections(digital):
                    x, gradient = _data(
                        chosen, batch_size, needs_gradient=layers not in (next(iter(digital)), TOGETHER)
                    )
                    for work in WORKS:
                        progress.set_postfix_str(f"{configuration}, batch {batch_size}, {layers}, {work}")
                        for contestant in contestants[layers].values():
                            contestant.model.train(work != "evaluation_forward")
                        tasks = {
                            name: partial(contestant.do, work, x, gradient)
                            for name, contestant in contestants[layers].items()
                        }
                        rounds = take_turns(tasks, repeats)
                        comparison = Comparison.of(
                            rounds,
                            configuration=configuration,
                            batch_size=batch_size,
                            layers=layers,
                            tiles=" + ".join(map(_tiles, chosen)),
                            work=work,
                        )
                        comparisons.append(comparison)
                        progress.update()
    return comparisons


def _for_the_bench(rpu_config: Any) -> Any:
    rpu_config.mapping.max_input_size = rpu_config.mapping.max_output_size = 0
    rpu_config.pre_post.input_range.init_from_data = _WARM_UP_ROUNDS * _PIECES_PER_TURN
    return rpu_config


def _contestants(digital: dict[str, LocallyConnected2d], rpu_config: Any) -> dict[str, dict[str, Contestant]]:
    """Return the contestants for each layer alone, and for all together, which share the layers."""
    layers: dict[str, dict[str, nn.Module]] = {
        "aihwkit_loop": {name: LoopLayer(layer, rpu_config) for name, layer in digital.items()},
        "ours": {
            name: AnalogLocallyConnected2d.from_digital(layer, rpu_config) for name, layer in digital.items()
        },
        "digital": dict(digital),
    }
    alone = {layer: {name: Contestant([own[layer]]) for name, own in layers.items()} for layer in digital}
    return alone | {TOGETHER: {name: Contestant(list(own.values())) for name, own in layers.items()}}


def _selections(digital: dict[str, LocallyConnected2d]) -> Iterator[tuple[str, list[LocallyConnected2d]]]:
    for name, layer in digital.items():
        yield name, [layer]
    yield TOGETHER, list(digital.values())


def _data(
    chosen: list[LocallyConnected2d], batch_size: int, *, needs_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Draw images in [0, 1], half of the pixels dark, and the gradient that a mean over the batch gives."""
    rng = generator(_SEED, "bench")
    first, last = chosen[0].geometry, chosen[-1].geometry
    x = (
        torch.rand(batch_size, first.in_channels, *first.input_size, generator=rng)
        .mul_(2)
        .sub_(1)
        .clamp_(min=0)
    )
    gradient = torch.randn(batch_size, last.out_channels, *last.output_size, generator=rng) / batch_size
    return x.requires_grad_(needs_gradient), gradient


def _tiles(layer: LocallyConnected2d) -> str:
    geometry = layer.geometry
    return f"{geometry.locations} of {geometry.out_channels}x{geometry.patch_size}"
