"""The runs of `xbar share`, and what came out of each."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

from devices.units import Dimensionless

from ...runs.options.config import Mode
from .config import Start

Kind = Literal["one tile", "apart", "one afterwards"]


@final
@dataclass(frozen=True, order=True)
class Point:
    """One run.

    Attributes:
        mode: Where it learns.
        shift: Of the training images.
        kind: "one tile" learns with one kernel from the start, "apart" without sharing; "one afterwards" goes on from
            "apart" with the mean of its kernels on one tile.
        start: How the kernels of "apart" started; None for one tile.
        epochs: Passes through the training images, of this run alone.
        seed: The run's seed.
    """

    mode: Mode
    shift: Dimensionless
    kind: Kind
    start: Start | None
    epochs: int
    seed: int

    @property
    def name(self) -> str:
        """How a progress bar calls it."""
        start = "" if self.start is None else f", started {self.start}"
        return (
            f"{self.mode}, shifts {self.shift:g}, {self.kind}{start}, {self.epochs} epochs, seed {self.seed}"
        )


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        mode: Where it learned.
        shift: Of the training images.
        kind: See `Point`.
        start: See `Point`.
        epochs: Of this run alone.
        seed: The run's seed.
        run: The run's folder.
        command: The `xbar train` line that repeats it.
        accuracy: On test images: digital, of fresh chips, or of the devices as trained.
        made_one: Of kernels that learned apart, what they reach as their mean, in floating point and without
            learning on; None of others.
        cosine: Of kernels that learned apart, distance of neighbouring kernels of the first layer (1: at right
            angles); None of others.
        energy: Of this training on the chip, J; None where the gradient needs no chip.
        seconds: Of this training on the chip, its layers one after another, s; None likewise.
        did_learn: Whether the network learned at all; see `chance.RULE`.
    """

    mode: Mode
    shift: Dimensionless
    kind: Kind
    start: Start | None
    epochs: int
    seed: int
    run: str
    command: str
    accuracy: Dimensionless
    made_one: Dimensionless | None
    cosine: Dimensionless | None
    energy: float | None
    seconds: float | None
    did_learn: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return asdict(self)
