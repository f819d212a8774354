"""Cells that a digital memory stands before: it learns from the gradients, and other cells are written from it."""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from devices.pulsed import DeviceArray, WriteVerify
from devices.units import Dimensionless

from ..reading.noise import NoiseStream
from .refresh import RefreshCounts, RefreshRule
from .unit_cells import UnitCells


class WrittenCells(UnitCells):
    """Cells whose gradient is a product of digital numbers, kept in a memory from which other cells are written.

    What an MVM reads, and what time does to it, is that of the cells that are written.

    Args:
        cells: What is written.
    """

    def __init__(self, cells: UnitCells) -> None:
        super().__init__(cells.tiles, cells.out_size, cells.in_size)
        self.cells = cells
        self.decays, self.diffuses = cells.decays, cells.diffuses

    @property
    @override
    def granularity(self) -> Dimensionless:
        return self.cells.granularity

    @property
    @override
    def nominal_range(self) -> tuple[Dimensionless, Dimensionless]:
        return self.cells.nominal_range

    @property
    @override
    def learns_in_digital(self) -> bool:
        return True

    @property
    @override
    def is_written_as_one(self) -> bool:
        return self.cells.is_written_as_one

    @property
    @override
    def readback_lines(self) -> int:
        return self.cells.readback_lines

    @override
    def weights(self) -> Float[Tensor, "tiles out in"]:
        return self.cells.weights()

    @override
    def read_back(self, settings: WriteVerify, *, noise: NoiseStream) -> Float[Tensor, "tiles out in"]:
        return self.cells.read_back(settings, noise=noise)

    @override
    def end_batch(self, *, noise: NoiseStream) -> None:
        self.cells.end_batch(noise=noise)

    @override
    def use_refresh(self, rule: RefreshRule) -> bool:
        return self.cells.use_refresh(rule)

    @override
    def own_refreshes(self) -> RefreshCounts:
        return self.cells.own_refreshes()

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        return self.cells.device_arrays()

    @override
    def slow(self) -> DeviceArray:
        return self.cells.slow()
