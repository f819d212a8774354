"""What every analog layer shares: kernels on a tile array, split into physical tiles, and a digital bias."""

from typing import Any, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from ..aihwkit.adapter import AnalogLayerBase
from ..placement.kernel_blocks import KernelBlocks
from ..tiles.tile_array import Backend, TileArray

Digital = TypeVar("Digital", bound=nn.Module)


class AnalogLayer(AnalogLayerBase, nn.Module):
    """What the analog layers share: kernels on a tile array, split into physical tiles, and a digital bias.

    Args:
        kernels: Number of independent kernels K.
        kernel_of_tile: (T,) which kernel each logical tile is meant to hold.
        out_size: Outputs of a kernel.
        in_size: Inputs of a kernel.
        bias: Whether to add a bias, digitally, one for each output of each kernel.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        sync_every: Updates in place between two synchronisations of copies; 0 sends every update to all.
        present: Which inputs of each kernel there are; all if None.
    """

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
        present: Bool[Tensor, "kernels in"] | None = None,
    ) -> None:
        nn.Module.__init__(self)
        mapping = getattr(rpu_config, "mapping", None)
        self.blocks = KernelBlocks(
            out_size,
            in_size,
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
        )
        self.bias: nn.Parameter | None = nn.Parameter(torch.zeros(kernels, out_size)) if bias else None

    @property
    def tile_array(self) -> TileArray:
        """The physical tiles of this layer."""
        array: TileArray = self.analog_module
        return array

    def multiply(self, x: Tensor, valid: Tensor | None = None, locations: int = 1) -> Tensor:
        """Send (tiles, batch, in) through the physical tiles of each kernel: (tiles, batch, out).

        `valid` and `locations` are those of `TileArray.forward`.
        """
        spread = self.blocks.spread_inputs(x)
        if valid is not None and self.blocks.per_kernel > 1:
            valid = valid.repeat_interleave(self.blocks.per_kernel, dim=0)
        return self.blocks.sum_outputs(self.analog_module(spread, valid, locations))

    def kernel_shape(self) -> tuple[int, ...]:
        """Return the shape of the weight that `set_weights` takes and `get_weights` gives."""
        raise NotImplementedError

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias that `set_weights` takes and `get_weights` gives."""
        raise NotImplementedError

    @torch.no_grad()
    def set_weights(self, weight: Tensor, bias: Tensor | None = None, **kwargs: Any) -> None:
        """Set the network's weights and bias, in the shapes of the digital layer.

        Args:
            weight: Weights of every kernel; they are mapped onto the conductance range as configured.
            bias: Biases; those of before stay if None.
            kwargs: Accepted because aihwkit's tools pass more; must be empty or known to aihwkit.

        Raises:
            ValueError: If a shape differs, a value is not finite, or a bias is given to a layer without one.
        """
        if tuple(weight.shape) != self.kernel_shape():
            raise ValueError(
                f"`weight` must have the shape {self.kernel_shape()}, but has {tuple(weight.shape)}."
            )
        if bias is not None:
            if self.bias is None:
                raise ValueError("`bias` must be None for a layer without bias, but is given.")
            if tuple(bias.shape) != self.bias_shape():
                raise ValueError(
                    f"`bias` must have the shape {self.bias_shape()}, but has {tuple(bias.shape)}."
                )
            self.bias.copy_(bias.reshape(self.bias.shape))
        flat = weight.detach().reshape(-1, self.blocks.out_size, self.blocks.in_size)
        self.analog_module.set_kernels(self.blocks.split(flat))

    @torch.no_grad()
    def get_weights(self, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Return copies of the network's weights and bias: what training has learned, scales included."""
        weight = self.blocks.join(self.analog_module.kernels_weight()).reshape(self.kernel_shape()).clone()
        bias = None if self.bias is None else self.bias.detach().reshape(self.bias_shape()).clone()
        return weight, bias

    @torch.no_grad()
    def fill(self, digital: Digital, realistic: bool = False) -> Digital:
        """Copy the trained weights into a digital layer of the same shapes.

        Raises:
            ValueError: If the weights are asked for as a chip would read them.
        """
        if realistic:
            raise ValueError(
                "`realistic` must be False: weights are returned as trained. What the devices of a chip hold "
                "is in `tile_array.programmed`."
            )
        weight, bias = self.get_weights()
        digital.weight.copy_(weight)  # type: ignore[operator]
        if bias is not None:
            digital.bias.copy_(bias)  # type: ignore[operator]
        return digital.to(weight.device).train(self.training)

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"bias={self.bias is not None}, {type(self.analog_module.rpu_config).__name__}"
