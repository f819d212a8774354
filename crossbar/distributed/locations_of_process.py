"""The locations of a map whose tiles one process holds: their patches, and all outputs put together."""

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import final

from ..placement.geometry import Geometry
from ..placement.patches import continue_around, windows_of, without_padding
from . import communication
from .traffic import Traffic


@final
@dataclass(frozen=True)
class LocationsOfProcess:
    """A range of locations of an output map, numbered row-major: those whose tiles this process holds.

    Attributes:
        starts: First location of every process, and the number of all at the end.
        traffic: What this process has received for the layer.
    """

    starts: tuple[int, ...]
    traffic: Traffic = field(default_factory=Traffic, compare=False)

    @cached_property
    def own(self) -> slice:
        """The locations of this process."""
        number = communication.rank()
        return slice(self.starts[number], self.starts[number + 1])

    def patches(self, x: Tensor, geometry: Geometry) -> Tensor:
        """Cut out what the own locations see; `extract_patches` of them.

        Backward, the gradients of all processes meet on the input: where windows of several processes overlap they
        are added in the order of one process alone, location by location from the last to the first, so that the
        sums are the same to the last bit. Every process gets the whole gradient.

        Args:
            x: Signals, images or volumes, (batch, in_channels, *sizes), the same in every process.
            geometry: Sizes of the layer.

        Returns:
            (own locations, batch, patch_size).
        """
        if geometry.padding_mode != "zeros":
            x, geometry = continue_around(x, geometry), geometry.unpadded()
        patches: Tensor = _OwnPatches.apply(x, geometry, self)
        return patches

    def outputs(self, y: Tensor) -> Tensor:
        """Return the outputs of all locations, (locations, batch, outputs), from those of the own ones.

        Backward, each process keeps the gradient of its own locations.
        """
        whole: Tensor = _AllOutputs.apply(y, self)
        return whole

    def rows(self, geometry: Geometry) -> list[tuple[int, int]]:
        """Return, for every process, the first row of the map that it has locations of, and the one after the last.

        Rows are those of the first axis.
        """
        of_row = math.prod(geometry.output_size[1:])
        return [(start // of_row, -(-stop // of_row)) for start, stop in itertools.pairwise(self.starts)]


class _AllOutputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, locations: LocationsOfProcess) -> Tensor:
        ctx.own = locations.own
        # As it lies in memory, which is how the next layer of a single process would find it.
        is_flipped = not y.is_contiguous()
        in_order = y.transpose(1, 2) if is_flipped else y
        note = partial(locations.traffic.note, "forward")
        whole = communication.gather(in_order, locations.starts, note=note)
        return whole.transpose(1, 2) if is_flipped else whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0][ctx.own], None


class _OwnPatches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry, locations: LocationsOfProcess) -> Tensor:
        ctx.geometry, ctx.locations = geometry, locations
        first, after = locations.rows(geometry)[communication.rank()]
        windows = windows_of(x, geometry)[first:after]
        patches = windows.reshape(-1, geometry.patch_size, len(x))
        skipped = locations.own.start - first * math.prod(geometry.output_size[1:])
        own = patches[skipped : skipped + locations.own.stop - locations.own.start]
        return own.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        geometry: Geometry = ctx.geometry
        return without_padding(_fold_in_order(grads[0], geometry, ctx.locations), geometry), None, None


def _fold_in_order(patches: Tensor, geometry: Geometry, locations: LocationsOfProcess) -> Tensor:
    """Add up the patches of all processes where they overlap: (*padded sizes, channels, batch).

    A pixel gets its contributions from the last location to the first. So every process waits for the sums of the one
    after it in the rows that both reach, goes on with them, and hands on those that the one before it reaches too.
    """
    own, number = communication.rank(), communication.processes()
    reached = [_rows_of_input(rows, geometry) for rows in locations.rows(geometry)]
    first, after = reached[own]
    width = geometry.padded_size[1:], geometry.in_channels, patches.shape[1]
    pixels = patches.new_zeros(after - first, *width[0], *width[1:])
    if own + 1 < number and reached[own + 1][0] < after:
        overlap = pixels[reached[own + 1][0] - first :]
        received = torch.empty_like(overlap)
        dist.recv(received, own + 1)
        locations.traffic.note("backward", received.numel() * received.element_size())
        overlap.copy_(received)
    _add(pixels, patches, geometry, locations)
    begin = first
    if own > 0:
        begin = max(first, reached[own - 1][1])
        if begin > first:
            dist.send(pixels[: begin - first].contiguous(), own - 1)
    # Final rows: each those that no process before reaches, and none of the gaps between.
    ends = [0, *(end for _, end in reached)]
    final = patches.new_zeros(ends[own + 1] - ends[own], *width[0], *width[1:])
    final[begin - ends[own] :] = pixels[begin - first :]
    ends[-1] = geometry.padded_size[0]
    if own + 1 == number:  # rows that no window reaches
        final = torch.cat([final, final.new_zeros(ends[-1] - after, *final.shape[1:])])
    return communication.gather(final, tuple(ends), note=partial(locations.traffic.note, "backward"))


def _rows_of_input(rows: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Return the first row of the padded input that rows of locations see, and the one after the last."""
    return rows[0] * geometry.stride[0], (rows[1] - 1) * geometry.stride[0] + geometry.kernel_span[0]


def _add(pixels: Tensor, patches: Tensor, geometry: Geometry, locations: LocationsOfProcess) -> None:
    """Add the own patches to the rows of the input that they see, in the order of `fold_patches`."""
    axes, batch = geometry.dimensions, patches.shape[1]
    first, after = locations.rows(geometry)[communication.rank()]
    of_row = math.prod(geometry.output_size[1:])
    if len(patches) < (after - first) * of_row:  # rows that are shared with other processes
        skipped = locations.own.start - first * of_row
        rows = patches.new_zeros((after - first) * of_row, patches.shape[2], batch).transpose(1, 2)
        rows[skipped : skipped + len(patches)] = patches
        patches = rows
    size = after - first, *geometry.output_size[1:]
    windows = patches.reshape(*size, batch, geometry.in_channels, *geometry.kernel_size).movedim(axes, -1)
    windows = windows.movedim(tuple(range(axes + 1, 2 * axes + 1)), tuple(range(axes)))
    for element in itertools.product(*map(range, geometry.kernel_size)):
        places = zip(element, geometry.dilation, size, geometry.stride, strict=True)
        pixels[tuple(slice(i * d, i * d + (n - 1) * step + 1, step) for i, d, n, step in places)] += windows[
            element
        ]
