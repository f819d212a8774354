"""What stands at the crosspoints of T tiles, and the rule by which it learns: the interface of all rules."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from devices.host_numbers import HostNumbers
from devices.pulsed import DeviceArray, Engine, WriteCounts, WriteVerify, decay_, diffuse_
from devices.units import Dimensionless

from ..aihwkit.adapter import UpdateParameters
from ..reading.noise import NoiseStream
from .refresh import RefreshCounts, RefreshRule


class DigitalMemory(NamedTuple):
    """Numbers that a rule keeps in digital, one for each crosspoint, which averaging copies averages too.

    Attributes:
        values: (tiles, out, in) the numbers themselves.
        signs: (tiles, out, in) -1 where the rule sees a number turned around; None if it turns none.
    """

    values: Tensor
    signs: Tensor | None = None


class UnitCells(HostNumbers, ABC):
    """Unit cells of T tiles: one or several devices at every crosspoint, and the rule by which they learn.

    The rules are those of aihwkit 1.1.0's C++ (`src/rpucuda`), for all tiles at once. Every hidden state, such as
    fast weights, buffers, choppers and counters, is a buffer of this module: `state_dict` and `deepcopy` carry the
    whole of it.

    Below the abstract methods stand the questions that others ask of a rule: who averages copies, counts events,
    shares softly or lets devices drift. Their defaults are those of a rule that only sends pulses.

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

    @property
    def nominal_range(self) -> tuple[Dimensionless, Dimensionless]:
        """Lowest and highest weight that nominal devices can show; without end if a rule names none."""
        return -torch.inf, torch.inf

    @property
    def learns_in_digital(self) -> bool:
        """Whether the gradient is a product of digital numbers, added up in a memory, and sends no trains itself."""
        return False

    @property
    def needs_every_vector(self) -> bool:
        """Whether vectors without pulses change something, such as a schedule that counts them."""
        return True

    @property
    def counts_batches(self) -> bool:
        """Whether it matters which vectors of `update` come in one mini-batch."""
        return False

    def written_by_line(self) -> tuple[DeviceArray, UpdateParameters] | None:
        """Return the devices that receive all pulses, and aihwkit's settings of these.

        None if `update` does more than send these pulses, or compiled loops cannot send those of single lines.
        """
        return None

    @property
    def draws_by_tile(self) -> bool:
        """Whether the random numbers of updates belong to tiles, so that they can be drawn for some of them.

        Not so where it depends on the devices how many numbers there are, as in write-verify loops.
        """
        return False

    @property
    def is_written_as_one(self) -> bool:
        """Whether writing copies to the mean of what they show makes their devices equal.

        If not, devices are averaged array by array, those that no MVM reads too.
        """
        return False

    def showing(self) -> list[DeviceArray]:
        """Return the devices that an MVM reads."""
        return list(self.device_arrays().values())

    def memories(self) -> list[DigitalMemory]:
        """Return the digital numbers that copies of a kernel are to have in common."""
        return []

    def signs_of(self, role: str) -> Float[Tensor, "tiles out in"] | None:
        """Return -1 where the rule sees devices turned around, as choppers do; None if it turns none.

        Args:
            role: Key of the devices in `device_arrays`.
        """
        return None

    def digital_target(self) -> Float[Tensor, "tiles out in"] | None:
        """Return what the cells are meant to show, if that is kept in digital; None if the devices alone know."""
        return None

    def pull_target(self, gradient: Float[Tensor, "tiles out in"]) -> None:
        """Let the next update move the digital target by this gradient too, as that of a penalty.

        Args:
            gradient: Of the targets.

        Raises:
            ValueError: If there is no digital target.
        """
        raise ValueError(
            f"`cells` must have a digital target to be pulled, but are {type(self).__name__}. Use write-verify."
        )

    def own_writes(self) -> tuple[int, WriteCounts]:
        """Return how often `update` has written by the write-verify loop, and what all writes have cost."""
        return 0, WriteCounts()

    def use_refresh(self, rule: RefreshRule) -> bool:
        """Choose when full pairs of one-way devices are looked for, and return whether there are such pairs.

        Args:
            rule: See `RefreshRule`.
        """
        return False

    def own_refreshes(self) -> RefreshCounts:
        """Return what refreshes between updates have cost, that is all but those in the course of a `write`."""
        return RefreshCounts()

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

    def rewrite(
        self, target: Float[Tensor, "tiles out in"], settings: WriteVerify, *, noise: NoiseStream
    ) -> WriteCounts:
        """Write what an MVM reads to a target while the rule goes on; as `write`, unless hidden devices may stay.

        Args:
            target: What an MVM should read.
            settings: Tolerance, noise of the reads, most bursts.
            noise: Draws the noise of reads and pulses.

        Returns:
            What it cost.
        """
        return self.write(target, settings, noise=noise)

    @torch.no_grad()
    def read_back(self, settings: WriteVerify, *, noise: NoiseStream) -> Float[Tensor, "tiles out in"]:
        """Read every cell once, word line by word line, with the noise of a read.

        Args:
            settings: Whose noise of a read.
            noise: Draws it.
        """
        weight = self.weights()
        return weight + settings.read_noise * noise.normal_like(weight)

    @property
    def readback_lines(self) -> int:
        """Word lines of a tile that `read_back` reads: all, or none where the weights are numbers in a memory."""
        return self.in_size

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
