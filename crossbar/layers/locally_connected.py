"""The digital locally connected layer, and every degree of weight sharing up to the convolution.

Forward and backward on one core against the bare products, in ms, for the local layers of the paper's MNIST
network with `free` (169 kernels of 32 x 9, 36 of 64 x 288, 16 of 128 x 576): at batch 64 0.6, 4.6, 7.0 against
0.5, 3.2, 5.6; at batch 8 0.22, 0.9, 1.4 against 0.10, 0.5, 0.8.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..placement.connections import Connections, check_connections, present_inputs
from ..placement.geometry import Geometry, Size
from ..placement.grouping import Grouping
from ..placement.patches import assemble, check_input, extract_patches, group_patches, ungroup
from ..placement.placement import Placement, as_placement
from ..placement.saved_placement import note_placement, other_placement
from ..reading.recomputation import Passes, version_of
from ..tiles.lasting import lasting


class LocallyConnected2d(nn.Module):
    """A convolution whose locations need not share their kernel: who shares with whom, its placement says.

        y[b, o, l] = bias[k(l), o] + sum over n of weight[k(l), o, n] * patch[b, l, n]

    with k(l) the kernel of location l and n running over (channel, kernel row, kernel column). With `free`
    every location has a kernel of its own; with one kernel it is torch's `Conv2d`. Digital: tiles that hold
    the same kernel hold it exactly, so `replicated` computes what `time_multiplexed` does.

    Each kernel starts as a `Conv2d`'s: weights and biases uniform in +-1/sqrt(patch size), from torch's
    global stream. With `random(tiles, redraw=True)` the locations are dealt to the kernels anew at every
    forward pass, training or not, from `placement_rng`, or from torch's global stream where that is None.

    The output is laid out in memory for the next layer: use `flatten` or `reshape` on it, not `view`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel, an int or a pair (vertical, horizontal), as every size here.
        input_size: Height and width of the input.
        stride: Step between locations.
        padding: Zeros on each side of the input.
        dilation: Distance between the elements of a kernel.
        bias: Whether to add a bias, one for each output of each kernel.
        placement: Name with options, as "free" or "blocks(rows=2,cols=2)", or a `Placement`.
        connections: Which inputs there are, (in_channels, height, width); all if None. Weights of absent ones are
            zero and stay so. Only with placement "free".

    Raises:
        TypeError: If connections are no bool mask.
        ValueError: If the sizes are impossible, or placement or connections do not fit.

    Example:
        >>> layer = LocallyConnected2d(1, 4, kernel_size=3, input_size=8, placement="blocks(rows=2,cols=2)")
        >>> layer(torch.zeros(5, 1, 8, 8)).shape, layer.weight.shape
        (torch.Size([5, 4, 6, 6]), torch.Size([4, 4, 1, 3, 3]))
    """

    placement: Placement
    grouping: Grouping
    connections: Tensor | None

    @lasting
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        input_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
        placement: str | Placement = "free",
        connections: Connections | None = None,
    ) -> None:
        super().__init__()
        geometry = Geometry.of(in_channels, out_channels, kernel_size, input_size, stride, padding, dilation)
        self.geometry = geometry
        self.placement_rng: torch.Generator | None = None
        self.passes = Passes()
        self._place(as_placement(placement, geometry.output_size))
        kernels = self.placement.kernels
        shape = (kernels, geometry.out_channels, geometry.in_channels, *geometry.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(kernels, geometry.out_channels)) if bias else None
        self.reset_parameters()
        self.register_buffer("connections", None)
        self.connect(connections)

    @torch.no_grad()
    def connect(self, connections: Connections | None) -> None:
        """Say which inputs there are from now on; weights of absent ones become zero.

        Args:
            connections: (in_channels, height, width), or None for all.

        Raises:
            TypeError: If they are no bool mask.
            ValueError: If they do not fit the input, or locations share kernels.
        """
        check_connections(connections, self.geometry, self.placement)
        self.connections = None if connections is None else connections.to(self.weight.device)
        if connections is not None:
            present = present_inputs(connections, self.geometry)
            self.weight.mul_(present.reshape(len(self.weight), 1, *self.weight.shape[2:]))

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, each kernel as a `Conv2d`."""
        # kaiming_uniform_ with a = sqrt(5), which Conv2d calls, is this bound; it cannot read a 5d weight.
        bound = 1 / math.sqrt(self.geometry.patch_size)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

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
        """Rows and columns of the output."""
        return self.geometry.output_size

    def forward(self, x: Tensor) -> Tensor:
        """Map images to their output maps.

        Args:
            x: (batch, in_channels, height, width), or one image without the batch.

        Returns:
            (batch, out_channels, rows, columns), or without the batch.

        Raises:
            ValueError: If the input has another number of channels or another size.
        """
        check_input(x, self.geometry)
        if self.placement.redraw:
            self._redraw(x)
        if self.grouping.order.device != x.device:
            self.grouping = self.grouping.to(x.device)
        if x.dim() == 3:
            return self._compute(x[None])[0]
        return self._compute(x)

    def _redraw(self, x: Tensor) -> None:
        rng = self.placement_rng
        if rng is None:  # torch's own, which its checkpoints bring back
            self._place(self.placement.redrawn(torch.default_generator))
            return
        with self.passes.around(x, (self.training, version_of(self.weight)), rng.get_state, rng.set_state):
            self._place(self.placement.redrawn(rng))

    def _compute(self, x: Tensor) -> Tensor:
        if self.connections is not None:
            x = x * self.connections
        patches = extract_patches(x, self.geometry, locations_first=self.grouping.is_identity)
        outputs = self._multiply(group_patches(patches, self.grouping))
        return assemble(ungroup(outputs, self.grouping, x.shape[0]), self.geometry)

    def _multiply(self, patches: Tensor) -> Tensor:
        """Multiply each group with its kernel: (kernels, vectors, patch_size) -> (kernels, vectors, out)."""
        outputs: Tensor = _Product.apply(patches, self.weight.flatten(2))
        return outputs if self.bias is None else outputs + self.bias[:, None, :]

    def _place(self, chosen: Placement) -> None:
        self.placement = chosen
        self.grouping = Grouping.of(chosen.kernel_of_location, chosen.kernels)

    def extra_repr(self) -> str:
        """Return the settings, as the constructor takes them."""
        g = self.geometry
        return (
            f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, input_size={g.input_size}, "
            f"stride={g.stride}, padding={g.padding}, dilation={g.dilation}, bias={self.bias is not None}, "
            f"placement={self.placement.spec!r}"
        )


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
