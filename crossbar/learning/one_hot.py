"""Reading and writing single lines of many tiles, and choosing lines out of their weights."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from devices.parts import any_of, drawn_for_own
from devices.pulsed import DeviceArray, pulsed_update
from devices.units import Dimensionless

from ..aihwkit.adapter import AnalogMVType, IOParameters, UpdateParameters
from ..reading.mvm import analog_mvm
from ..reading.mvm.lines import read_lines
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery


class Lines:
    """The word lines of T tiles (columns, as aihwkit calls them), or their bit lines, seen as a list.

    Args:
        are_columns: Whether the lines are word lines.
    """

    def __init__(self, are_columns: bool) -> None:
        self.are_columns = are_columns

    def take(
        self, values: Float[Tensor, "tiles out in"], lines: Int[Tensor, "#tiles reads"]
    ) -> Float[Tensor, "tiles reads other"]:
        """Return the values of the devices on some lines.

        Args:
            values: One for each device.
            lines: Which lines; the same for all tiles, or for each its own.
        """
        if self.are_columns:
            values = values.transpose(1, 2)
        if len(lines) == 1:
            return values[:, lines[0]]
        return values.gather(1, lines[..., None].expand(-1, -1, values.shape[2]))

    def put(
        self,
        values: Float[Tensor, "tiles out in"],
        lines: Int[Tensor, "#tiles reads"],
        new: Float[Tensor, "tiles reads other"],
    ) -> None:
        """Overwrite the values of the devices on some lines.

        Args:
            values: One for each device; changed in place.
            lines: Which lines, none of them twice.
            new: What is written.
        """
        if self.are_columns:
            values = values.transpose(1, 2)
        values.scatter_(1, lines[..., None].expand(*new.shape), new)

    def read(
        self,
        weight: Float[Tensor, "tiles out in"],
        lines: Int[Tensor, "#tiles reads"],
        io: IOParameters,
        periphery: Periphery,
        noise: NoiseStream,
    ) -> Float[Tensor, "tiles reads other"]:
        """Read lines through DAC and ADC, one at a time, with one-hot inputs.

        Args:
            weight: What the devices hold.
            lines: Which lines.
            io: aihwkit's settings of the periphery.
            periphery: What is frozen in it.
            noise: Draws the noise of the reads.
        """
        reads, number = lines.shape[1], weight.shape[2 if self.are_columns else 1]
        periphery.count_reads(len(weight) * reads, reads * weight.numel() // number)
        if io.is_perfect or io.mv_type == AnalogMVType.IDEAL:
            return self.take(weight, lines) * io.out_scale
        inputs = weight.shape[2] if self.are_columns else weight.shape[1]
        x = one_hot(lines, inputs).expand(len(weight), -1, -1).contiguous()
        across = weight if self.are_columns else weight.transpose(1, 2)
        seen = None
        if weight.device.type == "cpu" and x.numel() > 0:
            seen = read_lines(self.take(weight, lines), x, across, io, periphery, noise)
        return analog_mvm(across, x, io, periphery, noise) if seen is None else seen

    def write(
        self,
        devices: DeviceArray,
        lines: Int[Tensor, "#tiles reads"],
        gradients: Float[Tensor, "tiles reads other"],
        learning_rate: Dimensionless,
        update: UpdateParameters,
        *,
        rng: torch.Generator,
    ) -> None:
        """Send pulses to the devices of lines, one line after the other.

        Args:
            devices: The devices; changed in place.
            lines: Which lines.
            gradients: For each device of a line, what it is to move by, divided by -`learning_rate`.
            learning_rate: Scale of the gradients; not negative.
            update: aihwkit's settings of the pulses.
            rng: Draws trains and cycle-to-cycle noise.
        """
        if learning_rate == 0 or not any_of(gradients.any(), rng):
            return
        tiles, out_size, in_size = devices.shape
        chosen = one_hot(lines, in_size if self.are_columns else out_size).expand(tiles, -1, -1)
        x, d = (chosen, gradients) if self.are_columns else (gradients, chosen)
        pulsed_update(devices, x.contiguous(), d.contiguous(), learning_rate, update, rng=rng)


def choose_line(number: int, tiles: int, *, rng: torch.Generator) -> Int[Tensor, "tiles 1"]:
    """Choose a line for each tile, the first and the last about twice as often as each of the others.

    aihwkit's C++ means to choose evenly, but keeps the choice within its limits by two macros that draw again
    whenever they evaluate it. Kept, since its tiles are the reference.

    Args:
        number: Lines of a tile.
        tiles: Number of tiles.
        rng: Draws four numbers for each tile.
    """
    drawn = drawn_for_own(
        (4, tiles, 1), lambda shape: torch.randint(number, shape, generator=rng), rng, axis=1
    )
    at_most = [torch.where(drawn[k] < number - 1, drawn[k + 1], number - 1) for k in (0, 2)]
    return torch.where(at_most[0] > 0, at_most[1], 0)


def one_hot(lines: Int[Tensor, "#tiles reads"], size: int) -> Float[Tensor, "#tiles reads size"]:
    """Return vectors that are one on one line and zero elsewhere."""
    return torch.zeros(*lines.shape, size, device=lines.device).scatter_(2, lines[..., None], 1.0)
