"""Convolutions and locally connected layers on analog tiles: one class, seen in two ways."""

from typing import Any

import torch
from torch import Tensor, nn

from ..aihwkit.adapter import TheirConvolution
from ..placement.connections import Connections, check_connections, present_inputs
from ..placement.geometry import Geometry
from ..placement.grouping import Grouping
from ..placement.patches import assemble, extract_patches, group_patches, ungroup
from ..placement.placement import Placement, as_placement
from ..placement.saved_placement import note_placement, other_placement
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .analog_layer import AnalogLayer
from .convolution_arguments import check_convolution
from .locally_connected import LocallyConnected2d

Pair = int | tuple[int, int]


class _BatchInnermost(torch.autograd.Function):
    """Nothing forward; backward, one copy of the gradient into the memory order of the outputs.

    A gradient may arrive in the order of images, from a dense layer for example; half a dozen elementwise
    operations across two memory orders take three times as long as the copy and they together.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].transpose(1, 2).contiguous().transpose(1, 2)  # (locations, batch, out)


class PlacedLayer(AnalogLayer, TheirConvolution):
    """Image locations served by analog tiles, as a placement says.

    Args:
        geometry: Sizes of input, kernel and output.
        chosen: Which tile serves a location, and which kernel it is meant to hold.
        bias: Whether to add a bias, digitally, one for each output of each kernel.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        connections: Which inputs there are; all if None.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Raises:
        TypeError: If connections are no bool mask.
        ValueError: If they do not fit the input, or locations share kernels.
    """

    connections: Tensor | None

    @lasting
    def __init__(
        self,
        geometry: Geometry,
        chosen: Placement,
        bias: bool,
        rpu_config: Any,
        backend: Backend,
        connections: Connections | None = None,
        seed: int | None = None,
    ) -> None:
        check_connections(connections, geometry, chosen)
        super().__init__(
            chosen.kernels,
            chosen.kernel_of_tile,
            geometry.out_channels,
            geometry.patch_size,
            bias,
            rpu_config,
            backend,
            chosen.sync_every,
            None if connections is None else present_inputs(connections, geometry),
            seed,
        )
        self.register_buffer("connections", connections)
        self.geometry = geometry
        # What torch and aihwkit's tools read of a convolution.
        self.in_channels, self.out_channels = geometry.in_channels, geometry.out_channels
        self.kernel_size, self.stride = geometry.kernel_size, geometry.stride
        self.padding, self.dilation = geometry.padding, geometry.dilation
        self.groups, self.padding_mode, self.transposed, self.output_padding = 1, "zeros", False, (0, 0)
        self.in_features, self.out_features = geometry.patch_size, geometry.out_channels
        self._place(chosen)

    def _place(self, chosen: Placement) -> Grouping:
        grouping = Grouping.of(chosen.tile_of_location, chosen.tiles)
        self.placement, self.grouping = chosen, grouping
        return grouping

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        note_placement(destination, prefix, self.placement)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        refusal = other_placement(local_metadata, prefix, self.placement)
        if refusal is not None:  # before anything of this layer changes
            raise RuntimeError(refusal)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return self.geometry.output_size

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width), or one image, to the output map."""
        chosen, grouping = self.placement, self.grouping
        if chosen.redraw:
            array = self.tile_array
            array.settle()  # or the draw would belong to other weights than the product
            with array.passes.around(x, array.pass_kind(), array.pass_state, array.restore_pass):
                chosen = chosen.redrawn(array.noise.generator("cpu"))
            grouping = self._place(chosen)
        return self._convolve(x, self.geometry, grouping, chosen)

    def _convolve(self, x: Tensor, geometry: Geometry, grouping: Grouping, chosen: Placement) -> Tensor:
        single = x.dim() == 3
        grouping = grouping.to(x.device)
        if self.connections is not None:
            x = x * self.connections
        # (locations, batch, in)
        patches = extract_patches(x[None] if single else x, geometry, locations_first=grouping.is_identity)
        batch = patches.shape[1]
        valid = grouping.valid
        if valid is not None:
            valid = valid.repeat_interleave(batch, dim=1)
        y = self.multiply(group_patches(patches, grouping), valid, grouping.width)
        y = ungroup(y, grouping, batch)  # (locations, batch, out)
        bias = self.bias_of_kernels
        if bias is not None:
            y = y + self._bias_of_locations(bias, chosen)[:, None, :]
        image = assemble(_BatchInnermost.apply(y), geometry)
        return image[0] if single else image

    def _bias_of_locations(self, bias: Tensor, chosen: Placement) -> Tensor:
        """Return (locations, out), or (1, out) where all locations share one kernel."""
        if chosen.kernels == 1 or chosen.name == "free":
            return bias
        return bias[chosen.kernel_of_location.to(bias.device)]

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        g = self.geometry
        return (
            f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, stride={g.stride}, "
            f"padding={g.padding}, placement={self.placement.spec}, {super().extra_repr()}"
        )


class AnalogLocallyConnected2d(PlacedLayer):
    """A layer whose image locations are served by analog tiles, as its placement says.

    With `placement="free"` every location has its own tile and its own kernel.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or a pair, as every size here.
        input_size: Height and width of the input.
        stride: Step between locations.
        padding: Zeros around the input.
        dilation: Distance between the elements of a kernel.
        bias: Whether to add a bias, digitally, one for each output of each kernel.
        placement: Name with options, for example "free" or "blocks(rows=2,cols=2)", or a `Placement`.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        connections: Which inputs there are, (in_channels, height, width); all if None. Absent ones have no word line
            and no devices. Only with placement "free".
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Example:
        >>> layer = AnalogLocallyConnected2d(1, 4, kernel_size=3, input_size=8)
        >>> layer(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 6, 6])
        >>> layer.tile_array.tiles
        36
    """

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        input_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        bias: bool = True,
        placement: str | Placement = "free",
        rpu_config: Any = None,
        backend: Backend = "batched",
        connections: Connections | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        geometry = Geometry.of(in_channels, out_channels, kernel_size, input_size, stride, padding, dilation)
        chosen = as_placement(placement, geometry.output_size)
        super().__init__(geometry, chosen, bias, rpu_config, backend, connections, seed)
        self.reset_parameters()

    def _digital(self) -> LocallyConnected2d:
        """Return a freshly initialised digital layer of the same shapes and placement."""
        g = self.geometry
        sizes = (g.in_channels, g.out_channels, g.kernel_size, g.input_size, g.stride, g.padding, g.dilation)
        return LocallyConnected2d(*sizes, self.bias is not None, self.placement, self.connections)

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (kernels, out, in, kernel height, kernel width)."""
        g = self.geometry
        return self.placement.kernels, g.out_channels, g.in_channels, *g.kernel_size

    def bias_shape(self) -> tuple[int, ...]:
        """Return (kernels, out)."""
        return self.placement.kernels, self.geometry.out_channels

    @classmethod
    def from_digital(
        cls, module: LocallyConnected2d, rpu_config: Any, tile_module_class: Any = None
    ) -> "AnalogLocallyConnected2d":
        """Put a trained `LocallyConnected2d` onto tiles, with its placement."""
        g = module.geometry
        sizes = (g.in_channels, g.out_channels, g.kernel_size, g.input_size, g.stride, g.padding, g.dilation)
        layer = cls(
            *sizes,
            module.bias is not None,
            module.placement,
            rpu_config,
            connections=module.connections,
            seed=int(torch.randint(2**62, ())),
        )
        return layer._receive(module)

    @classmethod
    def to_digital(cls, module: "AnalogLocallyConnected2d", realistic: bool = False) -> LocallyConnected2d:
        """Return a `LocallyConnected2d` with the trained weights and the same placement."""
        return module.fill(module._digital(), realistic)


class AnalogConv2d(PlacedLayer):
    """A convolution on analog tiles: one kernel, on one tile that is used again and again, or on copies.

    The arguments are aihwkit's, in aihwkit's order; what is ours comes by keyword.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or a pair, as every size here.
        stride: Step between locations.
        padding: Zeros around the input.
        dilation: Distance between the elements of a kernel.
        groups: Must be 1, as in aihwkit.
        bias: Whether to add a bias, digitally.
        padding_mode: Must be "zeros", as in aihwkit.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        input_size: Height and width of the input. Only placements with copies need it.
        placement: "time_multiplexed", or "replicated(tiles=...)", or a `Placement` with one kernel.
        backend: "batched" or "aihwkit", the slow reference.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If there are groups, a padding mode that is not emulated, a placement with several kernels, or one
            that needs a missing `input_size`.

    Example:
        >>> layer = AnalogConv2d(1, 4, kernel_size=3)
        >>> layer(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 6, 6])
    """

    is_one_kernel = True

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        rpu_config: Any = None,
        *,
        input_size: Pair | None = None,
        placement: str | Placement = "time_multiplexed",
        backend: Backend = "batched",
        seed: int | None = None,
    ) -> None:
        check_convolution(padding, groups, bias, padding_mode)
        name = placement.spec if isinstance(placement, Placement) else placement
        self_sizing = input_size is None
        if self_sizing and name != "time_multiplexed":
            raise ValueError(
                f"`input_size` must be given for the placement {name!r}, but is None: only 'time_multiplexed' "
                "serves images of any size. Give it by keyword; the fourth positional argument is the stride, "
                f"{stride} here."
            )
        size = _smallest_input(kernel_size, padding, dilation) if input_size is None else input_size
        geometry = Geometry.of(in_channels, out_channels, kernel_size, size, stride, padding, dilation)
        chosen = as_placement(placement, geometry.output_size)
        if chosen.kernels != 1:
            raise ValueError(
                f"`placement` must have one kernel, but {chosen.spec!r} has {chosen.kernels}. "
                "Use AnalogLocallyConnected2d."
            )
        super().__init__(geometry, chosen, bias, rpu_config, backend, seed=seed)
        self.self_sizing = self_sizing
        self.reset_parameters()

    def _digital(self) -> nn.Conv2d:
        """Return a freshly initialised digital layer of the same shapes."""
        g = self.geometry
        sizes = (g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation)
        return nn.Conv2d(*sizes, bias=self.bias is not None)

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (out, in, kernel height, kernel width)."""
        g = self.geometry
        return g.out_channels, g.in_channels, *g.kernel_size

    def bias_shape(self) -> tuple[int, ...]:
        """Return (out,)."""
        return (self.geometry.out_channels,)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width), or one image, to the output map."""
        size = (int(x.shape[-2]), int(x.shape[-1]))
        if not self.self_sizing or size == self.geometry.input_size:
            return super().forward(x)
        g = self.geometry
        geometry = Geometry.of(
            g.in_channels, g.out_channels, g.kernel_size, size, g.stride, g.padding, g.dilation
        )
        grouping = Grouping.of(torch.zeros(geometry.locations, dtype=torch.long), 1)
        return self._convolve(x, geometry, grouping, self.placement)

    @classmethod
    def from_digital(
        cls, module: nn.Conv2d, rpu_config: Any, tile_module_class: Any = None
    ) -> "AnalogConv2d":
        """Put a trained `nn.Conv2d` onto one tile.

        Raises:
            ValueError: If the convolution has groups, or pads with anything but a number of zeros.
        """
        if module.groups != 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise ValueError(
                "`module` must be a convolution with groups=1 and a number of zeros as padding, but has "
                f"groups={module.groups}, padding={module.padding!r}, padding_mode={module.padding_mode!r}. "
                "Name it in `exclude_modules` to leave it digital."
            )
        layer = cls(
            module.in_channels,
            module.out_channels,
            _two(module.kernel_size),
            _two(module.stride),
            _two(module.padding),
            _two(module.dilation),
            bias=module.bias is not None,
            rpu_config=rpu_config,
            seed=int(torch.randint(2**62, ())),
        )
        return layer._receive(module)

    @classmethod
    def to_digital(cls, module: "AnalogConv2d", realistic: bool = False) -> nn.Conv2d:
        """Return an `nn.Conv2d` with the trained weights."""
        return module.fill(module._digital(), realistic)


def _smallest_input(kernel_size: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """Return the size of the smallest image that the kernel fits on."""
    sizes = zip(_pair(kernel_size), _pair(padding), _pair(dilation), strict=True)
    height, width = (max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in sizes)
    return height, width


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]
