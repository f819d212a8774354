"""How far copies of one kernel drift apart that all receive the same pulses: on our devices and on aihwkit's tiles.

Vectors of ones and minus ones, as often up as down, send one pulse each to every device; deterministic trains, so
that all copies get the same. What makes copies differ is the devices alone. Pairs are not refreshed: what a refresh
writes is no pulse of the gradient.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from crossbar.aihwkit.adapter import PulseType
from crossbar.learning import UnitCells, make_cells
from crossbar.reading.noise import NoiseStream
from crossbar.reference.backend import ReferenceCells, copy_devices
from devices import get
from devices.pulsed import DeviceArray
from devices.pulsed.divergence import variance_of_copies
from devices.streams import generator
from devices.units import Dimensionless

MARKS: Final = (1, 3, 10, 30, 100, 300, 1000, 3000)
"""Numbers of pulses after which copies are compared."""
_ONE, _PAIR = {"main"}, {"plus", "minus"}  # roles of devices
_KERNEL: Final = (16, 9)  # of the first layer of the digits' network


class CopiesUnderPulses:
    """Copies of one kernel on devices of a kind.

    Args:
        device: Name or file of a device that learns by plain pulses.
        copies: How many.
        seed: Of devices, pulses and noise.

    Raises:
        ValueError: If gradients reach the devices in another way than as pulses, or it is not known how pulses move
            them.
    """

    def __init__(self, device: str, copies: int = 16, seed: int = 0) -> None:
        self.config = get(device).training_config()
        self.config.update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
        self.config.update.update_management = self.config.update.update_bl_management = False
        self.config.update.desired_bl = 1
        if hasattr(self.config.device, "refresh_every"):
            self.config.device.refresh_every = 0
        self.copies, self.seed = copies, seed
        self.cells = make_cells(self.config, copies, *_KERNEL, seed=seed)
        roles = set(self.cells.device_arrays())
        if self.cells.learns_in_digital or roles not in (_ONE, _PAIR):
            raise ValueError(
                f"`device` must learn by plain pulses on one device or a pair that goes up, but is {device!r}. Take "
                "one without a learning rule of its own, such as 'ecram'."
            )
        self.is_pair = roles == _PAIR

    def expected(self, pulses: Sequence[int] = MARKS) -> list[Dimensionless]:
        """Return the same from the spread of devices alone, without a pulse; see `devices.pulsed.divergence`."""
        arrays = self.cells.device_arrays().values()
        variances = [variance_of_copies(array, pulses, is_pair=self.is_pair) for array in arrays]
        return [sum(parts) ** 0.5 for parts in zip(*variances, strict=True)]

    def measured(self, pulses: Sequence[int] = MARKS, *, on_aihwkit: bool = False) -> list[Dimensionless]:
        """Send the pulses; return the standard deviation over the copies, rms over the devices of a kernel.

        Args:
            pulses: After how many, in rising order.
            on_aihwkit: Whether on aihwkit's own tiles, one for each copy, with these very devices.
        """
        cells: UnitCells | ReferenceCells = make_cells(self.config, self.copies, *_KERNEL, seed=self.seed)
        if on_aihwkit:
            copied = ReferenceCells(self.config, self.copies, *_KERNEL, seed=self.seed)
            copy_devices(cells, copied)
            cells = copied
        else:
            zeros = torch.zeros(self.copies, *_KERNEL)
            cells.set_weights(zeros, noise=NoiseStream(self.seed, "set"))
        noise, found, done = NoiseStream(self.seed, "pulses"), [], 0
        x, d = (
            _signs(pulses[-1], size, self.seed, name) for size, name in zip(_KERNEL[::-1], "xd", strict=True)
        )
        for mark in pulses:
            cells.update(
                x[None, done:mark],
                d[None, done:mark],
                self.cells.granularity,
                noise=noise,
                tile_of_train=torch.zeros(self.copies, dtype=torch.long),
            )
            found.append(float(cells.weights().var(dim=0).mean().sqrt()))
            done = mark
        return found


def single_devices(device: str) -> DeviceArray | None:
    """Return a sample of the devices that hold the weights; None where pairs that only go up hold them."""
    cells = make_cells(get(device).training_config(), 16, *_KERNEL, seed=0)
    return None if set(cells.device_arrays()) == _PAIR else cells.slow()


def _signs(vectors: int, size: int, seed: int, name: str) -> Tensor:
    rng = generator(seed, "copies under pulses", name)
    return torch.randint(0, 2, (vectors, size), generator=rng).float() * 2 - 1
