"""What pulses do to devices, as numbers and curves; `pulse_measurement` measures it."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import final

from .table import Quantity


@final
@dataclass(frozen=True, kw_only=True)
class PulseResponse:
    """The answer of one kind of device to pulses. Weights are in units of the network.

    Attributes:
        pulses: (points) pulses so far, up and then down.
        turn: How many of the points belong to the way up.
        mean: (points) mean weight.
        device_std: (points) device-to-device spread of the weight, cycle-to-cycle noise averaged out.
        cycle_std: (points) spread of one device's weight over repeats, rms over the devices.
        traces: (devices, points) single ramps of a few devices.
        levels: (levels) weights at which single steps were measured.
        step_up: (levels) mean step of a pulse up at these weights.
        step_down: (levels) mean step of a pulse down, a positive number; NaN for one-way devices.
        cycle_noise: (levels) standard deviation of one step as it is read, rms over devices and directions.
        is_one_way: Whether pulses only raise the device, and a reset brings it down.
        quantities: The numbers of the table.
    """

    pulses: Int[Tensor, " points"]
    turn: int
    mean: Float[Tensor, " points"]
    device_std: Float[Tensor, " points"]
    cycle_std: Float[Tensor, " points"]
    traces: Float[Tensor, "devices points"]
    levels: Float[Tensor, " levels"]
    step_up: Float[Tensor, " levels"]
    step_down: Float[Tensor, " levels"]
    cycle_noise: Float[Tensor, " levels"]
    is_one_way: bool
    quantities: tuple[Quantity, ...]

    def rows(self) -> list[Quantity]:
        """Return the rows of the table."""
        return list(self.quantities)
