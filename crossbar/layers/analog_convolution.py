"""Convolutions on analog tiles, of signals, images and volumes: one kernel, on one tile or on copies."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ..placement.geometry import Geometry, PaddingMode, Size
from ..placement.grouping import Grouping
from ..placement.placement import Placement, as_placement
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .arguments import check_convolution, refuse_unsized, smallest_input
from .placed_layer import PlacedLayer


class AnalogConvolution(PlacedLayer):
    """A convolution on analog tiles: one kernel, on one tile that is used again and again, or on copies.

    The arguments are aihwkit's, in aihwkit's order; what is ours comes by keyword. A kernel of G groups, which
    aihwkit refuses, lies on G tiles that work at the same time; with as many groups as channels, each tile has the
    kernel of one channel ("depthwise").

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or one for each axis, as every size here.
        stride: Step between locations.
        padding: Elements on each side of the input; "valid" for none, "same" for an output as large as the input.
        dilation: Distance between the elements of a kernel.
        groups: Parts that the channels are divided into; outputs see the inputs of their part.
        bias: Whether to add a bias, digitally.
        padding_mode: What the padding holds: "zeros", "reflect", "replicate" or "circular".
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        tile_module_class: Must be None: a layer has one array for all its tiles.
        use_indexed: aihwkit's choice between two ways to cut out windows; here there is one, and it changes nothing.
        input_size: Size of the input. Only placements with copies need it.
        placement: "time_multiplexed", or "replicated(tiles=...)", or a `Placement` with one kernel.
        backend: "batched" or "aihwkit", the slow reference.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If sizes are impossible, or a placement has several kernels or needs a missing `input_size`.
    """

    is_one_kernel = True
    reads_matrix = True
    digital: ClassVar[Any]
    """The digital layer that it stands for."""
    padding: tuple[int, ...] | str  # type: ignore[assignment]

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        rpu_config: Any = None,
        tile_module_class: Any = None,
        use_indexed: bool | None = None,
        *,
        input_size: Size | None = None,
        placement: str | Placement = "time_multiplexed",
        backend: Backend = "batched",
        seed: int | None = None,
    ) -> None:
        check_convolution(groups, bias, padding_mode, tile_module_class)
        if input_size is None:
            refuse_unsized(placement, stride)
            size: Size = smallest_input(kernel_size, padding, dilation, padding_mode, self.dimensions)
        else:
            size = input_size
        sizes = (in_channels, out_channels, kernel_size, size, stride, padding, dilation)
        geometry = Geometry.of(*sizes, groups, padding_mode, dimensions=self.dimensions)
        chosen = as_placement(placement, geometry.output_size)
        if chosen.kernels != 1:
            raise ValueError(
                f"`placement` must have one kernel, but {chosen.spec!r} has {chosen.kernels}. "
                f"Use AnalogLocallyConnected{self.dimensions}d."
            )
        super().__init__(geometry, chosen, bias, rpu_config, backend, seed=seed)
        if isinstance(padding, str):
            self.padding = padding  # torch keeps the word
        self.self_sizing = input_size is None
        self._last = geometry, self.grouping
        self.reset_parameters()

    def _digital(self) -> nn.Module:
        """Return a freshly initialised digital layer of the same shapes."""
        layer: nn.Module = self.digital(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.has_bias,
            self.padding_mode,
        )
        return layer

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (out, inputs of a group, *kernel_size)."""
        g = self.geometry
        return g.out_channels, g.in_channels // g.groups, *g.kernel_size

    def bias_shape(self) -> tuple[int, ...]:
        """Return (out,)."""
        return (self.geometry.out_channels,)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, *sizes), or one input without the batch, to the output map."""
        size = tuple(x.shape[2 - self.is_single(x) :])
        if not self.self_sizing or size == self.geometry.input_size or len(size) != self.dimensions:
            return super().forward(x)
        if self._last[0].input_size != size:
            geometry = self.geometry.resized(size)
            self._last = geometry, Grouping.of(torch.zeros(geometry.locations, dtype=torch.long), 1)
        return self._convolve(x, *self._last, self.placement)

    @classmethod
    def from_digital(cls, module: Any, rpu_config: Any, tile_module_class: Any = None) -> Self:
        """Put a trained convolution onto one tile, or one for each group."""
        layer = cls(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            module.bias is not None,
            module.padding_mode,
            rpu_config,
            seed=int(torch.randint(2**62, ())),
        )
        return layer._receive(module)


class AnalogConv1d(AnalogConvolution):
    """An `AnalogConvolution` of signals, (batch, channels, length).

    Example:
        >>> layer = AnalogConv1d(2, 4, kernel_size=3, groups=2)
        >>> layer(torch.zeros(5, 2, 8)).shape, layer.tile_array.tiles
        (torch.Size([5, 4, 6]), 2)
    """

    dimensions = 1
    digital = nn.Conv1d


class AnalogConv2d(AnalogConvolution):
    """An `AnalogConvolution` of images, (batch, channels, height, width).

    Example:
        >>> layer = AnalogConv2d(1, 4, kernel_size=3)
        >>> layer(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 6, 6])
    """

    dimensions = 2
    digital = nn.Conv2d


class AnalogConv3d(AnalogConvolution):
    """An `AnalogConvolution` of volumes, (batch, channels, depth, height, width).

    Example:
        >>> layer = AnalogConv3d(1, 4, kernel_size=3, padding="same")
        >>> layer(torch.zeros(2, 1, 4, 4, 4)).shape
        torch.Size([2, 4, 4, 4, 4])
    """

    dimensions = 3
    digital = nn.Conv3d
