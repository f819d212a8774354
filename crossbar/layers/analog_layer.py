"""What every analog layer shares: kernels on a tile array, split into physical tiles, and a digital bias."""

import math
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import Self

from devices.units import Dimensionless, Seconds

from ..aihwkit.adapter import BaseNoiseModel, ModuleError
from ..placement.kernel_blocks import KernelBlocks
from ..reading.quantised_outputs import quantised_outputs
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend, TileArray
from .arguments import check_values
from .containers import CountsTiles
from .readable_weight import LearnedWeight, ReadableWeight

_NO_PARAMETER = (
    "`{}` cannot be a Parameter of an analog layer: tiles hold it, and what is read is a copy. Assign a plain "
    "tensor, whose values the tiles take over, or use `set_weights`."
)

Digital = TypeVar("Digital", bound=nn.Module)


class AnalogLayer(CountsTiles, nn.Module):
    """What the analog layers share: kernels on a tile array, split into physical tiles, and a digital bias.

    Args:
        kernels: Number of independent kernels K.
        kernel_of_tile: (T,) which kernel each logical tile is meant to hold.
        out_size: Outputs of a kernel.
        in_size: Inputs of a kernel.
        bias: Whether to add a bias, one for each output of each kernel: digitally, or where the configuration says
            `mapping.digital_bias=False`, by one more word line that always carries 1.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        sync_every: Updates in place between two synchronisations of copies; 0 sends every update to all.
        present: Which weights have a device, of each kernel or of each tile; all if None.
        seed: Names the fabrication of the tiles and their noise; follows from torch's generator if None, which is not
            moved by it: the weights that are drawn next are those of a digital layer.
        biases: How many sets of biases there are, and how many biases in each; as the kernels and outputs if None.

    Attributes:
        has_analog_bias: Whether the last word line carries the bias.

    Raises:
        ValueError: If a bias is to be on the tiles of several kernels.
    """

    is_one_kernel = False
    """Whether the bias is that of one kernel, (out,), as in torch's own layers."""
    reads_matrix = False
    """Whether `get_weights` gives the weight as a matrix (out, in), as aihwkit's convolutions do."""

    @lasting
    def __init__(
        self,
        kernels: int,
        kernel_of_tile: Tensor,
        out_size: int,
        in_size: int,
        bias: bool,
        rpu_config: Any,
        backend: Backend,
        sync_every: int = 0,
        present: Bool[Tensor, "holders out in"] | None = None,
        seed: int | None = None,
        biases: tuple[int, int] | None = None,
    ) -> None:
        nn.Module.__init__(self)
        mapping = getattr(rpu_config, "mapping", None)
        self.has_analog_bias = bias and mapping is not None and not mapping.digital_bias
        if self.has_analog_bias and (kernels > 1 or biases not in (None, (1, out_size))):
            raise ValueError(
                "`mapping.digital_bias` must be True for a layer with several kernels and for a transposed "
                "convolution, but is False: their biases are added digitally. Set it to True, or leave the bias out."
            )
        self.blocks = KernelBlocks(
            out_size,
            in_size + self.has_analog_bias,
            512 if mapping is None else mapping.max_output_size,
            512 if mapping is None else mapping.max_input_size,
        )
        per_kernel = self.blocks.per_kernel
        tiles = len(kernel_of_tile)
        index = None
        if not torch.equal(kernel_of_tile, torch.arange(kernels)):
            index = (kernel_of_tile[:, None] * per_kernel + torch.arange(per_kernel)).flatten()
        self.analog_module = TileArray(
            tiles * per_kernel,
            *self.blocks.tile_shape,
            rpu_config,
            kernel_of_tile=index,
            populated=self.blocks.populated(kernels, present),
            sync_every=sync_every,
            backend=backend,
            seed=seed_beside_weights() if seed is None else seed,
        )
        self.analog_module.belong_to(self)
        self.analog_module.quantised = quantised_outputs(self.analog_module.rpu_config, per_kernel)
        self.biases = sets, channels = (kernels, out_size) if biases is None else biases
        shape = (channels,) if self.is_one_kernel else (sets, channels)
        self.bias: nn.Parameter | None = None
        if bias and not self.has_analog_bias:
            self.bias = nn.Parameter(torch.zeros(shape))

    @property
    def has_bias(self) -> bool:
        """Whether there is a bias, digital or on the tile."""
        return self.bias is not None or self.has_analog_bias

    @property
    def bias_of_kernels(self) -> Tensor | None:
        """The bias as (kernels, out), whatever shape the digital layer has it in; those of all groups together.

        Quantised, where the configuration asks for it.
        """
        if self.bias is None:
            return None
        quantised = self.tile_array.quantised
        bias = self.bias.reshape(self.biases)
        return bias if quantised is None else quantised.digital(bias)

    # In a saved state a bias always has its kernels.
    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.bias is not None:
            bias = destination[f"{prefix}bias"]
            destination[f"{prefix}bias"] = bias.reshape(self.biases)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        bias = state_dict.get(f"{prefix}bias")
        if self.bias is not None and bias is not None and bias.shape == (1, *self.bias.shape):
            state_dict[f"{prefix}bias"] = bias[0]
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def tile_array(self) -> TileArray:
        """The physical tiles of this layer."""
        return self.analog_module

    def multiply(self, x: Tensor, valid: Tensor | None = None, locations: int = 1) -> Tensor:
        """Send (tiles, batch, in) through the physical tiles of each kernel: (tiles, batch, out).

        `valid` and `locations` are those of `TileArray.forward`.
        """
        if self.has_analog_bias:
            always = x.new_ones(*x.shape[:2], 1) if valid is None else valid[..., None].to(x)
            x = torch.cat([x, always], dim=2)
        spread = self.blocks.spread_inputs(x)
        if valid is not None and self.blocks.per_kernel > 1:
            valid = valid.repeat_interleave(self.blocks.per_kernel, dim=0)
        y = self.analog_module(spread, valid, locations)
        if self.tile_array.quantised is not None:
            y = self.tile_array.quantised.blocks(y, self.blocks.outputs_of_blocks)
        return self.blocks.sum_outputs(y)

    def quantise(self, y: Tensor) -> Tensor:
        """Quantise the outputs of the layer digitally, where the configuration asks for it."""
        quantised = self.tile_array.quantised
        return y if quantised is None else quantised.layer(y)

    @property
    def weight(self) -> Tensor:
        """The network's weights of the moment, in the digital layer's shape, to read: see `ReadableWeight`.

        Those that training has learned; what the devices of a chip hold is in `tile_array.programmed`. With devices
        that are trained in place there is no gradient.
        """
        array = self.tile_array
        array.refuse_part()
        if array.in_situ is None:
            kernels: Tensor = LearnedWeight.apply(array.weight, array)
        else:
            kernels = array.kernels_weight()
        return self._split(kernels)[0].as_subclass(ReadableWeight)

    @weight.setter
    def weight(self, value: Tensor) -> None:
        if isinstance(value, nn.Parameter) or not isinstance(value, Tensor):
            raise AttributeError(_NO_PARAMETER.format("weight"))
        self.set_weights(value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a bias that is a plain tensor is copied into that of the layer."""
        if name != "bias" or isinstance(value, nn.Parameter) or not isinstance(value, Tensor):
            super().__setattr__(name, value)
        elif self.bias is None:  # on the tile, or refused
            self.set_weights(self.get_weights(trained=True)[0], value)
        else:
            check_values("bias", value, self.bias_shape())
            with torch.no_grad():
                self.bias.copy_(value.reshape(self.bias.shape))

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register as `nn.Module` does, but no weight: the tiles hold it."""
        if name == "weight":
            raise AttributeError(_NO_PARAMETER.format(name))
        super().register_parameter(name, param)

    def _digital(self) -> nn.Module:
        """Return a freshly initialised digital layer of the same shapes."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, as the digital layer of this kind does."""
        start: Any = self._digital()
        self.set_weights(start.weight, start.bias)

    def _receive(self, module: Any) -> Self:
        """Take over what a digital layer of the same shapes is: weights, which of them are frozen, device, mode."""
        self.set_weights(module.weight, module.bias)
        learns = module._learns if isinstance(module, AnalogLayer) else module.weight.requires_grad
        array = self.tile_array
        trained: Tensor = array.weight if array.in_situ is None else array.analog_ctx
        trained.requires_grad_(learns)
        if self.bias is not None:
            self.bias.requires_grad_(module.bias.requires_grad)
        elif self.has_analog_bias and module.bias.requires_grad != learns:
            raise ValueError(
                "`bias` must be frozen together with `weight` or not at all where it lies on the tile, but only one "
                "of them is. Set `mapping.digital_bias` to True."
            )
        return self.to(module.weight).train(module.training)

    @property
    def _learns(self) -> bool:
        array = self.tile_array
        trained: Tensor = array.weight if array.in_situ is None else array.analog_ctx
        return trained.requires_grad

    def kernel_shape(self) -> tuple[int, ...]:
        """Return the shape of the digital layer's weight, which `set_weights` takes and `weight` shows."""
        raise NotImplementedError

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias that `set_weights` takes and `get_weights` gives."""
        raise NotImplementedError

    def _as_kernels(self, weight: Tensor) -> Float[Tensor, "kernels out in"]:
        """Lay a weight of the digital layer's shape out as kernels."""
        return weight.reshape(-1, self.blocks.out_size, self.blocks.in_size - self.has_analog_bias)

    def _matrix_shape(self) -> tuple[int, int]:
        outputs, *inputs = self.kernel_shape()
        return outputs, math.prod(inputs)

    def _as_digital(self, kernels: Float[Tensor, "kernels out in"]) -> Tensor:
        """Undo `_as_kernels`."""
        return kernels.reshape(self.kernel_shape())

    @lasting
    def set_weights(self, weight: Tensor, bias: Tensor | None = None, **options: Any) -> None:
        """Set the network's weights and bias, in the shapes of the digital layer.

        Args:
            weight: Weights of every kernel; they are mapped onto the conductance range as configured. Of a layer of
                one kernel also as a matrix (out, in), which is how aihwkit's layers have it.
            bias: Biases; those of before stay if None.
            options: `apply_weight_scaling`, `realistic` and `weight_scaling_omega`; see `TileArray.set_weights`.

        Raises:
            ValueError: If a shape differs, a value is not finite, or a bias is given to a layer without one. Nothing
                has changed then.
        """
        if self.is_one_kernel and tuple(weight.shape) == self._matrix_shape():
            weight = weight.reshape(self.kernel_shape())
        check_values("weight", weight, self.kernel_shape())
        if bias is not None:
            check_values("bias", bias, self.bias_shape())
            if not self.has_bias:
                if bias.any():
                    raise ValueError(
                        "`bias` must be None or zero for a layer without bias, but is given. Make the layer with one."
                    )
                bias = None
        kernels = self._as_kernels(weight.detach())
        if self.has_analog_bias:
            held = self.get_weights(trained=True)[1] if bias is None else bias.detach()
            assert held is not None
            kernels = torch.cat([kernels, held.to(kernels).reshape(1, -1, 1)], dim=2)
        self.analog_module.write_weights(self.blocks.split(kernels), **options)
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias.reshape(self.bias.shape))

    @torch.no_grad()
    def get_weights(
        self,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        *,
        trained: bool = False,
        over_sampling: int = 10,
    ) -> tuple[Tensor, Tensor | None]:
        """Return copies of the weights that the tiles hold, and of the bias.

        They come in the shapes of the digital layer; those of a convolution, as in aihwkit, as the matrix (out, in)
        that lies on its tiles, in the order of torch's `flatten(1)`. `weight` has them in the shape of `nn.Conv2d`.

        What they hold is, as in aihwkit, the programmed chip as last read, without drift compensation, or else the
        trained weights. The mean is returned over tiles that hold copies of one kernel.

        Args:
            apply_weight_scaling: Whether in the network's weights, digital scales included (True), or in units of
                the largest conductance (False).
            realistic: Whether to estimate the weights from products of random inputs, through DAC, array and ADC
                and with drift compensation, instead of looking at the devices.
            trained: Whether to return what training has learned, also if a chip is programmed.
            over_sampling: How many times as many random inputs as there are word lines an estimate takes.
        """
        held = self.analog_module.held_weights(apply_weight_scaling, realistic, trained, over_sampling)
        weight, bias = self._split(held)
        if self.bias is not None:
            bias = self.bias.detach().reshape(self.bias_shape())
        weight = weight.flatten(1) if self.reads_matrix else weight
        return weight.clone(), None if bias is None else bias.clone()

    def _split(self, kernels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias, if it lies on the tile, from what the physical tiles hold."""
        joined = self.blocks.join(kernels)
        if not self.has_analog_bias:
            return self._as_digital(joined), None
        return self._as_digital(joined[..., :-1]), joined[0, :, -1]

    @classmethod
    def to_digital(cls, module: "AnalogLayer", realistic: bool = False) -> nn.Module:
        """Return a digital layer of the same shapes and placement, with the trained weights.

        Args:
            module: A layer of this kind; aihwkit's conversion calls this of the class.
            realistic: Take the weights that a read estimates instead.
        """
        return module.fill(module._digital(), realistic)

    @torch.no_grad()
    def fill(self, digital: Digital, realistic: bool = False) -> Digital:
        """Copy the trained weights into a digital layer of the same shapes; or those that a read estimates."""
        weight, bias = self.get_weights(realistic=True) if realistic else self.get_weights(trained=True)
        digital.weight.copy_(weight.reshape(self.kernel_shape()))  # type: ignore[operator]
        if bias is not None:
            digital.bias.copy_(bias)  # type: ignore[operator]
        return digital.to(weight if bias is None else bias).train(self.training)

    # What aihwkit's tools ask a layer for, done once for all its tiles.

    def program_analog_weights(self, noise_model: BaseNoiseModel | None = None) -> None:
        """Program the trained weights; see `TileArray.program`."""
        self._refuse_in_training("program_analog_weights")
        self.tile_array.program_weights(noise_model=noise_model)

    def drift_analog_weights(self, t_inference: Seconds = 0.0) -> None:
        """Program, if need be, and let the devices drift until a time in seconds."""
        self._refuse_in_training("drift_analog_weights")
        self.tile_array.drift_weights(t_inference)

    def _refuse_in_training(self, name: str) -> None:
        if self.training:
            raise ModuleError(f"{name} can only be applied in evaluation mode")

    def remap_analog_weights(self, weight_scaling_omega: Dimensionless | None = 1.0) -> None:
        """Map the weights anew onto the conductance range."""
        self.tile_array.remap_weights(weight_scaling_omega)

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings; see `TileArray.replace_rpu_config`."""
        self.tile_array.replace_rpu_config(rpu_config)

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"bias={self.has_bias}, {type(self.analog_module.rpu_config).__name__}"


def seed_beside_weights() -> int:
    """Draw a seed from torch's generator without moving it, so that the weights drawn next are a digital layer's."""
    beside = torch.Generator()
    beside.set_state(torch.get_rng_state())
    return int(torch.randint(2**62, (), generator=beside))
