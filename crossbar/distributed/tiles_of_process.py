"""The tiles of an array that one process holds, with the agreements that their random numbers need."""

from dataclasses import dataclass, field

from torch import Tensor
from typing_extensions import final, override

from devices.parts import Part
from devices.units import Dimensionless

from . import communication
from .traffic import Traffic


@final
@dataclass(frozen=True)
class TilesOfProcess(Part):
    """The tiles that this process holds of an array that is spread over all processes.

    Attributes:
        starts: Number of the first tile of every process, and of all tiles at the end.
        traffic: Where agreed numbers are counted.
    """

    starts: tuple[int, ...]
    traffic: Traffic = field(default_factory=Traffic, compare=False)

    @classmethod
    def of(cls, starts: tuple[int, ...], traffic: Traffic) -> "TilesOfProcess":
        """Return the part of this process.

        Args:
            starts: Number of the first tile of every process, and of all tiles at the end.
            traffic: Where agreed numbers are counted.
        """
        own = communication.rank()
        return cls(starts[own], starts[own + 1] - starts[own], starts[-1], starts, traffic)

    @override
    def gather(self, values: Tensor, axis: int = 0) -> Tensor:
        return communication.gather(values, self.starts, axis)

    @override
    def most(self, number: Dimensionless) -> Dimensionless:
        self._note_a_number()
        return communication.most(number)

    @override
    def mean(self, of_own_tiles: Dimensionless) -> Dimensionless:
        self._note_a_number()
        return super().mean(of_own_tiles)

    @override
    def total(self, number: Dimensionless) -> Dimensionless:
        return sum(communication.everyones(number))

    def _note_a_number(self) -> None:
        received = communication.BYTES_OF_A_NUMBER * (communication.processes() - 1)
        self.traffic.note("update", received)
