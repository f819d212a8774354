"""T equal tiles in one tensor: weights, scales, ranges, noise, programmed and drifted states."""

import threading
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import final

from devices import generator
from devices.units import Dimensionless

from ..aihwkit.adapter import InferenceRPUConfig
from ..cost.events import LayerEvents
from ..learning import UnitCells
from ..reading.first_look import check_finite
from ..reading.gradient import NO_GAINS, Gains, Gradient
from ..reading.input_range import ScaledInput, first_input_range, keep_positive_, range_from_data
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.precision import exact_products
from ..reading.reader import Reader
from ..reading.recomputation import Passes, version_of
from ..wires.parameters import WireParameters
from ..wires.tiles import TileWires
from .adjustable_tile import AdjustableTile
from .aihwkit_citizen import OnUpdate
from .chip_reading import ChipReading
from .compensation import Compensation, compensation_of
from .configuration import Backend, check_config, is_in_situ
from .lasting import lasting
from .memory import Memory, Pass, follows_cpp
from .pulsed import PulsedDevices
from .trained import TrainedWeights
from .weights.mapping import check_kernels, map_weights

_SETTLING = threading.RLock()

__all__ = ["Backend", "OnUpdate", "TileArray", "check_config"]


@final
class TileArray(AdjustableTile):
    """T equal tiles whose states lie in one tensor and which compute in one batched call.

    A kernel is what training learns, a tile is a physical array that is meant to hold one; several tiles can be
    meant to hold the same kernel (`kernel_of_tile`). Weights are kept in units of the largest conductance, and
    digital scales after the ADC turn them into the network's weights:

        y = input_range * scale * analog_mvm(w, x / input_range)

    Weights are kept in one of two memories. Hardware-aware training (aihwkit's inference configurations): `weight` is
    a parameter; clipping and remapping happen before the next use of what an optimizer, any optimizer, has changed;
    after `program`, evaluation uses what the devices hold. In-situ training (`SingleRPUConfig`, `UnitCellRPUConfig`,
    `DigitalRankUpdateRPUConfig`): every tile has pulsed devices of its own, in `in_situ.cells`, and `weight` is what
    can be seen of them; aihwkit's optimizers hand the batch to `update`, which sends pulses.

    Changing the weights (training, `set_kernels`) forgets the programmed devices.

    Args:
        tiles: Number of physical tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        kernel_of_tile: (tiles,) index of the kernel each tile is meant to hold; tile t holds kernel t if None.
        populated: (kernels or tiles, out, in) which devices exist; all if None. Absent ones have weight zero always.
        sync_every: Updates in place between two synchronisations of copies; 0 broadcasts each (see `PulsedDevices`).
        backend: "batched" (this emulator) or "aihwkit" (T real aihwkit tiles, slow, the reference).
        wires: Word and bit lines with resistance; ideal ones if None. See `use_wires`.
        gradient: "aihwkit" or "exact"; see `use_gradient`.
        seed: Seed of fabrication and noise; drawn from torch's global generator if None.

    Attributes:
        weight: (kernels, out, in) trained weights, in units of the largest conductance; with in-situ training
            (tiles, out, in), a copy of what the devices show.
        mapping_scales: (kernels, out) digital scales.
        out_scaling_alpha: (kernels, out) or (kernels, 1) learned scales, or None.
        input_range: (tiles,) or None.
        noise: Stream of the noise of training and reading.
        in_situ: The devices that are trained in place, or None.
        on_update: Called after every in-situ update, if set; see `OnUpdate`.
    """

    weight: Tensor
    mapping_scales: Tensor
    input_range: Tensor | None
    input_range_updates: Tensor

    @lasting
    def __init__(
        self,
        tiles: int,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        *,
        kernel_of_tile: Tensor | None = None,
        populated: Bool[Tensor, "holders out in"] | None = None,
        sync_every: int = 0,
        backend: Backend = "batched",
        wires: WireParameters | None = None,
        gradient: Gradient = "aihwkit",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if min(tiles, out_size, in_size) < 1:
            raise ValueError(
                f"`tiles`, `out_size` and `in_size` must be at least 1, but are {tiles}, {out_size}, {in_size}."
            )
        rpu_config = InferenceRPUConfig() if rpu_config is None else deepcopy(rpu_config)
        check_config(rpu_config, sync_every)
        self.tiles, self.out_size, self.in_size = tiles, out_size, in_size
        self.rpu_config = rpu_config
        self.kernels = kernels = tiles if kernel_of_tile is None else int(kernel_of_tile.max()) + 1

        seed = int(torch.randint(2**62, ())) if seed is None else seed
        self.noise = NoiseStream(seed, "noise")
        self.periphery = Periphery(
            rpu_config.forward, tiles, out_size, in_size, rng=generator(seed, "fabrication")
        )
        self.passes = Passes()
        self.on_update: OnUpdate | None = None
        self.events: LayerEvents | None = None
        self.in_situ: PulsedDevices | None = None
        if is_in_situ(rpu_config):
            self.in_situ = PulsedDevices(
                rpu_config, tiles, out_size, in_size, kernel_of_tile, populated, backend, seed, sync_every
            )
            self.register_buffer("weight", self.in_situ.weights(), persistent=False)
        else:
            self.trained = TrainedWeights(kernel_of_tile, populated)
            self.weight = nn.Parameter(torch.zeros(kernels, out_size, in_size))
        self.open_context()
        self.register_buffer("mapping_scales", torch.ones(kernels, out_size))
        self.out_scaling_alpha: nn.Parameter | None = None
        if rpu_config.mapping.learn_out_scaling:
            columns = out_size if rpu_config.mapping.out_scaling_columnwise else 1
            self.out_scaling_alpha = nn.Parameter(torch.ones(kernels, columns))
        input_range, is_learned = first_input_range(rpu_config.pre_post.input_range, tiles)
        if is_learned and input_range is not None:
            self.input_range = nn.Parameter(input_range)
        else:
            self.register_buffer("input_range", input_range)
        self.register_buffer("input_range_updates", None if input_range is None else torch.zeros(tiles))

        self.compensation: Compensation = compensation_of(getattr(rpu_config, "drift_compensation", None))
        self.reading: ChipReading | None = None
        # A saved state is a settled one, so that loading it changes nothing: resuming stays exact.
        self.register_state_dict_pre_hook(_settle_before_saving)
        self.register_load_state_dict_post_hook(_show)
        self.wires: TileWires | None = None
        self.use_gradient(gradient)
        self.use_backend(backend)
        self.use_wires(wires)

    @property
    def memory(self) -> Memory:  # type: ignore[override]
        """What the weights are kept in."""
        modules = self._modules  # a module's own lookup takes ten times as long
        return modules["in_situ" if "in_situ" in modules else "trained"]

    @property
    def kernel_of_tile(self) -> Tensor | None:
        """(tiles,) index of the kernel each tile is meant to hold; None if tile t holds kernel t."""
        return self.memory.kernel_of_tile

    @property
    def populated(self) -> Tensor | None:
        """(kernels, out, in) of which weights a copy has a device; None for all. See `Memory.populate`."""
        return self.memory.populated

    @populated.setter
    def populated(self, populated: Tensor | None) -> None:
        self.memory.populate(populated)

    # Weights -------------------------------------------------------------------------------------------------

    @lasting
    def set_kernels(
        self,
        weight: Float[Tensor, "kernels out in"],
        *,
        omega: Dimensionless | None = None,
        keeps_scales: bool = False,
    ) -> None:
        """Set the network's weights and map them onto the conductance range.

        Devices that are trained in place cannot leave their bounds: what lies beyond is clipped, device by device.

        Args:
            weight: Weights of every kernel.
            omega: What the largest weight is mapped to; `mapping.weight_scaling_omega` if None, 0 for no scaling.
            keeps_scales: Whether the digital scales stay as they are; the weights are in units of the largest
                conductance then.

        Raises:
            ValueError: If the shape is another one, or a value is not finite.
        """
        check_kernels(weight, (self.kernels, self.out_size, self.in_size))
        mapping = self.rpu_config.mapping
        omega = mapping.weight_scaling_omega if omega is None else omega
        weight = weight.detach().to(self.weight)
        if self.populated is not None:
            weight = weight * self.populated
        if not keeps_scales:
            weight, scales = map_weights(weight, omega, mapping.weight_scaling_columnwise)
            self.mapping_scales.copy_(scales)
        self.memory.put(self.weight, weight, noise=self.noise)
        del weight
        if self.out_scaling_alpha is not None and not keeps_scales:
            self.out_scaling_alpha.fill_(1.0)
        self.show_devices()
        self.keep_settled()

    @torch.no_grad()
    def kernels_weight(self) -> Float[Tensor, "kernels out in"]:
        """Return the weights of the network, scales included: what training has learned.

        Copies of one kernel that learned in place differ: the mean of them is returned.
        """
        return self.trained_weights() * self.scales()[..., None]

    def trained_weights(self) -> Float[Tensor, "kernels out in"]:
        """Return the trained weights in units of the largest conductance; the mean over copies that differ."""
        self.settle()
        return self.memory.trained(self.weight)

    @lasting
    def settle(self) -> None:
        """Clip and remap what an optimizer has changed since the last use; then forget what was programmed."""
        if self.input_range is not None:
            keep_positive_(self.input_range, self.rpu_config.pre_post.input_range)
        if self._is_settled():
            return
        with _SETTLING:  # one thread settles, others wait until it has
            if not self._is_settled():
                self._settle()

    def _is_settled(self) -> bool:
        return self.memory.is_settled(self.weight, self.rpu_config, has_chip=self.reading is not None)

    def _settle(self) -> None:
        scales = self.memory.settle(self.weight, self.scales(), self.rpu_config)
        if scales is not None:
            self.mapping_scales.copy_(scales)
            if self.out_scaling_alpha is not None:
                self.out_scaling_alpha.fill_(1.0)
        self.forget_changed()
        self.keep_settled()

    # Reading -------------------------------------------------------------------------------------------------

    def forward(
        self,
        x: Float[Tensor, "tiles batch in"],
        valid: Bool[Tensor, "tiles batch"] | None = None,
        locations: int = 1,
    ) -> Float[Tensor, "tiles batch out"]:
        """Send every tile its input vectors and read its outputs.

        Args:
            x: Input vectors.
            valid: Which vectors are real; the others are zero, and do not count in statistics. All if None.
            locations: How many vectors every image gives a tile, if `x` holds several; those of one location lie
                together. An in-situ update goes image by image, as aihwkit's.

        Returns:
            Output vectors, in the network's units and in the type of the inputs. Tiles compute in float32, or in
            float64 if the model was doubled.

        Raises:
            ValueError: If the shape of `x` does not fit, or a value is not finite.
        """
        if x.dim() != 3 or x.shape[0] != self.tiles or x.shape[2] != self.in_size:
            raise ValueError(
                f"`x` must have the shape (tiles, batch, in) = ({self.tiles}, any, {self.in_size}), but has "
                f"{tuple(x.shape)}."
            )
        if x.shape[1] == 0:
            return x.new_zeros(self.tiles, 0, self.out_size)
        self.get_ready()
        asked, x = x, x.to(self.weight.dtype)
        around = self.passes.around(x, self.pass_kind(), self.pass_state, self.restore_pass, check_finite(x))
        with exact_products(x), around:
            return self._forward(self.memory.driven(x), valid, locations).to(asked.dtype)

    def _forward(self, x: Tensor, valid: Tensor | None, locations: int) -> Tensor:
        voltages, limit = x, None
        if self.input_range is not None:
            settings = self.rpu_config.pre_post.input_range
            if self.training:
                range_from_data(self.input_range, self.input_range_updates, x, settings, valid, self.images)
            like_cpp = follows_cpp(self.gradient, self.rpu_config)
            images = self.images if self.training else None
            voltages = ScaledInput.apply(x, self.input_range, settings, like_cpp, images)
            limit = self.input_range.detach().abs()
        chip = None if self.training else self.reading
        read = self.weight_for_reading() if chip is None else chip.weight
        of = Pass(
            x=x,
            voltages=voltages,
            limit=limit,
            mapping_scales=self.mapping_scales,
            learned_scales=self.out_scaling_alpha,
            locations=locations,
            gradient=self.gradient,
            rpu_config=self.rpu_config,
            context=self.analog_ctx if self.memory.learns_in_place else None,
            quantised=self.quantised,
        )
        reader = self.reader().with_noise(self.noise_of_vectors(locations))
        y = self.memory.converted(self.memory.multiply(read, of, reader, is_chip=chip is not None))
        return y if chip is None or chip.factor is None else y * chip.factor

    def pass_kind(self) -> tuple[bool, int]:
        """Return what two passes with the same inputs may differ by: training or not, and the weights' version."""
        return self.training, version_of(self.weight)

    def pass_state(self) -> tuple[NoiseStream, Any, dict[str, Tensor]]:
        """Return what a pass changes: the noise stream, and means that follow the inputs."""
        moving = {
            "input_range": self.input_range,
            "input_range_updates": self.input_range_updates,
            "periphery.average_abs_max": self.periphery.average_abs_max,
        }
        if self.training and self.wires is not None:
            moving |= {"wires.passes": self.wires.passes, "wires.taken": self.wires.taken}
        kept = {name: values.detach().clone() for name, values in moving.items() if values is not None}
        return self.noise, self.noise.state(), kept

    @torch.no_grad()
    def restore_pass(self, state: tuple[NoiseStream, Any, dict[str, Tensor]]) -> None:
        """Bring that back."""
        self.noise, of_noise, kept = state
        self.noise.restore(of_noise)
        for name, values in kept.items():
            owner, _, name = name.rpartition(".")
            getattr(self.get_submodule(owner), name).copy_(values)

    def weight_for_reading(self) -> Float[Tensor, "tiles out in"]:
        """Return what a product reads: what the chip holds, or the trained weights, modified while training."""
        if not self.training and self.reading is not None:
            return self.reading.weight
        return self.memory.for_reading(
            self.weight, self.rpu_config, self.wires, self.noise, is_training=self.training
        )

    def reader(self) -> Reader:
        """Return what reads these tiles now."""
        io = self.rpu_config.forward
        return Reader(
            io=io if self.wires is None else self.wires.without_approximation(io),
            periphery=self.periphery,
            noise=self.noise,
            is_test=not self.training,
            multiplier=self.memory.multiplier,
        )

    def read(self, weight: Tensor, x: Tensor, gains: Gains = NO_GAINS, *, is_scaled: bool = False) -> Tensor:
        """Multiply in the analog domain, without scales and ranges: (tiles, batch, in) -> (tiles, batch, out)."""
        return self.reader().multiply(weight, x, gains, is_scaled=is_scaled)

    def of_tiles(self, values: Tensor) -> Tensor:
        """(kernels, ...) -> (tiles, ...)."""
        return self.memory.of_tiles(values)

    def target_weights(self) -> Float[Tensor, "tiles out in"]:
        """Return what each tile is meant to hold, in units of the largest conductance."""
        self.settle()
        return self.memory.target(self.weight)

    @property
    def cells(self) -> UnitCells | None:
        """The devices that are trained in place, or None."""
        return None if self.in_situ is None else self.in_situ.cells

    @lasting
    def show_devices(self) -> None:
        """Make what can be seen of the devices the array's weights, and forget the chip that they were."""
        _show(self)
        self.erase()

    def extra_repr(self) -> str:
        """Return the sizes."""
        shared = "" if self.kernel_of_tile is None else f", kernels={self.kernels}"
        return f"tiles={self.tiles}{shared}, out_size={self.out_size}, in_size={self.in_size}, {self.backend}"


def _settle_before_saving(array: TileArray, prefix: str, keep_vars: bool) -> None:
    array.settle()


def _show(array: TileArray, *_: Any) -> None:
    shown = array.memory.shown(array.weight)
    if shown is not array.weight:  # devices that are read as they are lie in that memory
        array.weight = shown
