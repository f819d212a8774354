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

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import Geometry
from .grouping import Grouping


def check_input(x: Tensor, geometry: Geometry) -> None:
    """Refuse inputs of another size, which a layer would read wrongly without noticing.

    Raises:
        ValueError: If `x` is not (batch, in_channels, *sizes), or one input without the batch.
    """
    expected = (geometry.in_channels, *geometry.input_size)
    if x.dim() - len(expected) not in (0, 1) or x.shape[-len(expected) :] != expected:
        raise ValueError(
            f"`x` must have the shape (batch, {', '.join(map(str, expected))}), or that without batch, "
            f"but is {tuple(x.shape)}. Resize the input, or make the layer for it."
        )


def extract_patches(x: Tensor, geometry: Geometry, *, locations_first: bool = True) -> Tensor:
    """Cut out what each location sees: the windows of a convolution, with padding where they leave the input.

    Args:
        x: Signals, images or volumes, (batch, in_channels, *sizes).
        geometry: Sizes of the layer.
        locations_first: Whether a patch lies together in memory, best where each location has its own tile;
            otherwise an element of all patches does, best where tiles are shared (`group_patches` then makes
            no copy for one group, and one copy otherwise). The values are the same.

    Returns:
        (locations, batch, patch_size): locations row-major, patches in the order (channel, kernel row, kernel
        column), as torch's `unfold` does. A strided view of memory in which the batch is innermost.

    Raises:
        ValueError: If the inputs do not have the geometry's size.
    """
    check_input(x, geometry)
    if geometry.padding_mode != "zeros":
        x, geometry = continue_around(x, geometry), geometry.unpadded()
    patches: Tensor = _Extract.apply(x, geometry, locations_first)
    return patches


def fold_patches(patches: Tensor, geometry: Geometry) -> Tensor:
    """Add up patches where they overlap, and leave out what lies on zero padding: what `extract_patches` undoes.

    The gradient of `extract_patches`, and the way in which a transposed convolution puts its outputs together.

    Args:
        patches: (locations, batch, patch_size).
        geometry: Sizes of the layer that cuts such patches out.

    Returns:
        (batch, in_channels, *sizes).
    """
    folded: Tensor = _Fold.apply(patches, geometry)
    return folded


def continue_around(x: Tensor, geometry: Geometry) -> Tensor:
    """Lay around inputs what a padding mode other than zeros says, in a memory in which the batch is innermost."""
    axes = geometry.dimensions
    x = x.movedim(0, -1)  # (channels, *sizes, batch)
    for axis, size, before, after in zip(range(axes), geometry.input_size, *geometry.paddings, strict=True):
        if before or after:
            element = torch.arange(-before, size + after, device=x.device)
            if geometry.padding_mode == "circular":
                element = element % size
            elif geometry.padding_mode == "reflect":
                element = (size - 1 - (size - 1 - element.abs()).abs()).abs()
            else:
                element = element.clamp(0, size - 1)
            x = x.index_select(axis + 1, element)
    return x.movedim(-1, 0)


def windows_of(x: Tensor, geometry: Geometry) -> Tensor:
    """Return the windows of all locations, which overlap: a view (*map, channels, *kernel, batch).

    Args:
        x: (batch, in_channels, *sizes); what lies around it is zero.
        geometry: Sizes of the layer.
    """
    before, after = geometry.paddings
    pixels = x.movedim(0, -1)  # (channels, *sizes, batch)
    if any(before) or any(after):
        pixels = F.pad(pixels, (0, 0, *_last_axis_first(before, after)))
    elif pixels.stride(-1) != 1:
        # One transposition of the image costs less than one for each of the overlapping windows.
        pixels = pixels.contiguous()
    channel, *along, image = pixels.stride()
    steps = [stride * step for stride, step in zip(along, geometry.stride, strict=True)]
    distances = [stride * distance for stride, distance in zip(along, geometry.dilation, strict=True)]
    return pixels.as_strided(
        (*geometry.output_size, x.shape[1], *geometry.kernel_size, len(x)),
        (*steps, channel, *distances, image),
    )


def without_padding(pixels: Tensor, geometry: Geometry) -> Tensor:
    """Return (batch, in_channels, *sizes) without their padding, from (*padded sizes, in_channels, batch)."""
    before, after = geometry.paddings
    if min(after) < 0:  # elements that no window reaches
        pixels = F.pad(pixels, (0, 0, 0, 0, *(-n for n in _last_axis_first(before, after))))
    else:
        ends = [start + size for start, size in zip(before, geometry.input_size, strict=True)]
        pixels = pixels[tuple(map(slice, before, ends))]
    return pixels.movedim((-1, -2), (0, 1))


class _Extract(torch.autograd.Function):
    """Copies of overlapping windows; the gradient adds the copies up again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry, locations_first: bool) -> Tensor:
        ctx.geometry = geometry
        axes, batch = geometry.dimensions, len(x)
        windows = windows_of(x, geometry)
        if locations_first:
            return windows.reshape(geometry.locations, geometry.patch_size, batch).transpose(1, 2)
        elements = windows.permute(*range(axes, 2 * axes + 1), *range(axes), 2 * axes + 1)
        return elements.reshape(geometry.patch_size, geometry.locations, batch).permute(1, 2, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Fold.apply(grad, ctx.geometry), None, None


class _Fold(torch.autograd.Function):
    """Sums over overlapping windows; the gradient copies them out again."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, geometry: Geometry) -> Tensor:
        ctx.geometry = geometry
        axes, channels, batch = geometry.dimensions, geometry.in_channels, patches.shape[1]
        windows = patches.reshape(*geometry.output_size, batch, channels, *geometry.kernel_size)
        windows = windows.movedim(axes, -1)  # (*map, channels, *kernel, batch)
        pixels = patches.new_zeros(*geometry.padded_size, channels, batch)
        windows = windows.movedim(tuple(range(axes + 1, 2 * axes + 1)), tuple(range(axes)))
        for element in itertools.product(*map(range, geometry.kernel_size)):
            pixels[_places(element, geometry)] += windows[element]
        return without_padding(pixels, geometry)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Extract.apply(grad, ctx.geometry, True), None


def _places(element: tuple[int, ...], geometry: Geometry) -> tuple[slice, ...]:
    """Return where on the padded input an element of the kernel lies, over all locations."""
    places = zip(element, geometry.dilation, geometry.stride, geometry.output_size, strict=True)
    return tuple(slice(i * d, i * d + (n - 1) * step + 1, step) for i, d, step, n in places)


def _last_axis_first(before: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    """Return paddings in the order in which torch's `pad` takes them."""
    return [n for pair in reversed(list(zip(before, after, strict=True))) for n in pair]


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
    """Lay the outputs of all locations out as a map.

    Args:
        outputs: (locations, batch, out_channels).
        geometry: Sizes of the layer.

    Returns:
        (batch, out_channels, *output_size), a view: what the next layer reads stays in the order in which
        this one computed it. So use `flatten` or `reshape` on it; `view` may find no view.
    """
    return outputs.unflatten(0, geometry.output_size).movedim((-2, -1), (0, 1))
