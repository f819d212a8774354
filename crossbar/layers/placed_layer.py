"""Layers with locations on analog tiles: a placement says which tile serves a location, and what it holds."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..aihwkit.adapter import TheirConvolution
from ..placement.channel_groups import for_each_group, join_channels, split_channels
from ..placement.connections import (
    Connections,
    Populated,
    check_connections,
    check_populated,
    existing_devices,
)
from ..placement.geometry import Geometry
from ..placement.grouping import Grouping
from ..placement.patches import assemble
from ..placement.placement import Placement
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .analog_layer import AnalogLayer
from .map_layer import MapLayer


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


class PlacedLayer(MapLayer, AnalogLayer, TheirConvolution):
    """Locations of a signal, an image or a volume served by analog tiles, as a placement says.

    A kernel of G groups is G blocks, each on tiles of its own, which work at the same time: of the matrix that has
    them on its diagonal nothing else gets a device. Kernel k * G + g of the tile array is group g of kernel k, and
    tiles likewise.

    Args:
        geometry: Sizes of input, kernel and output.
        chosen: Which tile serves a location, and which kernel it is meant to hold.
        bias: Whether to add a bias, digitally, one for each output of each kernel.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        backend: "batched" or "aihwkit", the slow reference.
        connections: Which inputs there are; all if None.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.
        populated: Which weights have a device, of each kernel or of each tile; all if None.

    Raises:
        TypeError: If a mask is none of bools.
        ValueError: If a mask does not fit, or locations with connections share kernels.
    """

    connections: Tensor | None
    is_transposed: ClassVar[bool] = False
    """Whether the tiles multiply with the transposed matrices of the geometry's convolution."""

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
        populated: Populated | None = None,
    ) -> None:
        check_connections(connections, geometry, chosen)
        check_populated(populated, geometry, chosen)
        channels, patch, groups = geometry.out_channels, geometry.patch_size, geometry.groups
        out_size, in_size = (patch, channels) if self.is_transposed else (channels, patch)
        in_channels, out_channels = geometry.in_channels, geometry.out_channels
        if self.is_transposed:
            in_channels, out_channels = out_channels, in_channels
        super().__init__(
            chosen.kernels * groups,
            for_each_group(chosen.kernel_of_tile, groups),
            out_size // groups,
            in_size // groups,
            bias,
            rpu_config,
            backend,
            chosen.sync_every,
            existing_devices(connections, populated, geometry),
            seed,
            (chosen.kernels, out_channels),
        )
        self.register_buffer("connections", connections)
        self.register_buffer("populated", populated)
        self.geometry = geometry
        # What torch and aihwkit's tools read of a convolution.
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = geometry.kernel_size, geometry.stride
        self.padding, self.dilation = geometry.padding, geometry.dilation
        self.groups, self.padding_mode = groups, geometry.padding_mode
        self.transposed, self.output_padding = self.is_transposed, (0,) * self.dimensions
        self.in_features, self.out_features = in_size, out_size
        self._place(chosen)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        present = existing_devices(self.connections, self.populated, self.geometry)
        if present is not None:
            self.tile_array.populated = self.blocks.populated(len(present), present)

    def _place(self, chosen: Placement) -> Grouping:
        grouping = Grouping.of(chosen.tile_of_location, chosen.tiles)
        self.placement, self.grouping = chosen, grouping
        return grouping

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, *sizes), or one input without the batch, to the output map."""
        return self._convolve(x, self.geometry, *self._assignment(x))

    def _assignment(self, x: Tensor) -> tuple[Grouping, Placement]:
        """Return which tile serves which location in this pass."""
        chosen, grouping = self.placement, self.grouping
        if chosen.redraw:
            array = self.tile_array
            array.settle()  # or the draw would belong to other weights than the product
            with array.passes.around(x, array.pass_kind(), array.pass_state, array.restore_pass):
                chosen = chosen.redrawn(array.noise.generator("cpu"))
            grouping = self._place(chosen)
        return grouping, chosen

    def _convolve(self, x: Tensor, geometry: Geometry, grouping: Grouping, chosen: Placement) -> Tensor:
        grouping, single = grouping.to(x.device), self.is_single(x)
        y = self.at_locations(
            x[None] if single else x, geometry, grouping, lambda vectors: self._on_tiles(vectors, grouping)
        )
        bias = self.bias_of_kernels
        if bias is not None:
            y = y + self._bias_of_locations(bias, chosen)[:, None, :]
        if self.spread is not None:
            y = self.spread.outputs(y)
        outputs = self.quantise(assemble(_BatchInnermost.apply(y), geometry))
        return outputs[0] if single else outputs

    def _on_tiles(self, vectors: Tensor, grouping: Grouping) -> Tensor:
        """Send (tiles, vectors, inputs of all groups) through the tiles of all groups."""
        groups, valid = self.geometry.groups, grouping.valid
        if valid is not None:
            valid = valid.repeat_interleave(vectors.shape[1] // grouping.width, dim=1)
            valid = valid.repeat_interleave(groups, dim=0) if groups > 1 else valid
        return join_channels(self.multiply(split_channels(vectors, groups), valid, grouping.width), groups)

    def _bias_of_locations(self, bias: Tensor, chosen: Placement) -> Tensor:
        """Return (locations, out), or (1, out) where all locations share one kernel."""
        if chosen.kernels == 1 or chosen.name == "free":
            return bias
        return bias[chosen.kernel_of_location.to(bias.device)]

    def products(self, x: Tensor, y: Tensor) -> tuple[int, int]:
        """Return how many products of kernels a pass took, group by group, and those of the busiest tile.

        Args:
            x: What came in.
            y: What came out.
        """
        mapped = x if self.is_transposed else y
        places = math.prod(mapped.shape[-self.dimensions :])
        inputs = 1 if self.is_single(x) else len(x)
        # A convolution on one tile takes inputs of any size.
        serial = self.grouping.width if places == self.geometry.locations else places
        return inputs * places * self.geometry.groups, inputs * serial

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"{self._sizes_in_words()}, placement={self.placement.spec}, {AnalogLayer.extra_repr(self)}"
