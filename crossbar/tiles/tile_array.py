"""T equal tiles in one tensor: weights, scales, ranges, noise, programmed and drifted states."""

import threading
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from devices import Faults, derive_seed, generator
from devices.units import Dimensionless, Seconds

from ..aihwkit.adapter import BaseNoiseModel, InferenceRPUConfig, TorchInferenceRPUConfig, WeightRemapType
from ..cost.events import LayerEvents
from ..learning import UnitCells
from ..learning.synchronisation import count_synchronisation
from ..placement.mean_of_copies import mean_of_copies
from ..reading.gradient import NO_GAINS, Gains, Gradient, check_gradient
from ..reading.input_range import ScaledInput, first_input_range, keep_positive_, range_from_data
from ..reading.mvm import analog_mvm
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.precision import check_finite, exact_products, keeping_precision
from ..reading.recomputation import Passes, version_of
from ..reference.backend import ReferenceTiles
from ..wires.parameters import WireParameters
from ..wires.tiles import TileWires
from .aihwkit_citizen import AihwkitTile
from .chip_reading import ChipReading, Devices, write_chip
from .compensation import Compensation, check_compensation, compensation_of
from .configuration import Backend, check_backend, check_config, check_replacement, check_wires, is_in_situ
from .lasting import lasting
from .pulsed import InSitu
from .pulsed_product import InSituProduct
from .settled import Settled
from .weight_constraints import clip_weights_, is_constrained, remap_weights_
from .weight_mapping import check_kernels, map_weights, weight_for_reading

__all__ = ["Backend", "OnUpdate", "TileArray", "check_config"]

OnUpdate = Callable[[Tensor, Tensor, Dimensionless, Tensor, Tensor], None]
"""Called with x (tiles, vectors, in), d (tiles, vectors, out), the learning rate, and `weight` before and after."""


_SETTLING = threading.RLock()


class TileArray(AihwkitTile):
    """T equal tiles whose states lie in one tensor and which compute in one batched call.

    A kernel is what training learns, a tile is a physical array that is meant to hold one; several tiles can be
    meant to hold the same kernel (`kernel_of_tile`). Weights are kept in units of the largest conductance, and
    digital scales after the ADC turn them into the network's weights:

        y = input_range * scale * analog_mvm(w, x / input_range)

    Hardware-aware training (aihwkit's inference configurations): `weight` is a parameter. In training, it passes
    through the configured weight modifier; after `program`, evaluation uses what the devices hold. Gradients are
    those of aihwkit's tiles, or exact (`use_gradient`; `reading.gradient` has a table of both). Clipping and
    remapping happen before the next use of weights that an optimizer, any optimizer, has changed.

    In-situ training (`SingleRPUConfig`, `UnitCellRPUConfig`, `DigitalRankUpdateRPUConfig`): every tile has pulsed
    devices of its own, in `in_situ.cells`, and `weight` is what can be seen of them. Forward and backward compute
    through both peripheries; aihwkit's optimizers (AnalogSGD, AnalogAdam) hand the batch to `update`, which sends
    pulses. `program` writes nothing then: the devices are where training left them.

    Changing the weights (training, `set_kernels`) forgets the programmed devices.

    Args:
        tiles: Number of physical tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        kernel_of_tile: (tiles,) index of the kernel each tile is meant to hold; tile t holds kernel t if None.
        populated: (kernels, out, in) which devices exist; all if None. An absent device has weight zero always.
        sync_every: Updates in place between two synchronisations of copies; 0 broadcasts each (see `InSitu`).
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
        events: Where `record_events` counts, or None.
        reading: What evaluation reads instead of the trained weights, or None.
    """

    weight: Tensor
    kernel_of_tile: Tensor | None
    populated: Tensor | None
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
        populated: Bool[Tensor, "kernels out in"] | None = None,
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
        self.register_buffer("kernel_of_tile", kernel_of_tile, persistent=False)
        self.register_buffer("populated", populated, persistent=False)

        seed = int(torch.randint(2**62, ())) if seed is None else seed
        self.noise = NoiseStream(seed, "noise")
        self.periphery = Periphery(
            rpu_config.forward, tiles, out_size, in_size, rng=generator(seed, "fabrication")
        )
        self.passes = Passes()
        self.in_situ: InSitu | None = None
        self.on_update: OnUpdate | None = None
        self.events: LayerEvents | None = None
        if is_in_situ(rpu_config):
            population = self.tile_population()
            self.in_situ = InSitu(
                rpu_config, tiles, out_size, in_size, kernel_of_tile, population, backend, seed, sync_every
            )
            self.register_buffer("weight", self.in_situ.weights(), persistent=False)
            self.open_context()
        else:
            self.weight = nn.Parameter(torch.zeros(kernels, out_size, in_size))
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
        self._settled = Settled()
        # A saved state is a settled one, so that loading it changes nothing: resuming stays exact.
        self.register_state_dict_pre_hook(_settle_before_saving)
        self.register_load_state_dict_post_hook(_show_after_loading)
        self.wires: TileWires | None = None
        self.use_gradient(gradient)
        self.use_backend(backend)
        self.use_wires(wires)

    def use_gradient(self, rule: Gradient) -> None:
        """Send back the gradient of aihwkit's own tiles ("aihwkit"), or the exact one ("exact").

        Both are in one table, in `crossbar.reading.gradient`. Any optimizer sees the rule that is chosen here.

        Raises:
            ValueError: If the rule is another one.
        """
        check_gradient(rule)
        self.gradient: Gradient = rule

    @lasting
    def use_backend(self, backend: Backend) -> None:
        """Compute with this emulator ("batched") or with T real aihwkit tiles ("aihwkit").

        Both have the same frozen periphery. The reference is slow, on the CPU, in float32; its noise cannot be
        seeded, and its gradient follows aihwkit's C++ rules. Devices that are trained in place are copied from one
        to the other (see `copy_devices`), except that configurations which only aihwkit's tiles can run stay there.

        Raises:
            ValueError: If the name is another one, or the tiles have resistive wires, which aihwkit's have not.
        """
        check_backend(backend, self.wires)
        self.backend: Backend = backend
        self._reference: ReferenceTiles | None = None
        if self.in_situ is not None:
            self.backend = self.in_situ.use_backend(backend)
            self.in_situ.share_periphery(self.periphery)
            self.show_devices()
        elif backend == "aihwkit":
            self._reference = ReferenceTiles(
                self.tiles, self.out_size, self.in_size, self.rpu_config, self.periphery
            )

    @lasting
    def use_wires(self, wires: WireParameters | None, *, every: int = 20) -> None:
        """Give every array of every tile word and bit lines with resistance, or ideal ones (None).

        A chip that is programmed from now on is read through them, exactly: its devices as they are, programmed,
        drifted, faulty. Training, and evaluation without a chip, see the trained weights through them. They take the
        place of aihwkit's approximation, `forward.ir_drop`, which is off then.

        Args:
            wires: The wires.
            every: Training passes between two computations of what they take; see `TileWires`.

        Raises:
            ValueError: If devices are trained in place, the backend is aihwkit's, or `every` is below 1.
        """
        check_wires(wires, self.rpu_config, self.backend)
        kernels = (self.kernels, self.out_size, self.in_size)
        self.wires = None if wires is None else TileWires(wires, every, kernels).to(self.weight.device)
        self.erase()

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
        mapped, scales = map_weights(weight, omega, mapping.weight_scaling_columnwise)
        if keeps_scales:
            mapped, scales = weight, self.mapping_scales
        self.mapping_scales.copy_(scales)
        if self.in_situ is None:
            self.weight.copy_(mapped)
        else:
            self.in_situ.set_weights(self.of_tiles(mapped), noise=self.noise)
            self.show_devices()
        if self.out_scaling_alpha is not None and not keeps_scales:
            self.out_scaling_alpha.fill_(1.0)
        self.erase()
        self.keep_settled()

    @torch.no_grad()
    def kernels_weight(self) -> Float[Tensor, "kernels out in"]:
        """Return the weights of the network, scales included: what training has learned.

        Copies of one kernel that learned in place differ: the mean of them is returned.
        """
        return self._trained() * self.scales()[..., None]

    def _trained(self) -> Float[Tensor, "kernels out in"]:
        """Return the trained weights in units of the largest conductance; the mean over copies that differ."""
        self.settle()
        weight = self.weight.detach()
        return weight if self.in_situ is None else self._of_kernels(weight)

    def _of_kernels(self, weight: Float[Tensor, "tiles out in"]) -> Float[Tensor, "kernels out in"]:
        """Return the mean over the copies of every kernel."""
        if self.kernel_of_tile is None:
            return weight
        return mean_of_copies(weight, self.kernel_of_tile, self.kernels)

    @torch.no_grad()
    def get_weights(
        self, apply_weight_scaling: bool = True, realistic: bool = False, *, trained: bool = False
    ) -> tuple[Float[Tensor, "kernels out in"], None]:
        """Return what the tiles hold, as aihwkit's tiles do: the programmed chip as last read, or trained weights.

        Where several tiles hold one kernel, the mean over them is returned.

        Args:
            apply_weight_scaling: Whether in the network's weights, digital scales included (True), or in units of
                the largest conductance (False).
            realistic: Whether to estimate the weights from products of random inputs, through DAC, array and ADC
                and with drift compensation, instead of looking at the devices.
            trained: Whether to return the trained weights, also if a chip is programmed.

        Returns:
            The weights, and None: the layer holds the bias.

        Raises:
            ValueError: If trained weights are to be read realistically although a chip is programmed.
        """
        if trained and realistic and self.reading is not None:
            raise ValueError(
                "`realistic` must be False for the trained weights while a chip is programmed, but is True: a read "
                "sees the chip. Leave `trained` out, or erase the chip."
            )
        self.settle()
        scales = self.scales()[..., None]
        if realistic:
            weight = self._of_kernels(self._estimated_weights())
            return weight if apply_weight_scaling else weight / scales, None
        reading = None if trained else self.reading
        weight = self._trained() if reading is None else self._of_kernels(reading.weight)
        return weight * scales if apply_weight_scaling else weight.clone(), None

    def _estimated_weights(self, over_sampling: int = 10) -> Float[Tensor, "tiles out in"]:
        """Estimate the network's weights from products of random inputs, as aihwkit's `read_weights`."""
        shape = self.tiles, self.in_size * over_sampling, self.in_size
        # Over the whole range of the DAC, and not beyond: what is clipped tells nothing of a weight.
        x = 2 * self.noise.uniform_like(self.mapping_scales.new_empty(shape)) - 1
        if self.input_range is not None:
            x = x * self.input_range.abs()[:, None, None]
        was_training = self.training
        try:
            y = self.eval()(x)
        finally:
            self.train(was_training)
        weight: Tensor = torch.linalg.lstsq(x, y).solution.transpose(1, 2)
        population = self.tile_population()
        return weight if population is None else weight * population

    def scales(self) -> Float[Tensor, "kernels out"]:
        """Return the digital scale of every bit line: mapping scales times learned scales."""
        if self.out_scaling_alpha is None:
            return self.mapping_scales
        return self.mapping_scales * self.out_scaling_alpha

    @lasting
    def settle(self) -> None:
        """Clip and remap what an optimizer has changed since the last use; then forget what was programmed."""
        if self.input_range is not None:
            keep_positive_(self.input_range, self.rpu_config.pre_post.input_range)
        if self.in_situ is not None or (self.reading is None and not is_constrained(self.rpu_config)):
            return
        if self._settled.holds(self.weight):
            return
        with _SETTLING:  # one thread settles, others wait until it has
            if not self._settled.holds(self.weight):
                self._settle()

    def _settle(self) -> None:
        clip_weights_(self.weight, self.rpu_config.clip, self.populated)
        if self.rpu_config.remap.type != WeightRemapType.NONE:
            self.mapping_scales.copy_(remap_weights_(self.weight, self.scales(), self.rpu_config.remap))
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
        self.settle()
        asked, x = x, x.to(self.weight.dtype)
        check_finite(x)
        around = self.passes.around(x, self.pass_kind(), self.pass_state, self.restore_pass)
        with exact_products(x), around:
            return self._forward(x, valid, locations).to(asked.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "TileArray":
        moved: TileArray = nn.Module._apply(
            self, keeping_precision(fn, is_in_situ=self.in_situ is not None), recurse
        )
        return moved

    def _forward(self, x: Tensor, valid: Tensor | None, locations: int) -> Tensor:
        voltages, limit = x, None
        if self.input_range is not None:
            settings = self.rpu_config.pre_post.input_range
            if self.training:
                range_from_data(self.input_range, self.input_range_updates, x, settings, valid)
            voltages = ScaledInput.apply(x, self.input_range, settings, self._follows_cpp)
            limit = self.input_range.detach().abs()
        weight = weight_for_reading(self)
        if self.in_situ is not None:
            self.refuse_other_processes()
            scale = self.of_tiles(self.mapping_scales)
            y = InSituProduct.apply(voltages, self.analog_ctx, x, weight, scale, limit, self, locations)
            if self.out_scaling_alpha is not None:
                y = y * self.of_tiles(self.out_scaling_alpha)[:, None, :]
        else:
            scale = self.of_tiles(self.scales())
            gains = self._gains(limit)
            if limit is not None:
                scale = scale * limit[:, None]
            y = self.read(weight, voltages, gains, is_scaled=limit is not None) * scale[:, None, :]
        if self.reading is not None and self.reading.factor is not None and not self.training:
            y = y * self.reading.factor
        return y

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

    def read(self, weight: Tensor, x: Tensor, gains: Gains = NO_GAINS, *, is_scaled: bool = False) -> Tensor:
        """Multiply in the analog domain, without scales and ranges: (tiles, batch, in) -> (tiles, batch, out)."""
        if self._reference is not None:
            return self._reference.mvm(weight, x, gains, is_test=not self.training)
        io = self.rpu_config.forward
        if self.wires is not None:
            io = self.wires.without_approximation(io)
        return analog_mvm(weight, x, io, self.periphery, self.noise, gains, is_scaled)

    @property
    def _follows_cpp(self) -> bool:
        return self.gradient == "aihwkit" and not isinstance(self.rpu_config, TorchInferenceRPUConfig)

    def _gains(self, limit: Tensor | None) -> Gains:
        """Return the factors that the rule for the gradient asks for; see the table in `reading.gradient`."""
        undone = self.mapping_scales if self.gradient == "aihwkit" else self.scales().detach()
        factor = self.of_tiles(undone).square().reciprocal()
        if limit is None:
            return Gains(factor, like_aihwkit=self._follows_cpp)
        if self._follows_cpp:
            factor = factor / limit[:, None]
        return Gains(factor, limit.reciprocal(), self._follows_cpp)

    def of_tiles(self, values: Tensor) -> Tensor:
        """(kernels, ...) -> (tiles, ...)."""
        return values if self.kernel_of_tile is None else values[self.kernel_of_tile]

    # In-situ training ----------------------------------------------------------------------------------------

    @lasting
    def update(
        self, x_input: Float[Tensor, "vectors tiles in"], d_input: Float[Tensor, "vectors tiles out"]
    ) -> None:
        """Send the pulses of one mini-batch, with the learning rate that was set last; aihwkit's optimizers call it.

        Args:
            x_input: Inputs of the tiles, in the network's units.
            d_input: Gradients of the outputs.

        Raises:
            RuntimeError: If the array is not trained in place.
        """
        if self.in_situ is None:
            raise RuntimeError("`update` needs pulsed devices, but the configuration trains digital weights")
        x, d = x_input, d_input / self.of_tiles(self.mapping_scales)
        if self.input_range is not None:
            limit = self.input_range.detach().abs()[:, None]
            x = x.clamp(-limit, limit) / limit
        before = None if self.on_update is None else self.weight.clone()
        self.in_situ.update(x, d, self.learning_rate, noise=self.noise)
        self.forget_changed()
        self.passes.forget()
        self.show_devices()
        if self.on_update is not None and before is not None:
            per_tile = self.in_situ.per_tile
            self.on_update(per_tile(x), per_tile(d), self.learning_rate, before, self.weight)

    @lasting
    def post_update_step(self) -> None:
        """End a mini-batch: devices decay and diffuse; or trained weights are clipped and remapped."""
        if self.in_situ is None:
            self.settle()
        else:
            count_synchronisation(self.events, self.in_situ.end_batch(noise=self.noise))
            self.forget_changed()
            self.show_devices()

    @property
    def cells(self) -> UnitCells | None:
        """The devices that are trained in place, or None."""
        return None if self.in_situ is None else self.in_situ.cells

    @lasting
    def show_devices(self) -> None:
        """Make what can be seen of the devices the array's weights."""
        assert self.in_situ is not None
        self.weight = self.in_situ.weights()
        self.erase()

    # Life of a chip ------------------------------------------------------------------------------------------

    @property
    def is_programmed(self) -> bool:  # type: ignore[override]
        """Whether evaluation reads programmed devices (True) or the trained weights (False)."""
        return self.reading is not None

    @property
    def programmed(self) -> Devices | None:
        """What the devices of the programmed chip hold, or None if there is none."""
        return None if self.reading is None else self.reading.devices

    def target_weights(self) -> Float[Tensor, "tiles out in"]:
        """Return what each tile is meant to hold, in units of the largest conductance."""
        self.settle()
        weight = self.weight.detach()
        return weight if self.in_situ is not None else self.of_tiles(weight)

    def tile_population(self) -> Bool[Tensor, "tiles out in"] | None:
        """Return which devices of each tile exist, or None for all."""
        return None if self.populated is None else self.of_tiles(self.populated)

    @lasting
    def program(
        self,
        noise_model: BaseNoiseModel | None = None,
        *,
        seed: int | None = None,
        compensation: Compensation | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Write the trained weights into the devices of one chip, with programming noise.

        Every tile is written for itself, also where several are meant to hold the same kernel. The drift
        exponents are drawn here, once: they belong to the devices of this chip.

        Devices that were trained in place are not written: they start to age from where training left them, without
        programming noise, by the law of `noise_model`, or else by that of their own `DriftParameter`, whose `t_0`
        counts in seconds then.

        Args:
            noise_model: Device model; that of the configuration if None.
            seed: Names the chip; drawn from the noise stream if None.
            compensation: How drift will be compensated; that of the configuration if None.
            faults: How many of the chip's devices fail; see `devices.program`.

        Raises:
            ValueError: If devices that were trained in place have no law of drift, or are to fail only now.
        """
        seed = self._draw_seed() if seed is None else seed
        if compensation is not None:
            check_compensation(compensation)
            self.compensation = compensation
        self.reading = write_chip(self, noise_model, seed=seed, faults=faults)
        self.keep_settled()

    @lasting
    def at(self, time: Seconds, *, seed: int | None = None) -> None:
        """Let the programmed devices drift until a time, and read them there.

        Args:
            time: Seconds since the end of programming.
            seed: Names the read noise of this reading; drawn from the noise stream if None. The drift itself is
                a trajectory: the same chip at the same time has the same conductances.

        Raises:
            RuntimeError: If nothing has been programmed.
        """
        if self.reading is None:
            raise RuntimeError("the tiles hold no programmed devices: call `program` before `at`")
        self.reading.at(time, self, seed=self._draw_seed() if seed is None else seed)

    def erase(self) -> None:
        """Forget the programmed devices: evaluation uses the trained weights again."""
        self.reading = None

    def keep_settled(self) -> None:
        """Remember the weights as they are, so that every later change of them is noticed."""
        is_needed = self.in_situ is None and (self.reading is not None or is_constrained(self.rpu_config))
        self._settled.keep(self.weight if is_needed else None)

    def forget_changed(self) -> None:
        """Forget the programmed devices because training has changed the weights, and say so."""
        if self.reading is not None:
            warnings.warn(
                "the weights of a programmed chip were changed, so that the chip is forgotten and evaluation uses "
                "the trained weights. Program it anew, or train a copy of the model",
                stacklevel=2,
            )
        self.erase()

    def _draw_seed(self) -> int:
        drawn = torch.randint(2**62, (), generator=self.noise.generator("cpu"))
        return derive_seed(int(drawn), "chip")

    # Housekeeping --------------------------------------------------------------------------------------------

    @lasting
    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings of DAC, array, ADC, modifier, noise model; mapping and trained devices have to stay.

        Raises:
            ValueError: If the mapping differs, which would change the parameters, or devices that are trained in
                place would become others.
        """
        check_replacement(rpu_config, self.rpu_config)
        self.settle()
        self.rpu_config = deepcopy(rpu_config)
        self.periphery = Periphery(
            self.rpu_config.forward,
            self.tiles,
            self.out_size,
            self.in_size,
            rng=generator(self.noise.seed, "fabrication"),
        ).to(self.weight.device)
        self.compensation = compensation_of(self.rpu_config.drift_compensation)
        self.use_backend(self.backend)
        self.erase()
        self.keep_settled()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if any(
            name.startswith(prefix) for name in state_dict
        ):  # else it is other layers' state that is loaded
            self.erase()
            self.keep_settled()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.in_situ is not None:
            self.in_situ.share_periphery(self.periphery)

    def extra_repr(self) -> str:
        """Return the sizes."""
        shared = "" if self.kernel_of_tile is None else f", kernels={self.kernels}"
        return f"tiles={self.tiles}{shared}, out_size={self.out_size}, in_size={self.in_size}, {self.backend}"


def _settle_before_saving(array: TileArray, prefix: str, keep_vars: bool) -> None:
    array.settle()


def _show_after_loading(array: TileArray, incompatible_keys: Any) -> None:
    if array.in_situ is not None:
        array.weight = array.in_situ.weights()
