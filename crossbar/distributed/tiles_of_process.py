"""The tiles of an array that one process holds, with the agreements that their random numbers need."""

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import final, override

from devices.parts import Part

from . import communication


@final
@dataclass(frozen=True)
class TilesOfProcess(Part):
    """The tiles that this process holds of an array that is spread over all processes.

    Attributes:
        starts: Number of the first tile of every process, and of all tiles at the end.
    """

    starts: tuple[int, ...]

    @classmethod
    def of(cls, starts: tuple[int, ...]) -> "TilesOfProcess":
        """Return the part of this process.

        Args:
            starts: Number of the first tile of every process, and of all tiles at the end.
        """
        own = communication.rank()
        return cls(starts[own], starts[own + 1] - starts[own], starts[-1], starts)

    @override
    def gather(self, values: Tensor, axis: int = 0) -> Tensor:
        return communication.gather(values, self.starts, axis)

    @override
    def most(self, number: float) -> float:
        return communication.most(number)

    @override
    def total(self, number: float) -> float:
        return sum(communication.everyones(number))
