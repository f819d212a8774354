"""Devices that do not work: single ones that are stuck, and broken lines. Which ones is drawn at fabrication.

A device fails by itself: it is stuck at its lowest conductance (never formed, or open), at its highest (a short), or
somewhere between. A line fails with all devices on it: an open word line brings them no voltage, an open bit line
collects no current, so that all of them read zero. The devices of a unit cell stand at one crosspoint: they share its
word line, but each has a bit line of its own, as the two of a differential pair do (assumed; layouts differ).

How often that happens is the user's to say. Gong et al., IEDM 2022, found 13.5 % and 9.8 % of corrupt devices in two
ReRAM arrays (as aihwkit's presets `ReRamArrayOM` and `ReRamArrayHfO2` report them).
"""

from dataclasses import dataclass, fields
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .streams import Name, generator
from .units import Dimensionless

NO_FAULTS = "none"


@final
@dataclass(frozen=True, kw_only=True)
class Faults:
    """How many of the devices of a chip fail, and how.

    Attributes:
        stuck_low: Part of the single devices that is stuck at the lowest conductance.
        stuck_high: Part that is stuck at the highest.
        stuck_random: Part that is stuck anywhere between both, all places equally likely.
        dead_rows: Part of the word lines that is broken.
        dead_columns: Part of the bit lines that is broken.

    Raises:
        ValueError: If a part lies outside [0, 1], or more devices are to be stuck than there are.
    """

    stuck_low: Dimensionless = 0.0
    stuck_high: Dimensionless = 0.0
    stuck_random: Dimensionless = 0.0
    dead_rows: Dimensionless = 0.0
    dead_columns: Dimensionless = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise ValueError(
                    f"`{field.name}` must lie in [0, 1], but is {value}. Give the part that fails, 0.01 for 1 %."
                )
        if self.stuck > 1:
            raise ValueError(
                f"`stuck_low`, `stuck_high` and `stuck_random` must add up to 1 at most, but to {self.stuck:g}. "
                "A device is stuck in one way only."
            )

    @classmethod
    def parse(cls, text: str) -> "Faults":
        """Read faults from one line of text; "none" stands for a chip without any.

        Args:
            text: For example "stuck_low=0.01,stuck_high=0.001,dead_rows=0.002".

        Raises:
            ValueError: If a name or a number is wrong.

        Example:
            >>> str(Faults.parse("dead_rows=2e-3, stuck_low=0.01"))
            'stuck_low=0.01,dead_rows=0.002'
        """
        names = [field.name for field in fields(cls)]
        parts: dict[str, Dimensionless] = {}
        for word in text.split(",") if text.strip() != NO_FAULTS else ():
            name, _, value = (piece.strip() for piece in word.partition("="))
            if name not in names or name in parts:
                raise ValueError(
                    f"`faults` must name each of {', '.join(names)} once at most, but has {word.strip()!r} in "
                    f"{text!r}. Write 'stuck_low=0.01,dead_rows=0.002', or '{NO_FAULTS}'."
                )
            try:
                parts[name] = float(value)
            except ValueError:
                raise ValueError(
                    f"`faults` must give a number for {name}, but has {value!r}. Write '{name}=0.01' for 1 %."
                ) from None
        return cls(**parts)

    def __str__(self) -> str:
        """Write the faults as `parse` reads them, those that do not occur left out."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return ",".join(f"{name}={part:.12g}" for name, part in parts.items() if part) or NO_FAULTS

    @property
    def stuck(self) -> Dimensionless:
        """Part of the single devices that is stuck, in whichever way."""
        return self.stuck_low + self.stuck_high + self.stuck_random

    @property
    def yield_(self) -> Dimensionless:
        """Part of the devices that is expected to work; lines and devices fail independently."""
        return (1 - self.stuck) * (1 - self.dead_rows) * (1 - self.dead_columns)

    def draw(self, shape: tuple[int, ...], *, seed: int, position: Name = 0) -> "FaultMap":
        """Draw which devices fail, once, when a chip is made.

        What fails at some part fails at every larger one too, of stuck devices as long as their kinds stay in
        proportion: a chip with twice the faults is the same chip, only worse.

        Args:
            shape: Tiles, bit lines, word lines.
            seed: The chip's seed; the same seed gives the same faults, whatever is programmed.
            position: Which device of the unit cells. Broken word lines are common to all of them.

        Returns:
            The faults of every device.
        """
        tiles, bit_lines, word_lines = shape

        def uniform(*names: Name, size: tuple[int, ...]) -> Tensor:
            # Float64: a part of 1e-9 must not be rounded to a multiple of 2**-24.
            return torch.rand(size, generator=generator(seed, "faults", *names), dtype=torch.float64)

        dead_rows = uniform("word lines", size=(tiles, 1, word_lines)) < self.dead_rows
        dead_columns = uniform("bit lines", position, size=(tiles, bit_lines, 1)) < self.dead_columns
        is_stuck = uniform("stuck", position, size=shape) < self.stuck
        kind = uniform("kind", position, size=shape) * self.stuck
        level = uniform("level", position, size=shape)
        level = torch.where(kind < self.stuck_low + self.stuck_high, 1.0, level)
        level = torch.where(kind < self.stuck_low, 0.0, level)
        return FaultMap(is_stuck, level.to(torch.float32), dead_rows | dead_columns)


@final
@dataclass(frozen=True)
class FaultMap:
    """Which devices of a chip fail, and how.

    Attributes:
        is_stuck: Which devices are stuck by themselves.
        level: Where they would be stuck: 0 at the lowest conductance, 1 at the highest.
        is_dead: Which devices are on a broken line; that a device is stuck as well does not show there.
    """

    is_stuck: Bool[Tensor, "tiles bit_lines word_lines"]
    level: Float[Tensor, "tiles bit_lines word_lines"]
    is_dead: Bool[Tensor, "tiles bit_lines word_lines"]

    @property
    def is_faulty(self) -> Bool[Tensor, "tiles bit_lines word_lines"]:
        """Which devices do not work."""
        return self.is_stuck | self.is_dead

    @property
    def yield_(self) -> Dimensionless:
        """Part of the devices that works."""
        return 1 - float(self.is_faulty.double().mean())

    def values(
        self, low: Tensor | Dimensionless, high: Tensor | Dimensionless
    ) -> Float[Tensor, "tiles bit_lines word_lines"]:
        """Return what each faulty device reads for ever; NaN where a device works.

        Args:
            low: What a device at its lowest conductance reads, in any unit in which nothing reads zero.
            high: Likewise at its highest.
        """
        stuck = torch.where(self.is_stuck, low + self.level * (high - low), torch.nan)
        return torch.where(self.is_dead, 0.0, stuck)
