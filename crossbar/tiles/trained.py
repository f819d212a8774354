"""Weights that digital training learns, to be written into devices afterwards."""

from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import final, override

from devices import Faults
from devices import program as program_devices
from devices.programming import Circuit
from devices.units import Dimensionless

from ..aihwkit.adapter import BaseNoiseModel
from ..reading.gradient import Gains
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.reader import Multiplier, Reader
from ..reference.backend import ReferenceTiles
from ..wires.tiles import TileWires
from .configuration import Backend
from .memory import Devices, Memory, Pass, existing
from .weights.constraints import clip_and_remap_, is_constrained
from .weights.mapping import WeightForReading
from .weights.modifiers import has_effect
from .weights.settled import Settled


@final
class TrainedWeights(Memory):
    """Weights in a digital memory, the array's parameter, one set for all copies of a kernel.

    In training they pass through the configured weight modifier, and wires take their part. Gradients are those of
    aihwkit's tiles, or exact.

    Args:
        kernel_of_tile: (tiles,) kernel that each tile is meant to hold; tile t holds kernel t if None.
        populated: (kernels, out, in) or (tiles, out, in) which devices exist; all if None.
    """

    name: ClassVar[str] = "trained"

    def __init__(
        self, kernel_of_tile: Tensor | None, populated: Bool[Tensor, "holders out in"] | None
    ) -> None:
        super().__init__(kernel_of_tile, populated)
        self.settled = Settled()
        self.reference: ReferenceTiles | None = None

    @property
    @override
    def multiplier(self) -> Multiplier | None:
        return self.reference

    @override
    def shown(self, weight: Tensor) -> Tensor:
        return weight

    @override
    def put(self, weight: Tensor, mapped: Float[Tensor, "kernels out in"], *, noise: NoiseStream) -> None:
        weight.copy_(mapped)

    @override
    def trained(self, weight: Tensor) -> Float[Tensor, "kernels out in"]:
        return weight.detach()

    @override
    def target(self, weight: Tensor) -> Float[Tensor, "tiles out in"]:
        target = self.of_tiles(weight.detach())
        return target if self.population is None else target * self.population

    @override
    def is_settled(self, weight: Tensor, rpu_config: Any, *, has_chip: bool) -> bool:
        return not (has_chip or is_constrained(rpu_config)) or self.settled.holds(weight)

    @override
    @torch.no_grad()
    def settle(
        self, weight: Tensor, scales: Float[Tensor, "kernels out"], rpu_config: Any
    ) -> Float[Tensor, "kernels out"] | None:
        """Clip and remap."""
        return clip_and_remap_(weight, scales, rpu_config.clip, rpu_config.remap, self.populated)

    @override
    def keep_settled(self, weight: Tensor, rpu_config: Any, chip: Devices | None) -> None:
        """Keep a copy, if anybody will ask: what a chip was asked to hold is one, where it has all of the weights."""
        asks = chip is not None or is_constrained(rpu_config)
        self.settled.keep(weight if asks else None, getattr(chip, "target_weights", None))

    @override
    def forget_settled(self) -> None:
        self.settled.keep(None)

    @override
    def for_reading(
        self,
        weight: Tensor,
        rpu_config: Any,
        wires: TileWires | None,
        noise: NoiseStream,
        *,
        is_training: bool,
    ) -> Float[Tensor, "tiles out in"]:
        modifier = rpu_config.modifier
        modifies = has_effect(modifier) and (is_training or modifier.enable_during_test)
        read: Tensor = WeightForReading.apply(
            weight, self.kernel_of_tile, self.population, modifier if modifies else None, noise
        )
        if wires is None:
            return read
        taken = wires.taken_in_training if is_training else wires.taken_in_evaluation
        converter = rpu_config.noise_model.g_converter
        if self.copies_differ:
            return read - taken(self.of_tiles(weight), converter, self.population)
        return read - self.of_tiles(taken(weight, converter, self.populated))

    @override
    def multiply(
        self, read: Float[Tensor, "tiles out in"], of: Pass, reader: Reader, *, is_chip: bool
    ) -> Float[Tensor, "tiles batch out"]:
        scales = of.mapping_scales if of.learned_scales is None else of.mapping_scales * of.learned_scales
        scale = self.of_tiles(scales)
        gains = self._gains(of, scales)
        if of.limit is not None:
            scale = scale * of.limit[:, None]
        if of.quantised is not None:
            scale = of.quantised.digital(scale)
        return reader.multiply(read, of.voltages, gains, is_scaled=of.limit is not None, scale=scale)

    def _gains(self, of: Pass, scales: Tensor) -> Gains:
        """Return the factors that the rule for the gradient asks for; see the table in `reading.gradient`."""
        undone = of.mapping_scales if of.gradient == "aihwkit" else scales.detach()
        factor = self.of_tiles(undone).square().reciprocal()
        if of.limit is None:
            return Gains(factor, like_aihwkit=of.follows_cpp)
        if of.follows_cpp:
            factor = factor / of.limit[:, None]
        return Gains(factor, of.limit.reciprocal(), of.follows_cpp)

    @override
    def use_backend(
        self, backend: Backend, rpu_config: Any, periphery: Periphery, sizes: tuple[int, int, int]
    ) -> tuple[Backend, bool]:
        self.reference = ReferenceTiles(*sizes, rpu_config, periphery) if backend == "aihwkit" else None
        return backend, False

    @override
    def share_periphery(self, periphery: Periphery) -> None:
        """Do nothing: tiles that multiply by any weights are made with the periphery."""

    @override
    def update(self, x: Tensor, d: Tensor, learning_rate: Dimensionless, *, noise: NoiseStream) -> None:
        raise RuntimeError("`update` needs pulsed devices, but the configuration trains digital weights")

    @override
    def per_tile(self, values: Float[Tensor, "vectors tiles n"]) -> Float[Tensor, "tiles received n"]:
        return values.transpose(0, 1)

    @override
    def end_batch(self, *, noise: NoiseStream) -> tuple[bool, None]:
        """Change nothing: what an optimizer has changed is settled before the next use."""
        return False, None

    @override
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
        noise_model = rpu_config.noise_model if noise_model is None else noise_model
        if noise_model is None:
            raise ValueError(
                f"`noise_model` must be given for {type(rpu_config).__name__}, which names no devices, but is None. "
                "Pass one, for example aihwkit's PCMLikeNoiseModel()."
            )
        target = self.target(weight)
        devices = program_devices(
            noise_model, target, seed=seed, populated=self.population, faults=faults, circuit=circuit
        )
        return devices, existing(self.population, target.shape)
