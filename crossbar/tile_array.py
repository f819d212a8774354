"""T equal tiles in one tensor: weights, scales, ranges, noise, programmed and drifted states."""

from copy import deepcopy
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from devices import ProgrammedTiles, derive_seed, generator
from devices import program as program_devices
from devices.units import Seconds

from .aihwkit_adapter import (
    BaseNoiseModel,
    GlobalDriftCompensationWithExactReference,
    InferenceRPUConfig,
    InputRangeParameter,
    TorchInferenceRPUConfig,
    WeightRemapType,
)
from .aihwkit_backend import ReferenceTiles
from .aihwkit_citizen import AihwkitTile
from .compensation import (
    Compensation,
    check_compensation,
    compensation_of,
    identity_inputs,
    readout,
)
from .input_range import ScaledInput, check_input_range_support, keep_positive_, range_from_data
from .mvm import NO_GAINS, Gains, analog_mvm
from .noise import NoiseStream
from .periphery import Periphery, check_io_support
from .weight_constraints import check_constraint_support, clip_weights_, remap_weights_
from .weight_modifiers import check_modifier_support, has_effect, modify_weights

Backend = Literal["batched", "aihwkit"]


def check_config(rpu_config: Any) -> None:
    """Refuse configurations, or settings in them, that would not have their effect.

    Args:
        rpu_config: aihwkit's configuration of a tile.

    Raises:
        TypeError: If it is no inference configuration.
        ValueError: If one of its settings is not honoured; names it.
    """
    if not isinstance(rpu_config, (InferenceRPUConfig, TorchInferenceRPUConfig)):
        raise TypeError(
            "`rpu_config` must be an InferenceRPUConfig or a TorchInferenceRPUConfig, but is "
            f"{type(rpu_config).__name__}. Training on pulsed devices is not part of this version."
        )
    check_io_support(rpu_config.forward)
    check_modifier_support(rpu_config.modifier)
    check_constraint_support(rpu_config.clip, rpu_config.remap)
    check_input_range_support(rpu_config.pre_post.input_range)
    if not rpu_config.mapping.digital_bias:
        raise ValueError(
            "`mapping.digital_bias` must be True, but is False: the emulator adds biases digitally. "
            "Leave it at True."
        )
    compensation_of(rpu_config.drift_compensation)


class TileArray(AihwkitTile):
    """T equal tiles whose states lie in one tensor and which compute in one batched call.

    A kernel is what training learns, a tile is a physical array that is meant to hold one; several tiles can be
    meant to hold the same kernel (`kernel_of_tile`). Weights are kept in units of the largest conductance, and
    digital scales after the ADC turn them into the network's weights:

        y = input_range * scale * analog_mvm(w, x / input_range)

    In training, the weights pass through the configured weight modifier; after `program`, evaluation uses what
    the devices hold. Changing the weights afterwards (training, `set_kernels`) forgets the programmed devices.

    Gradients of `weight` are divided by the squared scales, as in aihwkit: a step of plain SGD then changes the
    network's weights as it would without scales. Clipping and remapping happen before the next use of weights
    that an optimizer, any optimizer, has changed.

    Args:
        tiles: Number of physical tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit inference configuration; `InferenceRPUConfig()` if None.
        kernel_of_tile: (tiles,) index of the kernel each tile is meant to hold; tile t holds kernel t if None.
        populated: (kernels, out, in) which devices exist; all if None. An absent device has weight zero always.
        backend: "batched" (this emulator) or "aihwkit" (T real aihwkit tiles, slow, the reference).
        seed: Seed of fabrication and noise; drawn from torch's global generator if None.

    Attributes:
        weight: (kernels, out, in) trained weights, in units of the largest conductance.
        mapping_scales: (kernels, out) digital scales.
        out_scaling_alpha: (kernels, out) or (kernels, 1) learned scales, or None.
        input_range: (tiles,) or None.
        noise: Stream of the noise of training and reading.
    """

    kernel_of_tile: Tensor | None
    populated: Tensor | None
    mapping_scales: Tensor
    input_range: Tensor | None
    input_range_updates: Tensor

    def __init__(
        self,
        tiles: int,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        *,
        kernel_of_tile: Tensor | None = None,
        populated: Bool[Tensor, "kernels out in"] | None = None,
        backend: Backend = "batched",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if min(tiles, out_size, in_size) < 1:
            raise ValueError(
                f"`tiles`, `out_size` and `in_size` must be at least 1, but are {tiles}, {out_size}, {in_size}."
            )
        rpu_config = InferenceRPUConfig() if rpu_config is None else deepcopy(rpu_config)
        check_config(rpu_config)
        self.tiles, self.out_size, self.in_size = tiles, out_size, in_size
        self.rpu_config = rpu_config
        kernels = tiles if kernel_of_tile is None else int(kernel_of_tile.max()) + 1
        self.kernels = kernels
        self.register_buffer("kernel_of_tile", kernel_of_tile, persistent=False)
        self.register_buffer("populated", populated, persistent=False)

        if seed is None:
            seed = int(torch.randint(2**62, ()))
        self.noise = NoiseStream(seed, "noise")
        self.periphery = Periphery(
            rpu_config.forward, tiles, out_size, in_size, rng=generator(seed, "fabrication")
        )
        self.weight = nn.Parameter(torch.zeros(kernels, out_size, in_size))
        self.register_buffer("mapping_scales", torch.ones(kernels, out_size))
        self.out_scaling_alpha: nn.Parameter | None = None
        if rpu_config.mapping.learn_out_scaling:
            columns = out_size if rpu_config.mapping.out_scaling_columnwise else 1
            self.out_scaling_alpha = nn.Parameter(torch.ones(kernels, columns))
        self._make_input_range(rpu_config.pre_post.input_range)

        self.programmed: ProgrammedTiles | None = None
        self.compensation: Compensation = compensation_of(rpu_config.drift_compensation)
        self._read_weight: Tensor | None = None
        self._baseline: Tensor | None = None
        self._factor: Tensor | None = None
        self._settled_version = self.weight._version
        # A saved state is a settled one, so that loading it changes nothing: resuming stays exact.
        self.register_state_dict_pre_hook(_settle_before_saving)
        self.register_load_state_dict_post_hook(_settled_after_loading)
        self.use_backend(backend)

    def use_backend(self, backend: Backend) -> None:
        """Compute with this emulator ("batched") or with T real aihwkit tiles ("aihwkit").

        Both have the same frozen periphery. The reference is slow, on the CPU, in float32; its noise cannot be
        seeded, and its gradient follows aihwkit's C++ rules.

        Raises:
            ValueError: If the name is another one.
        """
        if backend not in ("batched", "aihwkit"):
            raise ValueError(f"`backend` must be 'batched' or 'aihwkit', but is {backend!r}.")
        self.backend: Backend = backend
        self._reference: ReferenceTiles | None = None
        if backend == "aihwkit":
            self._reference = ReferenceTiles(
                self.tiles, self.out_size, self.in_size, self.rpu_config, self.periphery
            )

    def _make_input_range(self, settings: InputRangeParameter) -> None:
        value = torch.full((self.tiles,), settings.init_value) if settings.enable else None
        if value is not None and settings.learn_input_range:
            self.input_range = nn.Parameter(value)
        else:
            self.register_buffer("input_range", value)
        self.register_buffer("input_range_updates", torch.zeros(self.tiles) if settings.enable else None)

    # Weights -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def set_kernels(self, weight: Float[Tensor, "kernels out in"], *, omega: float | None = None) -> None:
        """Set the network's weights and map them onto the conductance range.

        Args:
            weight: Weights of every kernel.
            omega: What the largest weight is mapped to; `mapping.weight_scaling_omega` if None, 0 for no scaling.

        Raises:
            ValueError: If the shape is another one, or a value is not finite.
        """
        if tuple(weight.shape) != tuple(self.weight.shape):
            raise ValueError(
                f"`weight` must have the shape {tuple(self.weight.shape)} (kernels, out, in), but has "
                f"{tuple(weight.shape)}."
            )
        if not torch.isfinite(weight).all():
            raise ValueError("`weight` must be finite, but contains NaN or infinity.")
        mapping = self.rpu_config.mapping
        omega = mapping.weight_scaling_omega if omega is None else omega
        weight = weight.detach().to(self.weight)
        if self.populated is not None:
            weight = weight * self.populated
        scales = torch.ones_like(self.mapping_scales)
        if omega:
            dims = (2,) if mapping.weight_scaling_columnwise else (1, 2)
            scales = (weight.abs().amax(dim=dims, keepdim=True) / omega)[..., 0].expand_as(scales)
            scales = torch.where(scales > 0, scales, torch.ones_like(scales))
        self.weight.copy_(weight / scales[..., None])
        self.mapping_scales.copy_(scales)
        if self.out_scaling_alpha is not None:
            self.out_scaling_alpha.fill_(1.0)
        self.erase()
        self._settled_version = self.weight._version

    @torch.no_grad()
    def kernels_weight(self) -> Float[Tensor, "kernels out in"]:
        """Return the weights of the network, scales included: what training has learned."""
        self.settle()
        return self.weight.detach() * self.scales()[..., None]

    def scales(self) -> Float[Tensor, "kernels out"]:
        """Return the digital scale of every bit line: mapping scales times learned scales."""
        if self.out_scaling_alpha is None:
            return self.mapping_scales
        return self.mapping_scales * self.out_scaling_alpha

    @torch.no_grad()
    def settle(self) -> None:
        """Clip and remap what an optimizer has changed since the last use; then forget what was programmed."""
        if self.input_range is not None:
            keep_positive_(self.input_range, self.rpu_config.pre_post.input_range)
        if self.weight._version == self._settled_version:
            return
        clip_weights_(self.weight, self.rpu_config.clip, self.populated)
        if self.rpu_config.remap.type != WeightRemapType.NONE:
            self.mapping_scales.copy_(remap_weights_(self.weight, self.scales(), self.rpu_config.remap))
            if self.out_scaling_alpha is not None:
                self.out_scaling_alpha.fill_(1.0)
        self.erase()
        self._settled_version = self.weight._version

    # Reading -------------------------------------------------------------------------------------------------

    def forward(
        self, x: Float[Tensor, "tiles batch in"], valid: Bool[Tensor, "tiles batch"] | None = None
    ) -> Float[Tensor, "tiles batch out"]:
        """Send every tile its input vectors and read its outputs.

        Args:
            x: Input vectors.
            valid: Which vectors are real; the others are zero, and do not count in statistics. All if None.

        Returns:
            Output vectors, in the network's units.

        Raises:
            ValueError: If the shape of `x` does not fit.
        """
        if x.dim() != 3 or x.shape[0] != self.tiles or x.shape[2] != self.in_size:
            raise ValueError(
                f"`x` must have the shape (tiles, batch, in) = ({self.tiles}, any, {self.in_size}), but has "
                f"{tuple(x.shape)}."
            )
        if x.shape[1] == 0:
            return x.new_zeros(self.tiles, 0, self.out_size)
        self.settle()
        scale = self.scales()
        weight = self._weight_for_reading()
        scale = scale if self.kernel_of_tile is None else scale[self.kernel_of_tile]
        gains = Gains(weight=scale.detach().square().reciprocal())
        if self.input_range is not None:
            settings = self.rpu_config.pre_post.input_range
            if self.training:
                range_from_data(self.input_range, self.input_range_updates, x, settings, valid)
            x = ScaledInput.apply(x, self.input_range, settings)
            limit = self.input_range.detach().abs()
            scale = scale * limit[:, None]
            gains = Gains(gains.weight, limit.reciprocal())
        y = self.read(weight, x, gains, is_scaled=self.input_range is not None) * scale[:, None, :]
        if self._factor is not None and not self.training:
            y = y * self._factor
        return y

    def read(self, weight: Tensor, x: Tensor, gains: Gains = NO_GAINS, *, is_scaled: bool = False) -> Tensor:
        """Multiply in the analog domain, without scales and ranges: (tiles, batch, in) -> (tiles, batch, out)."""
        if self._reference is not None:
            return self._reference.mvm(weight, x, gains, is_test=not self.training)
        io = self.rpu_config.forward
        return analog_mvm(weight, x, io, self.periphery, self.noise, gains, is_scaled)

    def _weight_for_reading(self) -> Tensor:
        """Return (tiles, out, in): what the devices hold, or the trained weights, modified while training."""
        if not self.training and self._read_weight is not None:
            return self._read_weight
        modifier = self.rpu_config.modifier
        modifies = has_effect(modifier) and (self.training or modifier.enable_during_test)
        return _WeightForReading.apply(self.weight, self, modifier if modifies else None)

    # Life of a chip ------------------------------------------------------------------------------------------

    @property
    def is_programmed(self) -> bool:  # type: ignore[override]
        """Whether evaluation reads programmed devices (True) or the trained weights (False)."""
        return self.programmed is not None

    def target_weights(self) -> Float[Tensor, "tiles out in"]:
        """Return what each tile is meant to hold, in units of the largest conductance."""
        self.settle()
        weight = self.weight.detach()
        return weight if self.kernel_of_tile is None else weight[self.kernel_of_tile]

    def tile_population(self) -> Bool[Tensor, "tiles out in"] | None:
        """Return which devices of each tile exist, or None for all."""
        if self.populated is None or self.kernel_of_tile is None:
            return self.populated
        return self.populated[self.kernel_of_tile]

    @torch.no_grad()
    def program(
        self,
        noise_model: BaseNoiseModel | None = None,
        *,
        seed: int | None = None,
        compensation: Compensation | None = None,
    ) -> None:
        """Write the trained weights into the devices of one chip, with programming noise.

        Every tile is written for itself, also where several are meant to hold the same kernel. The drift
        exponents are drawn here, once: they belong to the devices of this chip.

        Args:
            noise_model: Device model; that of the configuration if None.
            seed: Names the chip; drawn from the noise stream if None.
            compensation: How drift will be compensated; that of the configuration if None.
        """
        if seed is None:
            seed = self._draw_seed()
        if compensation is not None:
            check_compensation(compensation)
            self.compensation = compensation
        noise_model = self.rpu_config.noise_model if noise_model is None else noise_model
        self.programmed = program_devices(
            noise_model, self.target_weights(), seed=seed, populated=self.tile_population()
        )
        self._read_weight = self.programmed.programmed_weights.to(self.weight)
        self._factor = None
        self._baseline = None
        if self.compensation != "none":
            exact = isinstance(self.rpu_config.drift_compensation, GlobalDriftCompensationWithExactReference)
            stream = NoiseStream(seed, "baseline")
            outputs = self.target_weights().transpose(1, 2) if exact else self._readout(stream)
            self._baseline = readout(outputs, self.compensation)

    @torch.no_grad()
    def at(self, time: Seconds, *, seed: int | None = None) -> None:
        """Let the programmed devices drift until a time, and read them there.

        Args:
            time: Seconds since the end of programming.
            seed: Names the read noise of this reading; drawn from the noise stream if None. The drift itself is
                a trajectory: the same chip at the same time has the same conductances.

        Raises:
            RuntimeError: If nothing has been programmed.
        """
        if self.programmed is None:
            raise RuntimeError("the tiles hold no programmed devices: call `program` before `at`")
        seed = self._draw_seed() if seed is None else seed
        read = self.programmed.read_weights(time, rng=generator(seed, "read"))
        self._read_weight = read.to(self.weight)
        if self._baseline is not None:
            outputs = self._readout(NoiseStream(seed, "compensation"))
            self._factor = self._baseline / readout(outputs, self.compensation)

    def erase(self) -> None:
        """Forget the programmed devices: evaluation uses the trained weights again."""
        self.programmed = None
        self._read_weight = self._baseline = self._factor = None

    def reading_state(self) -> dict[str, Tensor]:
        """Return what the present reading of the programmed devices consists of, as plain tensors."""
        parts = {"read_weight": self._read_weight, "baseline": self._baseline, "factor": self._factor}
        return {f"reading.{name}": tensor for name, tensor in parts.items() if tensor is not None}

    def restore_reading(self, state: dict[str, Tensor]) -> None:
        """Undo `reading_state`."""
        self._read_weight = state["reading.read_weight"].to(self.weight)
        baseline, factor = state.get("reading.baseline"), state.get("reading.factor")
        self._baseline = None if baseline is None else baseline.to(self.weight)
        self._factor = None if factor is None else factor.to(self.weight)

    def _readout(self, noise: NoiseStream) -> Tensor:
        """Read every word line in turn, (tiles, in, out), with noise of its own stream."""
        weight = self._read_weight
        if weight is None:
            raise RuntimeError("the tiles hold no programmed devices: call `program` before a readout")
        kept, self.noise = self.noise, noise
        try:
            return self.read(weight, identity_inputs(self.tiles, self.in_size, weight))
        finally:
            self.noise = kept

    def _draw_seed(self) -> int:
        drawn = torch.randint(2**62, (), generator=self.noise.generator("cpu"))
        return derive_seed(int(drawn), "chip")

    # Housekeeping --------------------------------------------------------------------------------------------

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings of DAC, array, ADC, modifier, noise model; the mapping has to stay.

        Raises:
            ValueError: If the mapping differs, which would change the parameters.
        """
        check_config(rpu_config)
        if rpu_config.mapping != self.rpu_config.mapping:
            raise ValueError(
                "`rpu_config.mapping` must be that of the present configuration, but differs. "
                "Convert the digital model anew."
            )
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

    def extra_repr(self) -> str:
        """Return the sizes."""
        shared = "" if self.kernel_of_tile is None else f", kernels={self.kernels}"
        return f"tiles={self.tiles}{shared}, out_size={self.out_size}, in_size={self.in_size}, {self.backend}"


def _settle_before_saving(array: TileArray, prefix: str, keep_vars: bool) -> None:
    array.settle()


def _settled_after_loading(array: TileArray, incompatible_keys: Any) -> None:
    array.erase()
    array._settled_version = array.weight._version


class _WeightForReading(torch.autograd.Function):
    """Kernels to tiles, through the weight modifier; straight through backward."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, array: TileArray, modifier: Any) -> Tensor:
        ctx.kernels, ctx.index, ctx.populated = array.kernels, array.kernel_of_tile, array.populated
        tiles = weight if ctx.index is None else weight[ctx.index]
        if modifier is None:
            return tiles.view_as(tiles)
        modified = modify_weights(tiles, modifier, array.noise)
        population = array.tile_population()
        return modified if population is None else modified * population

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        grad = grads[0]
        if ctx.index is not None:
            grad = grad.new_zeros(ctx.kernels, *grad.shape[1:]).index_add_(0, ctx.index, grad)
        return grad if ctx.populated is None else grad * ctx.populated, None, None
