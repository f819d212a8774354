"""What `xbar scaling` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from ..options import to_json


@final
@dataclass(frozen=True, kw_only=True)
class ScalingConfig:
    """What does a training step cost, with and without sharing, as images grow and machines become more?

    A convolution of 7 x 7 kernels with stride 2 on images of three channels, the first layer of a network for
    ImageNet, learns in situ: on one tile, on a copy for every location, or with a kernel of its own for each. Time
    and energy of the hardware, and bytes between machines, are computed from closed forms, which tests compare
    with counted ledgers and with torch's profiler; the emulation is measured for the smaller images. Writes
    scaling.md, .csv, .json, .html and a figure.

    Examples:
      xbar scaling
      xbar scaling --sides 28,56 --kernels 64 --batches 8 --machines 1,2,4
    """

    sides: str = "28,56,112,224"
    """Sides of the images."""
    kernels: str = "16,64,256"
    """Outputs of a location."""
    batches: str = "8,64"
    """Images of a step."""
    machines: str = "1,2,4,16,64"
    """Machines that share the training; where they share images, as many as there are images at most."""
    profile: str = "hermes-pcm"
    """Hardware profile, shipped or a file: its [interconnect] prices what machines send each other."""
    emulated: int = 56
    """Largest side whose step is emulated, and timed on one thread; 0 for none."""
    out: Path = Path("runs/scaling")
    """Folder for table, figure, page and numbers."""

    def __post_init__(self) -> None:
        """Refuse lists of something else than positive numbers.

        Raises:
            ValueError: If there is one.
        """
        for name in ("sides", "kernels", "batches", "machines"):
            self.numbers(name)
        if self.emulated < 0:
            raise ValueError(f"`emulated` must be 0 or more, but is {self.emulated}. Give 0 for none.")

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return a list, in ascending order.

        Raises:
            ValueError: If it holds something else.
        """
        words = str(getattr(self, name)).split(",")
        if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
            raise ValueError(
                f"`{name}` must hold positive whole numbers, as in 28,56, but is {getattr(self, name)!r}. Separate "
                "them by commas."
            )
        return tuple(sorted({int(word) for word in words}))

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
