"""What stands at the crosspoints of T tiles, and the rule by which it learns: the interface of all rules."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from devices.pulsed import DeviceArray, Engine, WriteCounts, WriteVerify, decay_, diffuse_
from devices.units import Dimensionless

from ..reading.noise import NoiseStream


class UnitCells(nn.Module, ABC):
    """Unit cells of T tiles: one or several devices at every crosspoint, and the rule by which they learn.

    The rules are those of aihwkit 1.1.0's C++ (`src/rpucuda`), for all tiles at once. Every hidden state, such as
    fast weights, buffers, choppers and counters, is a buffer of this module: `state_dict` and `deepcopy` carry the
    whole of it.

    Args:
        tiles: Number of tiles T.
        out_size: Bit lines of a tile.
        in_size: Word lines of a tile.

    Attributes:
        decays: Whether devices of these cells have a lifetime.
        diffuses: Whether devices of these cells diffuse.
    """

    def __init__(self, tiles: int, out_size: int, in_size: int) -> None:
        super().__init__()
        self.tiles, self.out_size, self.in_size = tiles, out_size, in_size
        self.decays = False
        self.diffuses = False

    @property
    @abstractmethod
    def granularity(self) -> Dimensionless:
        """Size of a step near zero, by which gradients are turned into pulses."""

    @abstractmethod
    def weights(self) -> Float[Tensor, "tiles out in"]:
        """Return what an MVM reads."""

    @abstractmethod
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        """Put the cells where their bounds allow, without pulses; schedules start anew, as in aihwkit.

        Args:
            weight: What an MVM should read.
            noise: Draws the write noise of devices that have it also when they are set.
        """

    @abstractmethod
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
        """Learn from one mini-batch, vector after vector; a rate of zero does nothing at all.

        Args:
            x: Inputs. A vector of zeros sends no pulses, but counts in every schedule.
            d: Gradients of the outputs: the weight moves by about -learning_rate * d * x.
            learning_rate: The optimizer's.
            noise: Draws trains, cycle-to-cycle noise, and whatever the rule leaves to chance.
            engine: How the pulses of gradients are computed; see `devices.pulsed.apply_trains`.
            tile_of_train: For each tile, whose vectors it receives, where copies receive the same trains; its own
                if None.
        """

    @abstractmethod
    def device_arrays(self) -> dict[str, DeviceArray]:
        """Return the devices by their role in the cell."""

    @abstractmethod
    def slow(self) -> DeviceArray:
        """Return the devices whose weights are, mostly, those of the network."""

    def write(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write the cells to a target by pulses and reads; see `devices.pulsed.write_verify`.

        Args:
            target: What an MVM should read.
            settings: Tolerance, noise of the reads, most bursts.
            noise: Draws the noise of reads and pulses.

        Returns:
            What it cost.

        Raises:
            ValueError: If several devices add up to the weight: a target does not say where each should stand.
        """
        raise ValueError(
            f"`cells` must be of one device, or one pair, to be written to a target, but are {type(self).__name__}. "
            "Write their `device_arrays()` one by one."
        )

    @torch.no_grad()
    def read_back(self, settings: WriteVerify, *, noise: NoiseStream) -> Float[Tensor, "tiles out in"]:
        """Read every cell once, word line by word line, with the noise of a read.

        Args:
            settings: Whose noise of a read.
            noise: Draws it.
        """
        weight = self.weights()
        return weight + settings.read_noise * noise.normal_like(weight)

    def end_batch(self, *, noise: NoiseStream) -> None:
        """Let the devices diffuse and decay once, as after every mini-batch.

        Args:
            noise: Draws diffusion and write noise.
        """
        rng = noise.generator("cpu")
        if self.diffuses:
            for array in self.device_arrays().values():
                diffuse_(array, rng=rng)
        if self.decays:
            for array in self.device_arrays().values():
                decay_(array, rng=rng)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"tiles={self.tiles}, out={self.out_size}, in={self.in_size}"


def zero_count() -> Tensor:
    """Return a counter that stands at zero."""
    return torch.zeros((), dtype=torch.int64)
