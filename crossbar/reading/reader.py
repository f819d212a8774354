"""What a product needs beside weights and inputs: converters, noise, and who computes."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from typing_extensions import final

from ..aihwkit.adapter import BoundManagementType, IOParameters, NoiseManagementType
from .gradient import NO_GAINS, Gains
from .mvm import analog_mvm
from .mvm.one_read import draws_in_turns
from .noise import NoiseStream
from .periphery import Periphery


@runtime_checkable
class Multiplier(Protocol):
    """Somebody else's tiles, which compute a product with any weights in place of this emulator."""

    def mvm(self, weight: Tensor, x: Tensor, gains: Gains, *, is_test: bool) -> Tensor:
        """Multiply (tiles, batch, in) by (tiles, out, in)."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads tiles: DAC, the analog product, ADC, with the spread that each periphery was made with.

    Attributes:
        io: aihwkit's settings of DAC, array and ADC.
        periphery: What is frozen in the periphery of these tiles.
        noise: Stream that every read draws from.
        is_test: Whether the read is one of evaluation.
        multiplier: Real aihwkit tiles that compute instead, or None.
    """

    io: IOParameters
    periphery: Periphery
    noise: NoiseStream
    is_test: bool = True
    multiplier: Multiplier | None = None

    def multiply(
        self,
        weight: Float[Tensor, "tiles out in"],
        x: Float[Tensor, "tiles batch in"],
        gains: Gains = NO_GAINS,
        *,
        is_scaled: bool = False,
        scale: Float[Tensor, "tiles out"] | None = None,
    ) -> Float[Tensor, "tiles batch out"]:
        """Multiply in the analog domain, without digital scales and ranges unless they are given.

        Args:
            weight: In units of the largest conductance.
            x: Input vectors of each tile.
            gains: Factors for the gradients.
            is_scaled: Whether `x` comes scaled into [-1, 1]; see `analog_mvm`.
            scale: Digital scales, which the outputs are multiplied by; none if None.
        """
        if self.multiplier is not None:
            y = self.multiplier.mvm(weight, x, gains, is_test=self.is_test)
            return y if scale is None else y * scale[:, None, :]
        return analog_mvm(weight, x, self.io, self.periphery, self.noise, gains, is_scaled, scale)

    @property
    def reads_tiles_alone(self) -> bool:
        """Whether some tiles can be read after the others, with the noise of all at once."""
        return (
            self.multiplier is None
            and not self.noise.is_shared
            and self.io.bound_management == BoundManagementType.NONE
            and self.io.noise_management != NoiseManagementType.AVERAGE_ABS_MAX
            and not draws_in_turns(self.io, self.periphery)
        )

    def of_tiles(self, part: slice) -> "Reader":
        """Return a reader of some tiles."""
        return replace(self, periphery=self.periphery.of_tiles(part))

    def with_noise(self, noise: NoiseStream) -> "Reader":
        """Return a reader that draws from another stream."""
        return self if noise is self.noise else replace(self, noise=noise)
