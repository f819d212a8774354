"""How fast steps of hardware-aware training are through layers without locations of their own, beside aihwkit's.

`aihwkit` is the layer or network that aihwkit makes, `ours` the one that this emulator makes of the same digital one
(the LSTM: of the same sizes, each its own `AnalogRNN`): forward, backward and a step of plain SGD. Both have the
configuration of `pcm` with weight noise 0.1, as `xbar train` takes it, and the same inputs.

    conv1d    nn.Conv1d(16, 32, 5), signals of 128
    conv3d    nn.Conv3d(4, 8, 3), volumes of 10 x 10 x 10
    LSTM      64 inputs, 128 states, 20 steps
    ResNet-20 images of 3 x 32 x 32

Times are those of the processor and not of the clock: on one thread the two are the same on a machine that does
nothing else, and the first says something on one that does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from crossbar import AnalogLSTMCell, AnalogRNN, convert_to_analog
from crossbar.aihwkit.adapter import AnalogSGD, TheirLSTMCell, TheirRNN, convert_by_aihwkit
from devices import get
from devices.streams import generator
from devices.units import Dimensionless, Seconds
from models import build, initialise

from ..support.progress_bar import progress_bar
from .speed import Spread, take_turns

BATCH: Final = 32
CONTESTANTS: Final = ("aihwkit", "ours")
# A look that takes seconds.
QUICK: Final = ("conv1d", "LSTM")

_SEED: Final = 0
_WEIGHT_NOISE: Final[Dimensionless] = 0.1
_LEARNING_RATE: Final[Dimensionless] = 1e-3
_INPUTS, _STATES, _STEPS = 64, 128, 20


@final
@dataclass(frozen=True, kw_only=True)
class LayerComparison:
    """A training step, taken by both contestants in turn.

    Attributes:
        what: Name of the layer or network.
        rounds: Rounds that medians are over; see `take_turns` for long steps.
        seconds: Times of "aihwkit" and "ours", of the processor.
        aihwkit_over_ours: How many times faster we are: the ratio within a round.
    """

    what: str
    rounds: int
    seconds: dict[str, Spread]
    aihwkit_over_ours: Spread

    @classmethod
    def of(cls, what: str, rounds: list[dict[str, Seconds]]) -> "LayerComparison":
        """Summarise rounds; each holds a time for both."""
        return cls(
            what=what,
            rounds=len(rounds),
            seconds={name: Spread.of([times[name] for times in rounds]) for name in CONTESTANTS},
            aihwkit_over_ours=Spread.of([times["aihwkit"] / times["ours"] for times in rounds]),
        )


def _config() -> Any:
    return get("pcm").rpu_config(weight_noise=_WEIGHT_NOISE)


def _both(digital: nn.Module) -> tuple[nn.Module, nn.Module]:
    initialise(digital, _SEED)
    return convert_by_aihwkit(digital, _config()), convert_to_analog(digital, _config())


def _convolution(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Make both; aihwkit's computes signals and volumes on one tile only, and if it is told to use indices."""
    digital = nn.Sequential(layer)
    initialise(digital, _SEED)
    config = _config()
    config.mapping.max_input_size = config.mapping.max_output_size = 0
    theirs = convert_by_aihwkit(digital, config)
    theirs[0].use_indexed = True
    return theirs, convert_to_analog(digital, config)


def _recurrent() -> tuple[nn.Module, nn.Module]:
    sizes = _INPUTS, _STATES, True, _config()
    return TheirRNN(TheirLSTMCell, *sizes), AnalogRNN(AnalogLSTMCell, *sizes)


_MODELS: Final[dict[str, tuple[Callable[[], tuple[nn.Module, nn.Module]], tuple[int, ...]]]] = {
    "conv1d": (lambda: _convolution(nn.Conv1d(16, 32, 5)), (BATCH, 16, 128)),
    "conv3d": (lambda: _convolution(nn.Conv3d(4, 8, 3)), (BATCH, 4, 10, 10, 10)),
    "LSTM": (_recurrent, (_STEPS, BATCH, _INPUTS)),
    "ResNet-20": (lambda: _both(build("resnet20_cifar10")), (BATCH, 3, 32, 32)),
}


class Stepper:
    """A layer or network that takes training steps on one batch.

    Args:
        model: On analog tiles.
        x: The batch.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        self.model, self.x = model.train(), x
        self.optimizer = AnalogSGD(model.parameters(), lr=_LEARNING_RATE)
        self.optimizer.regroup_param_groups(model)

    def step(self) -> None:
        """Take a step that lowers the mean square of the outputs."""
        self.optimizer.zero_grad()
        y = self.model(self.x)
        y = y[0] if isinstance(y, tuple) else y
        y.square().mean().backward()
        self.optimizer.step()


def measure_other_layers(repeats: int, what: Sequence[str] = tuple(_MODELS)) -> list[LayerComparison]:
    """Let both take turns, for each layer.

    Args:
        repeats: Rounds that count, after the warm-up.
        what: Layers and networks, by name.
    """
    comparisons = []
    with progress_bar(total=len(what), desc="layers", unit="layer", leave=False) as progress:
        for name in what:
            progress.set_postfix_str(name)
            make, shape = _MODELS[name]
            x = torch.rand(shape, generator=generator(_SEED, "bench", "layers", name))
            theirs, ours = (Stepper(model, x) for model in make())
            work = {"aihwkit": theirs.step, "ours": ours.step}
            comparisons.append(LayerComparison.of(name, take_turns(work, repeats, clock=process_time)))
            progress.update()
    return comparisons
