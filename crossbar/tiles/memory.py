"""What the weights of a tile array are kept in: the interface of both ways to train it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from devices import Faults, ProgrammedTiles
from devices.programming import Circuit
from devices.units import Dimensionless

from ..aihwkit.adapter import AnalogContext, BaseNoiseModel, TorchInferenceRPUConfig
from ..learning.synchronisation import SyncCounts
from ..placement.mean_of_copies import mean_of_copies
from ..reading.gradient import Gradient
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.quantised_outputs import QuantisedOutputs
from ..reading.reader import Multiplier, Reader
from ..wires.tiles import TileWires
from .configuration import Backend
from .own_drift import OwnDrift

Devices = ProgrammedTiles | OwnDrift


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One batch on its way through the tiles.

    Attributes:
        x: (tiles, batch, in) the inputs as they came.
        voltages: Likewise, divided by the input range where there is one.
        limit: (tiles,) the input range, or None.
        mapping_scales: (kernels, out) digital scales.
        learned_scales: (kernels, out) or (kernels, 1), or None.
        locations: How many vectors every image gives a tile.
        gradient: The rule for the gradient.
        rpu_config: aihwkit's configuration.
        context: Where aihwkit's optimizers look for inputs and gradients of tiles that are trained in place, or None.
        quantised: What is quantised digitally, or None.
    """

    x: Tensor
    voltages: Tensor
    limit: Tensor | None
    mapping_scales: Tensor
    learned_scales: Tensor | None
    locations: int
    gradient: Gradient
    rpu_config: Any
    context: AnalogContext | None
    quantised: QuantisedOutputs | None = None

    @property
    def follows_cpp(self) -> bool:
        """Whether the gradient is that of aihwkit's C++ tiles."""
        return follows_cpp(self.gradient, self.rpu_config)


def follows_cpp(gradient: Gradient, rpu_config: Any) -> bool:
    """Tell whether a rule for the gradient means that of aihwkit's C++ tiles, and not that of its torch tiles."""
    return gradient == "aihwkit" and not isinstance(rpu_config, TorchInferenceRPUConfig)


class Memory(nn.Module, ABC):
    """What the weights of T tiles are kept in while they are trained, and what a chip is made of.

    The array's `weight` is what can be seen of it, in units of the largest conductance. It is passed to all methods
    that need it: an optimizer may hold the tensor, and whoever moves a module may replace it.

    Args:
        kernel_of_tile: (tiles,) kernel that each tile is meant to hold; tile t holds kernel t if None.
        populated: Which devices exist; all if None. See `populate`.

    Attributes:
        populated: (kernels, out, in) of which weights at least one copy has a device; None for all.
        population: (tiles, out, in) which devices exist; None for all.
        word_lines: (tiles, 1, in) which word lines have a device, or None if all have.
        bit_lines: (tiles, 1, out) likewise for bit lines.
        copies_differ: Whether copies of a kernel may lack different devices.
        name: The name under which it is a part of the array, and so part of the names in saved states.
        learns_in_place: Whether aihwkit's optimizers send the batch to the devices, and torch's cannot.
    """

    name: ClassVar[str]
    learns_in_place: ClassVar[bool] = False
    kernel_of_tile: Tensor | None
    populated: Tensor | None
    population: Tensor | None
    word_lines: Tensor | None
    bit_lines: Tensor | None

    def __init__(
        self, kernel_of_tile: Tensor | None, populated: Bool[Tensor, "holders out in"] | None
    ) -> None:
        super().__init__()
        self.register_buffer("kernel_of_tile", kernel_of_tile, persistent=False)
        for name in ("populated", "population", "word_lines", "bit_lines"):
            self.register_buffer(name, None, persistent=False)
        self.populate(populated)

    def populate(self, populated: Bool[Tensor, "holders out in"] | None) -> None:
        """Say which devices exist. A line without devices is not driven and not read.

        Args:
            populated: (kernels, out, in), the same for all copies of a kernel; or (tiles, out, in), each its own.
        """
        self.populated = self.population = populated
        self.word_lines = self.bit_lines = None
        self.copies_differ = False
        if populated is None:
            return
        index = self.kernel_of_tile
        if index is not None:
            kernels = int(index.max()) + 1
            if len(populated) == kernels:
                self.population = populated[index]
            else:
                copies = populated.new_zeros(kernels, *populated.shape[1:], dtype=torch.int64)
                self.populated = copies.index_add_(0, index, populated.long()) > 0
                self.copies_differ = True
        assert self.population is not None
        word_lines, bit_lines = self.population.any(dim=1)[:, None], self.population.any(dim=2)[:, None]
        self.word_lines = None if word_lines.all() else word_lines
        self.bit_lines = None if bit_lines.all() else bit_lines

    def driven(self, x: Float[Tensor, "tiles batch in"]) -> Float[Tensor, "tiles batch in"]:
        """Return the inputs of word lines that have devices, and zero for the others."""
        return x if self.word_lines is None else x * self.word_lines

    def converted(self, y: Float[Tensor, "tiles batch out"]) -> Float[Tensor, "tiles batch out"]:
        """Return the outputs of bit lines that have devices, and zero for the others, which nothing reads."""
        return y if self.bit_lines is None else y * self.bit_lines

    def of_tiles(self, values: Tensor) -> Tensor:
        """(kernels, ...) -> (tiles, ...)."""
        return values if self.kernel_of_tile is None else values[self.kernel_of_tile]

    def of_kernels(self, weight: Float[Tensor, "tiles out in"]) -> Float[Tensor, "kernels out in"]:
        """Return the mean over the copies of every kernel."""
        if self.kernel_of_tile is None:
            return weight
        kernels = int(self.kernel_of_tile.max()) + 1
        return mean_of_copies(weight, self.kernel_of_tile, kernels, self.population)

    @property
    def multiplier(self) -> Multiplier | None:
        """Who multiplies by any weights in place of this emulator, or None."""
        return None

    # Weights -------------------------------------------------------------------------------------------------

    @abstractmethod
    def shown(self, weight: Tensor) -> Tensor:
        """Return what is to be the array's weight: what can be seen now.

        Args:
            weight: What it is.
        """

    @abstractmethod
    def put(self, weight: Tensor, mapped: Float[Tensor, "kernels out in"], *, noise: NoiseStream) -> None:
        """Set the weights of all kernels.

        Args:
            weight: The array's.
            mapped: What to set, in units of the largest conductance.
            noise: Draws what setting devices leaves to chance.
        """

    @abstractmethod
    def trained(self, weight: Tensor) -> Float[Tensor, "kernels out in"]:
        """Return the trained weights of every kernel; the mean over copies that differ."""

    @abstractmethod
    def target(self, weight: Tensor) -> Float[Tensor, "tiles out in"]:
        """Return what each tile is meant to hold."""

    @abstractmethod
    def is_settled(self, weight: Tensor, rpu_config: Any, *, has_chip: bool) -> bool:
        """Tell whether nobody has changed the weights since they were settled last, or nobody cares.

        Args:
            weight: The array's.
            rpu_config: aihwkit's configuration.
            has_chip: Whether a chip was programmed with the weights.
        """

    @abstractmethod
    def settle(
        self, weight: Tensor, scales: Float[Tensor, "kernels out"], rpu_config: Any
    ) -> Float[Tensor, "kernels out"] | None:
        """Bring the weights within what the configuration allows; return new digital scales, or None.

        Args:
            weight: The array's; changed in place.
            scales: Digital scales of every bit line.
            rpu_config: aihwkit's configuration.
        """

    @abstractmethod
    def keep_settled(self, weight: Tensor, rpu_config: Any, chip: Devices | None) -> None:
        """Remember the weights as they are, so that every later change of them is noticed.

        Args:
            weight: The array's.
            rpu_config: aihwkit's configuration.
            chip: Devices that were programmed with them, or None.
        """

    def forget_settled(self) -> None:
        """Remember nothing for the moment, because a chip takes the memory; `keep_settled` follows."""

    # Products ------------------------------------------------------------------------------------------------

    @abstractmethod
    def for_reading(
        self,
        weight: Tensor,
        rpu_config: Any,
        wires: TileWires | None,
        noise: NoiseStream,
        *,
        is_training: bool,
    ) -> Float[Tensor, "tiles out in"]:
        """Return what a product reads where there is no chip.

        Args:
            weight: The array's.
            rpu_config: aihwkit's configuration.
            wires: Wires with resistance, or None.
            noise: Draws the noise of a weight modifier.
            is_training: Whether the pass is one of training.
        """

    @abstractmethod
    def multiply(
        self, read: Float[Tensor, "tiles out in"], of: Pass, reader: Reader, *, is_chip: bool
    ) -> Float[Tensor, "tiles batch out"]:
        """Multiply and scale, with the gradients of this way of training.

        Args:
            read: What is read.
            of: The batch.
            reader: Reads.
            is_chip: Whether a programmed chip is read.
        """

    @abstractmethod
    def use_backend(
        self, backend: Backend, rpu_config: Any, periphery: Periphery, sizes: tuple[int, int, int]
    ) -> tuple[Backend, bool]:
        """Compute with this emulator or with real aihwkit tiles.

        Args:
            backend: Which of both.
            rpu_config: aihwkit's configuration.
            periphery: What is frozen in the forward periphery.
            sizes: Tiles, outputs, inputs.

        Returns:
            What computes then, and whether the devices are other objects now.

        Raises:
            ValueError: If real aihwkit tiles are asked for whose copies would have to be synchronised.
        """

    @abstractmethod
    def share_periphery(self, periphery: Periphery) -> None:
        """Give real aihwkit tiles what is frozen in the periphery, after they were made anew in a copy."""

    # Learning ------------------------------------------------------------------------------------------------

    @abstractmethod
    def update(self, x: Tensor, d: Tensor, learning_rate: Dimensionless, *, noise: NoiseStream) -> None:
        """Learn from one mini-batch in place.

        Args:
            x: (vectors, tiles, in) in the units of the DAC.
            d: (vectors, tiles, out), in units in which a plain update is -learning_rate * d * x.
            learning_rate: The step's.
            noise: Draws trains and cycle-to-cycle noise.

        Raises:
            RuntimeError: If the weights are not trained in place.
        """

    @abstractmethod
    def per_tile(self, values: Float[Tensor, "vectors tiles n"]) -> Float[Tensor, "tiles received n"]:
        """Return what every tile receives in an update."""

    @abstractmethod
    def end_batch(self, *, noise: NoiseStream) -> tuple[bool, SyncCounts | None]:
        """End a mini-batch.

        Args:
            noise: Draws decay, diffusion and synchronisation.

        Returns:
            Whether devices may have moved, and what a synchronisation took, if there was one.
        """

    # Chips ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def write(
        self,
        weight: Tensor,
        noise_model: BaseNoiseModel | None,
        rpu_config: Any,
        *,
        seed: int,
        faults: Faults | None,
        circuit: Circuit | None,
    ) -> tuple[Devices, int]:
        """Write the weights into devices, or take those as they are that were trained in place.

        Args:
            weight: The array's.
            noise_model: The device model; that of the configuration, or of the devices themselves, if None.
            rpu_config: aihwkit's configuration.
            seed: Names the chip.
            faults: How many devices fail.
            circuit: What lies between the devices and the periphery.

        Returns:
            The devices, and how many cells were written.

        Raises:
            ValueError: If devices that were trained in place have no law of drift, or are to fail only now.
        """

    def written(
        self,
        state: dict[str, Tensor],
        noise_model: BaseNoiseModel | None,
        rpu_config: Any,
        circuit: Circuit | None,
    ) -> Devices:
        """Bring back the devices of a chip.

        Args:
            state: What they returned as their state.
            noise_model: The device model; that of the configuration if None.
            rpu_config: aihwkit's configuration.
            circuit: What lies between the devices and the periphery.

        Raises:
            ValueError: If a tensor is missing, or there is no device model.
        """
        noise_model = getattr(rpu_config, "noise_model", None) if noise_model is None else noise_model
        if noise_model is None:
            raise ValueError(
                "`noise_model` must be given for a chip that was trained in place and ages by the law of a device "
                "model, but is None. Pass the one that `program_chip` was given."
            )
        return ProgrammedTiles.from_state(noise_model, state, circuit=circuit)


def existing(population: Tensor | None, shape: torch.Size) -> int:
    """Return how many cells there are."""
    return shape.numel() if population is None else int(population.sum())
