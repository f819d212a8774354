"""How fast devices learn in place: the pulsed update alone, a loop over aihwkit's tiles against ours.

Three contestants move the devices of all local layers of a network, one layer after another, with the same inputs and
gradients, which lie ready; what is timed is the update with the drawing of its pulse trains, and nothing else:

- `aihwkit_loop`: a Python loop over real aihwkit tiles, `tile.update` for each.
- `ours`: all tiles of a layer at once, with the engine that "auto" chooses.
- `exact`: the same, pulse by pulse.

Inputs are normal with a standard deviation of 0.3, gradients of 0.05, the learning rate is 0.1: with batches of 64
and steps of 0.001 that sends many pulses to every device, and moves the mean device by 0.011 ("dense"). For "small"
steps gradients are 100 times smaller. Where pulses follow the learning rate that is the same as a rate of 0.001.
Tiki-Taka pulses its fast devices with a rate of its own; aihwkit's preset of version 2 also scales gradients by their
running maximum, and so knows no small steps. The sign of the gradients changes from update to update, so that devices
neither rest nor stay at a bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor

from crossbar import LocallyConnected2d
from crossbar.aihwkit.adapter import BufferedTransferCompound, SingleRPUConfig, UnitCellRPUConfig
from crossbar.learning import UnitCells, make_cells
from crossbar.reading.noise import NoiseStream
from crossbar.reference.backend import ReferenceCells
from devices import get
from devices.aihwkit_adapter import ConstantStepDevice, SoftBoundsDevice, training_presets
from devices.pulsed import Engine
from devices.streams import generator
from devices.units import Dimensionless, Seconds

from ..support.progress_bar import progress_bar
from .speed import Spread, local_layers, take_turns

_SEED: Final = 0
_X_STD: Final[Dimensionless] = 0.3
_D_STD: Final[Dimensionless] = 0.05
_LEARNING_RATE: Final[Dimensionless] = 0.1

GRADIENTS: Final[dict[str, Dimensionless]] = {"dense": 1.0, "small": 0.01}
UPDATE_CONTESTANTS: Final = ("aihwkit_loop", "ours", "exact")


def _buffered_reram_sb() -> Any:
    devices = [training_presets.ReRamSBPresetDevice(subtract_symmetry_point=True) for _ in range(2)]
    return UnitCellRPUConfig(device=BufferedTransferCompound(unit_cell_devices=devices))


RULES: Final[dict[str, Callable[[], Any]]] = {
    "ConstantStep": lambda: SingleRPUConfig(device=ConstantStepDevice()),
    "SoftBounds": lambda: SingleRPUConfig(device=SoftBoundsDevice()),
    "ReRamSB": lambda: get("reram-sb").training_config(),
    "EcRam": lambda: get("ecram").training_config(),
    "Tiki-Taka v1 ReRamSB": lambda: get("tiki-taka-reram-sb").training_config(),
    "Tiki-Taka v2 ReRamSB": lambda: get("ttv2-reram-sb").training_config(),
    "Buffered transfer ReRamSB": _buffered_reram_sb,
    "Chopped TTv2 ReRamSB": lambda: get("chopped-ttv2-reram-sb").training_config(),
    "AGAD ReRamSB": lambda: get("agad-reram-sb").training_config(),
    "Mixed precision ReRamSB": lambda: get("mixed-precision-reram-sb").training_config(),
    "One-sided PCM": lambda: get("pcm").training_config(),
}


@final
@dataclass(frozen=True, kw_only=True)
class UpdateComparison:
    """The update of all local layers of a network, done by every contestant in turn.

    Attributes:
        rule: Name of the device or the learning rule, of `RULES`.
        gradients: "dense" or "small".
        batch_size: Vectors in an update.
        rounds: Rounds that medians are over; fewer than asked for if somebody's update takes over two seconds.
        seconds: Times of each contestant.
        loop_over_ours: How many times faster than the loop we are: the ratio within a round.
        loop_over_exact: The same for our exact engine.
    """

    rule: str
    gradients: str
    batch_size: int
    rounds: int
    seconds: dict[str, Spread]
    loop_over_ours: Spread
    loop_over_exact: Spread

    @classmethod
    def of(cls, rounds: list[dict[str, Seconds]], **names: Any) -> "UpdateComparison":
        """Summarise rounds; each holds a time for every contestant."""
        return cls(
            **names,
            rounds=len(rounds),
            seconds={name: Spread.of([times[name] for times in rounds]) for name in UPDATE_CONTESTANTS},
            loop_over_ours=Spread.of([times["aihwkit_loop"] / times["ours"] for times in rounds]),
            loop_over_exact=Spread.of([times["aihwkit_loop"] / times["exact"] for times in rounds]),
        )


class Learner:
    """The devices of some layers, which one contestant moves.

    Args:
        layers: Cells of each layer.
        x: (tiles, batch, in) inputs of each layer.
        d: (tiles, batch, out) gradients of each layer.
        engine: How pulses are computed; aihwkit's tiles have an engine of their own.
    """

    def __init__(
        self, layers: Sequence[UnitCells], x: Sequence[Tensor], d: Sequence[Tensor], engine: Engine
    ) -> None:
        self.layers, self.x, self.engine = layers, x, engine
        self.now, self.next = list(d), [-gradient for gradient in d]
        self.noise = NoiseStream(_SEED, "bench", "update")

    def update(self) -> None:
        """Move the devices of all layers once, next time the other way."""
        for cells, x, d in zip(self.layers, self.x, self.now, strict=True):
            cells.update(x, d, _LEARNING_RATE, noise=self.noise, engine=self.engine)
        self.now, self.next = self.next, self.now


def measure_updates(
    network: str, batch_size: int, repeats: int, rules: Sequence[str] = tuple(RULES)
) -> list[UpdateComparison]:
    """Let the contestants move the devices of a network's local layers in turn, for every rule.

    Args:
        network: Name of a network without weight sharing (see `models.NETWORKS`).
        batch_size: Vectors in an update.
        repeats: Rounds that count, after the warm-up; see `take_turns` for long updates.
        rules: Names of the rules, of `RULES`.
    """
    layers = list(local_layers(network).values())
    comparisons = []
    with progress_bar(
        total=len(rules) * len(GRADIENTS), desc="update", unit="piece", leave=False
    ) as progress:
        for rule in rules:
            for gradients, scale in GRADIENTS.items():
                progress.set_postfix_str(f"{rule}, {gradients}")
                learners = make_learners(layers, RULES[rule](), batch_size, scale)
                rounds = take_turns({name: learner.update for name, learner in learners.items()}, repeats)
                comparisons.append(
                    UpdateComparison.of(rounds, rule=rule, gradients=gradients, batch_size=batch_size)
                )
                progress.update()
    return comparisons


def make_learners(
    layers: Sequence[LocallyConnected2d], rpu_config: Any, batch_size: int, scale: Dimensionless
) -> dict[str, Learner]:
    """Make each contestant's devices, with all weights at zero, and what they will learn from.

    Args:
        layers: Digital layers, for their sizes.
        rpu_config: aihwkit's training configuration.
        batch_size: Vectors in an update.
        scale: Of the gradients, 1 for dense ones.
    """
    rng = generator(_SEED, "bench", "update")
    sizes = [(len(w), *w[0].flatten(1).shape) for w in (layer.weight.detach() for layer in layers)]
    x = [_X_STD * torch.randn(tiles, batch_size, inputs, generator=rng) for tiles, _, inputs in sizes]
    d = [
        scale * _D_STD * torch.randn(tiles, batch_size, outputs, generator=rng) for tiles, outputs, _ in sizes
    ]
    loop = [ReferenceCells(rpu_config, *size, seed=_SEED) for size in sizes]
    for cells, size in zip(loop, sizes, strict=True):
        # aihwkit's tiles begin with random weights.
        cells.set_weights(torch.zeros(size), noise=NoiseStream(_SEED, "bench", "first weights"))
    ours, exact = ([make_cells(rpu_config, *size, seed=_SEED) for size in sizes] for _ in range(2))
    return {
        "aihwkit_loop": Learner(loop, x, d, "auto"),
        "ours": Learner(ours, x, d, "auto"),
        "exact": Learner(exact, x, d, "exact"),
    }
