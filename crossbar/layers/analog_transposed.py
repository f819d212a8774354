"""Transposed convolutions on analog tiles: every input spreads a patch, and patches add up where they overlap."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ..placement.geometry import Geometry, Size
from ..placement.grouping import Grouping
from ..placement.patches import fold_patches, group_patches, ungroup
from ..placement.placement import Placement, as_placement
from ..placement.sizes import as_sizes, times
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .arguments import refuse_tile_class, refuse_unsized
from .placed_layer import PlacedLayer


class AnalogConvTranspose(PlacedLayer):
    """A transposed convolution on analog tiles: the adjoint of a convolution from its output to its input.

        y = bias + sum over locations l of the input of (W x[l], laid on the window that starts at stride * l)

    The channels of one location are the inputs of a tile, whose outputs are the whole patch that they spread: no word
    line carries a zero that was put between inputs. Where patches overlap, they are added digitally after the ADC,
    about (kernel_size / stride)^dimensions values for an output, each with the noise of its own product. Locations
    that a placement speaks of are those of the input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or one for each axis, as every size here.
        stride: Step between the patches of neighbouring inputs.
        padding: Elements of the output that are left out on each side.
        output_padding: Elements that the output has more at its end.
        groups: Parts that the channels are divided into, on tiles of their own.
        bias: Whether to add a bias, digitally.
        dilation: Distance between the elements of a kernel.
        padding_mode: Must be "zeros", as in torch.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        tile_module_class: Must be None.
        input_size: Size of the input. Only placements with copies need it.
        placement: "time_multiplexed", or "replicated(tiles=...)", or a `Placement` with one kernel.
        backend: "batched" or "aihwkit", the slow reference.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Raises:
        ValueError: If sizes are impossible, the padding mode is another one, or a placement has several kernels or
            needs a missing `input_size`.
    """

    is_one_kernel = True
    is_transposed = True
    digital: ClassVar[Any]
    """The digital layer that it stands for."""

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        rpu_config: Any = None,
        tile_module_class: Any = None,
        *,
        input_size: Size | None = None,
        placement: str | Placement = "time_multiplexed",
        backend: Backend = "batched",
        seed: int | None = None,
    ) -> None:
        refuse_tile_class(tile_module_class)
        if padding_mode != "zeros":
            raise ValueError(
                f"`padding_mode` must be 'zeros' for a transposed convolution, but is {padding_mode!r}, as in torch."
            )
        axes = self.dimensions
        more = as_sizes("output_padding", output_padding, axes)
        steps, distances = as_sizes("stride", stride, axes), as_sizes("dilation", dilation, axes)
        for n, step, distance in zip(more, steps, distances, strict=True):
            if not 0 <= n < max(step, distance):
                raise ValueError(
                    f"`output_padding` must be at least 0 and below the stride, {times(steps)}, or the dilation, "
                    f"{times(distances)}, but is {times(more)}. Choose a smaller one."
                )
        self_sizing = input_size is None
        if self_sizing:
            refuse_unsized(placement, stride)
        left_out = as_sizes("padding", padding, axes)
        kernel = as_sizes("kernel_size", kernel_size, axes)
        least = (1,) * axes
        if self_sizing:  # the smallest that leaves an output
            grown = zip(kernel, distances, left_out, more, steps, strict=True)
            least = tuple(max(1, 1 - (d * (k - 1) + n - 2 * p) // step) for k, d, p, n, step in grown)
        size = as_sizes("input_size", least if input_size is None else input_size, axes)
        # That of the convolution which goes from the output of this layer to its input.
        geometry = Geometry(
            out_channels,
            in_channels,
            kernel,
            _spread(size, kernel, steps, left_out, more, distances),
            steps,
            left_out,
            distances,
            groups,
            "zeros",
            tuple(p - n for p, n in zip(left_out, more, strict=True)),
        )
        chosen = as_placement(placement, geometry.output_size)
        if chosen.kernels != 1:
            raise ValueError(
                f"`placement` must have one kernel for a transposed convolution, but {chosen.spec!r} has "
                f"{chosen.kernels}. Use 'time_multiplexed' or 'replicated(tiles=...)'."
            )
        super().__init__(geometry, chosen, bias, rpu_config, backend, seed=seed)
        self.output_padding = more
        self.self_sizing = self_sizing
        self.reset_parameters()

    def _digital(self) -> nn.Module:
        """Return a freshly initialised digital layer of the same shapes."""
        layer: nn.Module = self.digital(**self.settings(), bias=self.has_bias)
        return layer

    def settings(self) -> dict[str, Any]:
        """Return what another layer of the same shape is made with, by name of the argument."""
        g = self.geometry
        return {
            "in_channels": g.out_channels,
            "out_channels": g.in_channels,
            "kernel_size": g.kernel_size,
            "stride": g.stride,
            "padding": g.padding,
            "output_padding": self.output_padding,
            "groups": g.groups,
            "dilation": g.dilation,
        }

    @property
    def output_size(self) -> tuple[int, ...]:
        """Sizes of the output, without channels."""
        return self.geometry.input_size

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (in, outputs of a group, *kernel_size)."""
        g = self.geometry
        return g.out_channels, g.in_channels // g.groups, *g.kernel_size

    def bias_shape(self) -> tuple[int, ...]:
        """Return (out,)."""
        return (self.geometry.in_channels,)

    # A kernel multiplies the channels of an input with (out * elements of the patch, in).
    def _as_kernels(self, weight: Tensor) -> Tensor:
        return weight.reshape(-1, self.blocks.in_size, self.blocks.out_size).transpose(1, 2)

    def _as_digital(self, kernels: Tensor) -> Tensor:
        return kernels.transpose(1, 2).reshape(self.kernel_shape())

    def forward(self, x: Tensor, output_size: list[int] | tuple[int, ...] | None = None) -> Tensor:
        """Map (batch, in_channels, *sizes), or one input without the batch, to the output map.

        Args:
            x: The input.
            output_size: Of several possible sizes of the output, the one that is wanted, as in torch; that of
                `output_padding` if None.

        Raises:
            ValueError: If input or output have an impossible size.
        """
        single = self.is_single(x)
        size = tuple(x.shape[2 - single :])
        expected = f"(batch, {self.in_channels}, {', '.join(['any'] * self.dimensions)})"
        fits = self.self_sizing or size == self.placement.output_size
        if len(size) != self.dimensions or x.shape[1 - single] != self.in_channels or not fits:
            if not self.self_sizing:
                expected = str(("batch", self.in_channels, *self.placement.output_size)).replace("'", "")
            raise ValueError(
                f"`x` must have the shape {expected}, or that without batch, but is {tuple(x.shape)}. "
                "Resize the input, or make the layer for it."
            )
        g = self.geometry
        if size != g.output_size or output_size is not None:
            g = self._for(size, self._wanted_padding(size, output_size))
        y = self._spread_on_tiles(x[None] if single else x, g)
        return y[0] if single else y

    def _wanted_padding(
        self, size: tuple[int, ...], output_size: list[int] | tuple[int, ...] | None
    ) -> tuple[int, ...]:
        """Return the output padding that gives the wanted size.

        Raises:
            ValueError: If none does.
        """
        if output_size is None:
            return self.output_padding
        least = self._for(size, (0,) * self.dimensions).input_size
        wanted = tuple(output_size)[-self.dimensions :]
        more = tuple(n - m for n, m in zip(wanted, least, strict=True))
        if any(not 0 <= n < step for n, step in zip(more, self.geometry.stride, strict=True)):
            most = tuple(n + step - 1 for n, step in zip(least, self.geometry.stride, strict=True))
            raise ValueError(
                f"`output_size` must lie between {times(least)} and {times(most)} for an input of {times(size)}, "
                f"but is {times(wanted)}. Choose one of those."
            )
        return more

    def _for(self, size: tuple[int, ...], more: tuple[int, ...]) -> Geometry:
        """Return the geometry for inputs of a size, with so much output padding."""
        g = self.geometry
        spread = _spread(size, g.kernel_size, g.stride, g.padding, more, g.dilation)
        after = tuple(p - n for p, n in zip(g.padding, more, strict=True))
        return replace(g, input_size=spread, padding_after=after)

    def _spread_on_tiles(self, x: Tensor, geometry: Geometry) -> Tensor:
        # A memory in which the batch is innermost: as the patches of convolutions have it.
        vectors = x.flatten(2).permute(1, 2, 0).contiguous().permute(1, 2, 0)  # (locations, batch, in)
        grouping = self.grouping
        if self.self_sizing and len(vectors) != self.placement.locations:
            grouping = Grouping.of(torch.zeros(len(vectors), dtype=torch.long), 1)
        grouping = grouping.to(x.device)
        outputs = self._on_tiles(group_patches(vectors, grouping), grouping)
        y = fold_patches(ungroup(outputs, grouping, len(x)), geometry)
        bias = self.bias_of_kernels
        return self.quantise(y if bias is None else y + bias.reshape(-1, *[1] * self.dimensions))

    def overlap_adds(self, x: Tensor, y: Tensor) -> int:
        """Return how many digital additions put the patches of a pass together.

        Args:
            x: What came in.
            y: What came out.
        """
        single = self.is_single(x)
        size, none = tuple(x.shape[2 - single :]), (0,) * self.dimensions
        least = self._for(size, none).input_size
        more = tuple(n - m for n, m in zip(y.shape[2 - single :], least, strict=True))
        g = self._for(size, more)
        summed = fold_patches(torch.ones(g.locations, 1, g.patch_size), g)
        adds = int((summed - 1).clamp(min=0).sum())
        return adds if single else len(x) * adds

    @classmethod
    def from_digital(cls, module: Any, rpu_config: Any, tile_module_class: Any = None) -> Self:
        """Put a trained transposed convolution onto one tile, or one for each group."""
        layer = cls(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.output_padding,
            module.groups,
            module.bias is not None,
            module.dilation,
            module.padding_mode,
            rpu_config,
            seed=int(torch.randint(2**62, ())),
        )
        return layer._receive(module)


class AnalogConvTranspose1d(AnalogConvTranspose):
    """An `AnalogConvTranspose` of signals, (batch, channels, length).

    Example:
        >>> AnalogConvTranspose1d(2, 4, kernel_size=4, stride=2, padding=1)(torch.zeros(5, 2, 8)).shape
        torch.Size([5, 4, 16])
    """

    dimensions = 1
    digital = nn.ConvTranspose1d


class AnalogConvTranspose2d(AnalogConvTranspose):
    """An `AnalogConvTranspose` of images, (batch, channels, height, width).

    Example:
        >>> AnalogConvTranspose2d(2, 4, kernel_size=4, stride=2, padding=1)(torch.zeros(5, 2, 8, 8)).shape
        torch.Size([5, 4, 16, 16])
    """

    dimensions = 2
    digital = nn.ConvTranspose2d


class AnalogConvTranspose3d(AnalogConvTranspose):
    """An `AnalogConvTranspose` of volumes, (batch, channels, depth, height, width).

    Example:
        >>> AnalogConvTranspose3d(2, 4, kernel_size=2, stride=2)(torch.zeros(5, 2, 4, 4, 4)).shape
        torch.Size([5, 4, 8, 8, 8])
    """

    dimensions = 3
    digital = nn.ConvTranspose3d


def _spread(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """Return the size of the output: (size - 1) stride + span - 2 padding + output_padding, as in torch."""
    axes = zip(size, kernel, stride, padding, output_padding, dilation, strict=True)
    return tuple((n - 1) * s + d * (k - 1) + 1 - 2 * p + more for n, k, s, p, more, d in axes)
