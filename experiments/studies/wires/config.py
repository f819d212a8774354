"""What `xbar wires` can be asked for."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar, final

import tyro

from ...support.options.open_options import OPEN_INT

Number = TypeVar("Number", int, float)


@final
@dataclass(frozen=True, kw_only=True)
class WiresConfig:
    """What the resistance of word and bit lines does to a trained network: exactly, and by aihwkit's approximation.

    Programs the network onto chips whose arrays have wires of several resistances, cut to several sizes, and measures
    the accuracy and the error of each layer's outputs. Each is computed exactly (the array with its wires is a
    network of resistors) and by aihwkit's `ir_drop`, set to the same resistance of the bit lines. Where the arrays
    are small enough, the local layers are also unrolled into one dense array each, as large as image times map.
    Draws the voltage that reaches each device.

    Writes wires.json, .csv, .md and .png into the run's folder. Repeat the command to go on after a stop. The time
    grows with the third power of the size of the arrays: about a minute for each resistance with the digits, of which
    the unrolled layers take most; some minutes with MNIST.

    Examples:
      xbar wires runs/fcn_digits-hwa-pcm-0123456789ab
      xbar wires runs/fcn_digits-hwa-pcm-0123456789ab --ohms 1,2,5 --tile-sizes 32 --chips 10
    """

    run: Annotated[str, tyro.conf.Positional]
    """The run folder, or its name in the folder of runs."""
    ohms: str = "1,3,10,30"
    """Resistances of a wire segment between neighbouring devices, the same for word and bit lines, in ohm."""
    tile_sizes: str = "64,512"
    """Word lines and bit lines of the largest array; larger kernels are split, with digital sums."""
    chips: int = 2
    """Chips to program for each resistance; their spread is reported."""
    test_images: Annotated[int | None, OPEN_INT] = None
    """Test on this many images only. (default: those of the run, 1000 at most)"""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads to compute with."""
    force: bool = False
    """Compute everything anew."""
    trust: bool = False
    """Execute the run's copy of a file of your own although it has been changed since the training."""

    def __post_init__(self) -> None:
        """Refuse what cannot be computed.

        Raises:
            ValueError: If a number lies outside its range, or a list holds something else.
        """
        for name in ("chips", "test_images", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, but is {value}. Give a larger number.")
        self.resistances()
        self.sizes()

    def resistances(self) -> tuple[float, ...]:
        """Return the resistances, in ohm, in ascending order."""
        return tuple(sorted(_numbers("ohms", self.ohms, float, "positive numbers, as in 0.3,1,3")))

    def sizes(self) -> tuple[int, ...]:
        """Return the sizes of arrays, in ascending order."""
        return tuple(sorted(_numbers("tile_sizes", self.tile_sizes, int, "whole numbers, as in 64,512")))


def _numbers(name: str, text: str, kind: Callable[[str], Number], rule: str) -> set[Number]:
    values: set[Number]
    try:
        values = {kind(word) for word in text.split(",")}
    except ValueError:
        values = set()
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"`{name}` must hold {rule}, but is {text!r}. Separate them by commas.")
    return values
