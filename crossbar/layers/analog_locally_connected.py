"""Locally connected layers on analog tiles."""

from typing import Any, ClassVar

import torch
from typing_extensions import Self

from ..placement.connections import Connections, Populated
from ..placement.geometry import Geometry, PaddingMode, Size
from ..placement.placement import Placement, as_placement
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .locally_connected import LocallyConnected, LocallyConnected1d, LocallyConnected2d, LocallyConnected3d
from .placed_layer import PlacedLayer


class AnalogLocallyConnected(PlacedLayer):
    """A layer whose locations are served by analog tiles, as its placement says.

    With `placement="free"` every location has its own tile and its own kernel; with groups, every group of it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or one for each axis, as every size here.
        input_size: Size of the input.
        stride: Step between locations.
        padding: Elements on each side of the input, or "valid", or "same".
        dilation: Distance between the elements of a kernel.
        bias: Whether to add a bias, digitally, one for each output of each kernel.
        placement: Name with options, for example "free" or "blocks(rows=2,cols=2)", or a `Placement`.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        connections: Which inputs there are, (in_channels, *input_size); all if None. Absent ones have no word line
            and no devices. Only with placement "free".
        groups: Parts that the channels are divided into; outputs see the inputs of their part.
        padding_mode: What the padding holds: "zeros", "reflect", "replicate" or "circular".
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.
        populated: Which weights have a device, in the shape of the weight; all if None. With one mask for each tile
            in place of each kernel, copies of a kernel lack different devices.
    """

    digital: ClassVar[type[LocallyConnected]]
    """The digital layer that it stands for."""

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        input_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        bias: bool = True,
        placement: str | Placement = "free",
        rpu_config: Any = None,
        backend: Backend = "batched",
        connections: Connections | None = None,
        *,
        groups: int = 1,
        padding_mode: PaddingMode = "zeros",
        seed: int | None = None,
        populated: Populated | None = None,
    ) -> None:
        sizes = (in_channels, out_channels, kernel_size, input_size, stride, padding, dilation)
        geometry = Geometry.of(*sizes, groups, padding_mode, dimensions=self.dimensions)
        chosen = as_placement(placement, geometry.output_size)
        super().__init__(geometry, chosen, bias, rpu_config, backend, connections, seed, populated)
        self.reset_parameters()

    def _digital(self) -> LocallyConnected:
        """Return a freshly initialised digital layer of the same shapes and placement."""
        return self.digital(
            **self.settings(),
            input_size=self.geometry.input_size,
            bias=self.has_bias,
            placement=self.placement,
            connections=self.connections,
            populated=self.populated,
        )

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (kernels, out, inputs of a group, *kernel_size)."""
        g = self.geometry
        return self.placement.kernels, g.out_channels, g.in_channels // g.groups, *g.kernel_size

    def bias_shape(self) -> tuple[int, ...]:
        """Return (kernels, out)."""
        return self.placement.kernels, self.geometry.out_channels

    @classmethod
    def from_digital(cls, module: LocallyConnected, rpu_config: Any, tile_module_class: Any = None) -> Self:
        """Put a trained locally connected layer onto tiles, with its placement."""
        layer = cls(
            **module.settings(),
            input_size=module.geometry.input_size,
            bias=module.bias is not None,
            placement=module.placement,
            rpu_config=rpu_config,
            connections=module.connections,
            populated=module.populated,
            seed=int(torch.randint(2**62, ())),
        )
        return layer._receive(module)


class AnalogLocallyConnected1d(AnalogLocallyConnected):
    """An `AnalogLocallyConnected` layer of signals, (batch, channels, length).

    Example:
        >>> layer = AnalogLocallyConnected1d(1, 4, kernel_size=3, input_size=8)
        >>> layer(torch.zeros(2, 1, 8)).shape, layer.tile_array.tiles
        (torch.Size([2, 4, 6]), 6)
    """

    dimensions = 1
    digital = LocallyConnected1d


class AnalogLocallyConnected2d(AnalogLocallyConnected):
    """An `AnalogLocallyConnected` layer of images, (batch, channels, height, width).

    Example:
        >>> layer = AnalogLocallyConnected2d(1, 4, kernel_size=3, input_size=8)
        >>> layer(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 6, 6])
        >>> layer.tile_array.tiles
        36
    """

    dimensions = 2
    digital = LocallyConnected2d


class AnalogLocallyConnected3d(AnalogLocallyConnected):
    """An `AnalogLocallyConnected` layer of volumes, (batch, channels, depth, height, width).

    Example:
        >>> layer = AnalogLocallyConnected3d(1, 4, kernel_size=3, input_size=4)
        >>> layer(torch.zeros(2, 1, 4, 4, 4)).shape, layer.tile_array.tiles
        (torch.Size([2, 4, 2, 2, 2]), 8)
    """

    dimensions = 3
    digital = LocallyConnected3d
