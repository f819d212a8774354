"""The digital locally connected layers, and every degree of weight sharing up to the convolution.

Forward and backward on one core against the bare products, in ms, for the local layers of the paper's MNIST
network with `free` (169 kernels of 32 x 9, 36 of 64 x 288, 16 of 128 x 576): at batch 64 0.6, 4.6, 7.0 against
0.5, 3.2, 5.6; at batch 8 0.22, 0.9, 1.4 against 0.10, 0.5, 0.8.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..placement.channel_groups import join_channels, split_channels
from ..placement.connections import (
    Connections,
    Populated,
    check_connections,
    check_populated,
    present_inputs,
)
from ..placement.geometry import Geometry, PaddingMode, Size
from ..placement.grouping import Grouping
from ..placement.patches import assemble, check_input
from ..placement.placement import Placement, as_placement
from ..reading.recomputation import Passes, version_of
from ..tiles.lasting import lasting
from .map_layer import MapLayer


class LocallyConnected(MapLayer):
    """A convolution whose locations need not share their kernel: who shares with whom, its placement says.

        y[b, o, l] = bias[k(l), o] + sum over n of weight[k(l), o, n] * patch[b, l, n]

    with k(l) the kernel of location l and n running over (channel, *position in the kernel), the channels of o's
    group. With `free` every location has a kernel of its own; with one kernel it is torch's convolution. Digital:
    tiles that hold the same kernel hold it exactly, so `replicated` computes what `time_multiplexed` does.

    Each kernel starts as a convolution's: weights and biases uniform in +-1/sqrt(inputs of an output), from torch's
    global stream. With `random(tiles, redraw=True)` the locations are dealt to the kernels anew at every
    forward pass, training or not, from `placement_rng`, or from torch's global stream where that is None.

    The output is laid out in memory for the next layer: use `flatten` or `reshape` on it, not `view`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or one for each axis, as every size here.
        input_size: Size of the input.
        stride: Step between locations.
        padding: Elements on each side of the input, or "valid", or "same".
        dilation: Distance between the elements of a kernel.
        bias: Whether to add a bias, one for each output of each kernel.
        placement: Name with options, as "free" or "blocks(rows=2,cols=2)", or a `Placement`.
        connections: Which inputs there are, (in_channels, *input_size); all if None. Weights of absent ones are
            zero and stay so. Only with placement "free".
        groups: Parts that the channels are divided into; outputs see the inputs of their part.
        padding_mode: What the padding holds: "zeros", "reflect", "replicate" or "circular".
        populated: Which weights there are, in the shape of the weight; all if None. Absent ones are zero and stay so.
            With one mask for each tile in place of each kernel, copies of a kernel lack different weights of it.

    Raises:
        TypeError: If a mask is none of bools.
        ValueError: If the sizes are impossible, or placement or a mask do not fit.
    """

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
        connections: Connections | None = None,
        *,
        groups: int = 1,
        padding_mode: PaddingMode = "zeros",
        populated: Populated | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("populated", None)
        sizes = (in_channels, out_channels, kernel_size, input_size, stride, padding, dilation)
        self.geometry = geometry = Geometry.of(*sizes, groups, padding_mode, dimensions=self.dimensions)
        self.placement_rng: torch.Generator | None = None
        self.passes = Passes()
        self._place(as_placement(placement, geometry.output_size))
        kernels = self.placement.kernels
        shape = (kernels, geometry.out_channels, geometry.in_channels // groups, *geometry.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(kernels, geometry.out_channels)) if bias else None
        self.reset_parameters()
        self.register_buffer("connections", None)
        self.connect(connections)
        self.populate(populated)

    @torch.no_grad()
    def connect(self, connections: Connections | None) -> None:
        """Say which inputs there are from now on; weights of absent ones become zero.

        Args:
            connections: (in_channels, *input_size), or None for all.

        Raises:
            TypeError: If they are no bool mask.
            ValueError: If they do not fit the input, or locations share kernels.
        """
        check_connections(connections, self.geometry, self.placement)
        self.connections = None if connections is None else connections.to(self.weight.device)
        if connections is not None:
            present = present_inputs(connections, self.geometry)
            self._by_group(self.weight).mul_(present[:, None])

    @torch.no_grad()
    def populate(self, populated: Populated | None) -> None:
        """Say which weights there are from now on; those that no copy of a kernel has become zero.

        Args:
            populated: In the shape of the weight, or with one mask for each tile; None for all.

        Raises:
            TypeError: If it is no bool mask.
            ValueError: If it has another shape.
        """
        check_populated(populated, self.geometry, self.placement)
        self.populated = None if populated is None else populated.to(self.weight.device)
        self._place(self.placement)
        if self.populated is not None and not self.copies_differ:
            self.weight.mul_(self.populated)

    @property
    def copies_differ(self) -> bool:
        """Whether copies of a kernel may lack different weights of it."""
        return self.populated is not None and len(self.populated) != self.placement.kernels

    def existing_weight(self) -> Tensor:
        """Return the weights that there are, zero elsewhere: of each kernel, or of each tile where copies differ."""
        weight: Tensor = self.weight
        if self.populated is None:
            return weight
        return (weight[self.placement.kernel_of_tile] if self.copies_differ else weight) * self.populated

    def _by_group(self, weight: Tensor) -> Tensor:
        """Return weights as (kernels * groups, outputs of a group, inputs of a group)."""
        groups = self.geometry.groups
        return weight.view(len(weight) * groups, self.geometry.out_channels // groups, -1)

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, each kernel as a convolution's."""
        # kaiming_uniform_ with a = sqrt(5), which torch's convolutions call, is this bound; it would take the kernels
        # for channels.
        bound = 1 / math.sqrt(self.geometry.patch_size // self.geometry.groups)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map signals, images or volumes to their output maps.

        Args:
            x: (batch, in_channels, *input_size), or one without the batch.

        Returns:
            (batch, out_channels, *output_size), or without the batch.

        Raises:
            ValueError: If the input has another number of channels or another size.
        """
        check_input(x, self.geometry)
        if self.placement.redraw:
            self._redraw(x)
        if self.grouping.order.device != x.device:
            self.grouping = self.grouping.to(x.device)
        single = self.is_single(x)
        y = self.at_locations(x[None] if single else x, self.geometry, self.grouping, self._multiply)
        outputs = assemble(y, self.geometry)
        return outputs[0] if single else outputs

    def _redraw(self, x: Tensor) -> None:
        rng = self.placement_rng
        if rng is None:  # torch's own, which its checkpoints bring back
            self._place(self.placement.redrawn(torch.default_generator))
            return
        with self.passes.around(x, (self.training, version_of(self.weight)), rng.get_state, rng.set_state):
            self._place(self.placement.redrawn(rng))

    def _multiply(self, patches: Tensor) -> Tensor:
        """Multiply each group of locations with its weights: (kernels, vectors, in) -> (kernels, vectors, out)."""
        groups = self.geometry.groups
        weight = self._by_group(self.existing_weight())
        outputs: Tensor = _Product.apply(split_channels(patches, groups), weight)
        outputs, bias = join_channels(outputs, groups), self.bias
        if bias is None:
            return outputs
        return outputs + (bias[self.placement.kernel_of_tile] if self.copies_differ else bias)[:, None, :]

    def _place(self, chosen: Placement) -> None:
        self.placement = chosen
        if self.copies_differ:
            self.grouping = Grouping.of(chosen.tile_of_location, chosen.tiles)
        else:
            self.grouping = Grouping.of(chosen.kernel_of_location, chosen.kernels)

    def extra_repr(self) -> str:
        """Return the settings, as the constructor takes them."""
        return (
            f"{self._sizes_in_words(input_size=self.geometry.input_size)}, bias={self.bias is not None}, "
            f"placement={self.placement.spec!r}"
        )


class LocallyConnected1d(LocallyConnected):
    """A `LocallyConnected` layer of signals, (batch, channels, length).

    Example:
        >>> layer = LocallyConnected1d(1, 4, kernel_size=3, input_size=8, placement="blocks(cols=2)")
        >>> layer(torch.zeros(5, 1, 8)).shape, layer.weight.shape
        (torch.Size([5, 4, 6]), torch.Size([2, 4, 1, 3]))
    """

    dimensions: ClassVar[int] = 1


class LocallyConnected2d(LocallyConnected):
    """A `LocallyConnected` layer of images, (batch, channels, height, width); sizes are (vertical, horizontal).

    Example:
        >>> layer = LocallyConnected2d(1, 4, kernel_size=3, input_size=8, placement="blocks(rows=2,cols=2)")
        >>> layer(torch.zeros(5, 1, 8, 8)).shape, layer.weight.shape
        (torch.Size([5, 4, 6, 6]), torch.Size([4, 4, 1, 3, 3]))
    """

    dimensions: ClassVar[int] = 2


class LocallyConnected3d(LocallyConnected):
    """A `LocallyConnected` layer of volumes, (batch, channels, depth, height, width).

    Example:
        >>> layer = LocallyConnected3d(1, 4, kernel_size=3, input_size=4)
        >>> layer(torch.zeros(5, 1, 4, 4, 4)).shape, layer.weight.shape
        (torch.Size([5, 4, 2, 2, 2]), torch.Size([8, 4, 1, 3, 3, 3]))
    """

    dimensions: ClassVar[int] = 3


class _Product(torch.autograd.Function):
    """patches @ weight^T for every kernel, and its gradients, each with its memory in the better order.

    torch's CPU product is 3 times slower with fewer than 16 numbers (one AVX-512 register) in its last axis:
    for 36 kernels of 64 x 288 on 2 cores, 0.30 ms against 0.09 ms at 8 vectors, equal from 16 on. So few
    vectors stay out of the last axis; else they go there, and outputs leave with the batch innermost, where
    the next layer wants it. And the weight's gradient lies as the weight does: torch's own would lie
    transposed at few vectors, and be copied; for 16 kernels of 128 x 576 and 8 vectors, on one core, 3.0 ms
    forward and backward against 1.5 ms.
    """

    @staticmethod
    def forward(ctx: Any, patches: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(patches, weight)
        return _multiply_last_axes(patches, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        patches, weight = ctx.saved_tensors
        # Under autocast the outputs of this layer and the one before have fewer bits than the weights.
        grad, patches = grad.to(weight.dtype), patches.to(weight.dtype)
        return (
            _multiply_last_axes(grad, weight) if ctx.needs_input_grad[0] else None,
            torch.bmm(grad.transpose(1, 2), patches) if ctx.needs_input_grad[1] else None,
        )


_FEW_VECTORS = 16


def _multiply_last_axes(vectors: Tensor, matrix: Tensor) -> Tensor:
    """(kernels, vectors, n) @ (kernels, n, m)."""
    if vectors.shape[1] < _FEW_VECTORS:
        return torch.bmm(vectors, matrix)
    return torch.bmm(matrix.transpose(1, 2), vectors.transpose(1, 2)).transpose(1, 2)
