"""Cells of one device: the pulses of the gradient go to it directly."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from devices.pulsed import DeviceArray, Engine, WriteCounts, WriteVerify, pulsed_update, write_verify
from devices.pulsed.engines.lines import can_write_lines
from devices.units import Dimensionless

from ..aihwkit.adapter import PulseType, UpdateParameters
from ..reading.noise import NoiseStream
from .unit_cells import UnitCells


@final
class SingleCells(UnitCells):
    """One device at every crosspoint.

    With the pulse type NONE the weights are numbers in a memory rather than devices: nothing bounds them. They are
    written and read back exactly, without pulses, and so are those of NONE_WITH_DEVICE, within the bounds.

    Args:
        array: The devices.
        update: aihwkit's settings of the pulses.
    """

    def __init__(self, array: DeviceArray, update: UpdateParameters) -> None:
        super().__init__(*array.shape)
        self.array = array
        self.update_parameters = update
        self.decays = array.device.requires_decay()
        self.diffuses = array.device.requires_diffusion()

    @property
    @override
    def granularity(self) -> Dimensionless:
        return self.array.step_size

    @property
    @override
    def nominal_range(self) -> tuple[Dimensionless, Dimensionless]:
        if self.update_parameters.pulse_type == PulseType.NONE:
            return super().nominal_range
        return self.array.device.w_min, self.array.device.w_max

    @property
    @override
    def needs_every_vector(self) -> bool:
        return False

    @override
    def written_by_line(self) -> tuple[DeviceArray, UpdateParameters] | None:
        can = can_write_lines(self.update_parameters)
        return (self.array, self.update_parameters) if can else None

    @property
    @override
    def draws_by_tile(self) -> bool:
        return True

    @property
    @override
    def is_written_as_one(self) -> bool:
        return True

    @property
    @override
    def readback_lines(self) -> int:
        return 0 if self._is_digital() else super().readback_lines

    @override
    def weights(self) -> Float[Tensor, "tiles out in"]:
        return self.array.weight

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        if self.update_parameters.pulse_type == PulseType.NONE:
            self.array.weight.copy_(weight)
        else:
            self.array.set_weights(weight, rng=noise.generator("cpu"))

    @override
    def update(
        self,
        x: Float[Tensor, "trains batch in"],
        d: Float[Tensor, "trains batch out"],
        learning_rate: Dimensionless,
        *,
        noise: NoiseStream,
        engine: Engine = "auto",
        tile_of_train: Int[Tensor, " tiles"] | None = None,
    ) -> None:
        if learning_rate == 0 or x.shape[1] == 0:
            return
        rng = noise.generator("cpu")
        pulsed_update(
            self.array,
            x,
            d,
            learning_rate,
            self.update_parameters,
            rng=rng,
            engine=engine,
            tile_of_train=tile_of_train,
        )

    @override
    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        if self._is_digital():
            self.set_weights(target, noise=noise)
            return WriteCounts()
        return write_verify(self.array, target, settings, rng=noise.generator("cpu"))

    @override
    def read_back(self, settings: WriteVerify, *, noise: NoiseStream) -> Float[Tensor, "tiles out in"]:
        return self.weights().clone() if self._is_digital() else super().read_back(settings, noise=noise)

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        return {"main": self.array}

    @override
    def slow(self) -> DeviceArray:
        return self.array

    def _is_digital(self) -> bool:
        return self.update_parameters.pulse_type in (PulseType.NONE, PulseType.NONE_WITH_DEVICE)
