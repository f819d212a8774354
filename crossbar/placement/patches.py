"""Patches: what each location sees of an image, sorted by the tile that serves it, and back to an image.

Memory orders decide the speed here: the products themselves run equally fast in all of them (but see
`locally_connected.py`), the copies around them do not. Copies are fast if the batch lies innermost, in rows of
`batch` neighbouring numbers, from one layer to the next. Measured forward and backward on 2 cores, batch 64,
for the middle layer of the paper's MNIST network (36 patches of 32 x 3 x 3, a 13 x 13 input), in ms:

    input in memory order (H, W, C, B), as the layer before leaves it   0.08 forward, 0.15 backward
    input in torch's memory order (B, C, H, W)                          0.17          0.15
    `F.unfold` and its transpose to patches                             0.9           0.7
    `Tensor.unfold` and torch's own gradient of it                      0.1           2.1

The three products of that layer take 1.4 ms.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import Geometry
from .grouping import Grouping


def check_input(x: Tensor, geometry: Geometry) -> None:
    """Refuse images of another size, which a layer would read wrongly without noticing.

    Raises:
        ValueError: If `x` is not (batch, in_channels, height, width), or one image without the batch.
    """
    expected = (geometry.in_channels, *geometry.input_size)
    if x.dim() not in (3, 4) or x.shape[-3:] != expected:
        raise ValueError(
            f"`x` must have the shape (batch, {', '.join(map(str, expected))}), or that without batch, "
            f"but is {tuple(x.shape)}. Resize the images, or make the layer for them."
        )


def extract_patches(x: Tensor, geometry: Geometry, *, locations_first: bool = True) -> Tensor:
    """Cut out what each location sees: the windows of a convolution, with zeros where they leave the image.

    Args:
        x: Images, (batch, in_channels, height, width).
        geometry: Sizes of the layer.
        locations_first: Whether a patch lies together in memory, best where each location has its own tile;
            otherwise an element of all patches does, best where tiles are shared (`group_patches` then makes
            no copy for one group, and one copy otherwise). The values are the same.

    Returns:
        (locations, batch, patch_size): locations row-major, patches in the order (channel, kernel row, kernel
        column), as torch's `unfold` does. A strided view of memory in which the batch is innermost.

    Raises:
        ValueError: If the images do not have the geometry's size.
    """
    check_input(x, geometry)
    patches: Tensor = _Extract.apply(x, geometry, locations_first)
    return patches


class _Extract(torch.autograd.Function):
    """Copies of overlapping windows; the gradient adds the copies up again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry, locations_first: bool) -> Tensor:
        ctx.geometry = geometry
        batch, channels = x.shape[:2]
        (vertical, horizontal), (stride_y, stride_x) = geometry.padding, geometry.stride
        pixels = x.permute(1, 2, 3, 0)  # (channels, height, width, batch)
        if vertical or horizontal:
            pixels = F.pad(pixels, (0, 0, horizontal, horizontal, vertical, vertical))
        elif pixels.stride(3) != 1:
            # One transposition of the image costs less than one for each of the overlapping windows.
            pixels = pixels.contiguous()
        channel, row, column, image = pixels.stride()
        (kernel_height, kernel_width), (dilation_y, dilation_x) = geometry.kernel_size, geometry.dilation
        windows = pixels.as_strided(
            (*geometry.output_size, channels, kernel_height, kernel_width, batch),
            (row * stride_y, column * stride_x, channel, row * dilation_y, column * dilation_x, image),
        )
        if locations_first:
            return windows.reshape(geometry.locations, geometry.patch_size, batch).transpose(1, 2)
        elements = windows.permute(2, 3, 4, 0, 1, 5)
        return elements.reshape(geometry.patch_size, geometry.locations, batch).permute(1, 2, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        geometry: Geometry = ctx.geometry
        (rows, columns), (height, width) = geometry.output_size, geometry.input_size
        (stride_y, stride_x), (vertical, horizontal) = geometry.stride, geometry.padding
        batch, channels = grad.shape[1], geometry.in_channels
        windows = grad.reshape(rows, columns, batch, channels, *geometry.kernel_size).permute(
            0, 1, 3, 4, 5, 2
        )
        pixels = grad.new_zeros(*geometry.padded_size, channels, batch)
        for i in range(geometry.kernel_size[0]):
            for j in range(geometry.kernel_size[1]):
                top, left = i * geometry.dilation[0], j * geometry.dilation[1]
                bottom, right = top + (rows - 1) * stride_y + 1, left + (columns - 1) * stride_x + 1
                pixels[top:bottom:stride_y, left:right:stride_x] += windows[:, :, :, i, j]
        image = pixels[vertical : vertical + height, horizontal : horizontal + width]
        return image.permute(3, 2, 0, 1), None, None


def group_patches(patches: Tensor, grouping: Grouping) -> Tensor:
    """Sort patches by group; what pads a group are zero vectors.

    Args:
        patches: (locations, batch, patch_size), from `extract_patches`.
        grouping: Which group serves a location.

    Returns:
        (groups, width * batch, patch_size), in a group location by location. No copy if every location is its
        own group, nor for one group if the patches were extracted with `locations_first=False`.
    """
    if grouping.is_identity:
        return patches
    if grouping.is_single:
        return patches.reshape(1, grouping.width * patches.shape[1], patches.shape[2])
    grouped: Tensor = _Group.apply(patches, grouping.to(patches.device))
    return grouped


def ungroup(outputs: Tensor, grouping: Grouping, batch: int) -> Tensor:
    """Undo `group_patches`: sort the groups' outputs by location and drop those of padding.

    Args:
        outputs: (groups, width * batch, outputs of a location).
        grouping: Which group serves a location.
        batch: Size of the batch.

    Returns:
        (locations, batch, outputs of a location).
    """
    if grouping.is_identity:
        return outputs
    if grouping.is_single:
        return outputs.reshape(grouping.width, batch, outputs.shape[2])
    by_location: Tensor = _Ungroup.apply(outputs, grouping.to(outputs.device), batch)
    return by_location


class _Group(torch.autograd.Function):
    """A location fills exactly one slot, so the gradient is a gather too, not the sum torch would make."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, grouping: Grouping) -> Tensor:
        ctx.grouping, ctx.batch = grouping, patches.shape[1]
        return _gather_groups(patches, grouping)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Ungroup.apply(grad, ctx.grouping, ctx.batch), None


class _Ungroup(torch.autograd.Function):
    """The adjoint of `_Group`."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, grouping: Grouping, batch: int) -> Tensor:
        ctx.grouping = grouping
        return _gather_locations(outputs, grouping, batch)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Group.apply(grad, ctx.grouping), None, None


def _gather_groups(values: Tensor, grouping: Grouping) -> Tensor:
    """(locations, batch, n) -> (groups, width * batch, n), zero where padded."""
    _, batch, size = values.shape
    slots = grouping.order.flatten()
    rows = values.permute(2, 0, 1).index_select(1, slots.clamp(min=0))  # (n, slots, batch)
    if grouping.valid is not None:
        rows[:, slots < 0] = 0
    return rows.view(size, grouping.groups, grouping.width * batch).permute(1, 2, 0)


def _gather_locations(values: Tensor, grouping: Grouping, batch: int) -> Tensor:
    """(groups, width * batch, n) -> (locations, batch, n)."""
    slots = grouping.slot_of_location
    blocks = values.unflatten(1, (grouping.width, batch))  # (groups, width, batch, n)
    chosen = blocks.transpose(2, 3)[slots // grouping.width, slots % grouping.width]
    return chosen.transpose(1, 2)


def assemble(outputs: Tensor, geometry: Geometry) -> Tensor:
    """Lay the outputs of all locations out as an image.

    Args:
        outputs: (locations, batch, out_channels).
        geometry: Sizes of the layer.

    Returns:
        (batch, out_channels, rows, columns), a view: what the next layer reads stays in the order in which
        this one computed it. So use `flatten` or `reshape` on it; `view` may find no view.
    """
    return outputs.unflatten(0, geometry.output_size).permute(2, 3, 0, 1)
