"""Kernels larger than a physical tile: split into blocks of rows and columns, with digital partial sums."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


def block_starts(total: int, largest: int) -> list[int]:
    """Split a length into near-equal blocks, none above `largest`; 0 stands for no limit.

    Returns:
        Where each block starts, and the total at the end.

    Example:
        >>> block_starts(576, 512)
        [0, 288, 576]
        >>> block_starts(10, 4)
        [0, 4, 7, 10]
    """
    blocks = 1 if largest <= 0 else -(-total // largest)
    small, extra = divmod(total, blocks)
    starts = [0]
    for block in range(blocks):
        starts.append(starts[-1] + small + (block < extra))
    return starts


@dataclass(frozen=True)
class KernelBlocks:
    """How one (out, in) kernel lies on a grid of physical tiles.

    All tiles are equal; where the blocks are not, the surplus cells of the smaller ones hold no device.

    Args:
        out_size: Outputs of the kernel.
        in_size: Inputs of the kernel.
        max_out: Bit lines of a physical tile, 0 for no limit.
        max_in: Word lines of a physical tile, 0 for no limit.
    """

    out_size: int
    in_size: int
    max_out: int = 0
    max_in: int = 0

    @cached_property
    def out_starts(self) -> list[int]:
        """Where the blocks of outputs start, and the end."""
        return block_starts(self.out_size, self.max_out)

    @cached_property
    def in_starts(self) -> list[int]:
        """Where the blocks of inputs start, and the end."""
        return block_starts(self.in_size, self.max_in)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Blocks of outputs and blocks of inputs."""
        return len(self.out_starts) - 1, len(self.in_starts) - 1

    @cached_property
    def tile_shape(self) -> tuple[int, int]:
        """Bit lines and word lines of each tile: those of the largest block."""
        return -(-self.out_size // self.grid[0]), -(-self.in_size // self.grid[1])

    @cached_property
    def per_kernel(self) -> int:
        """Physical tiles for one kernel."""
        return self.grid[0] * self.grid[1]

    @cached_property
    def outputs_of_blocks(self) -> list[int]:
        """How many outputs each physical tile of a kernel has."""
        return [stop - start for start, stop in pairwise(self.out_starts) for _ in range(self.grid[1])]

    def split(self, weight: Tensor) -> Tensor:
        """Cut kernels (kernels, out, in) into (kernels * per_kernel, tile out, tile in), padded by zeros."""
        if self.per_kernel == 1:
            return weight
        rows, columns = self.tile_shape
        blocks = weight.new_zeros(len(weight), *self.grid, rows, columns)
        for i, j, outs, ins in self.pieces():
            blocks[:, i, j, : outs.stop - outs.start, : ins.stop - ins.start] = weight[:, outs, ins]
        return blocks.reshape(-1, rows, columns)

    def join(self, blocks: Tensor) -> Tensor:
        """Undo `split`."""
        if self.per_kernel == 1:
            return blocks
        grid = blocks.reshape(-1, *self.grid, *self.tile_shape)
        weight = blocks.new_zeros(len(grid), self.out_size, self.in_size)
        for i, j, outs, ins in self.pieces():
            weight[:, outs, ins] = grid[:, i, j, : outs.stop - outs.start, : ins.stop - ins.start]
        return weight

    def populated(self, kernels: int, present: Tensor | None = None) -> Tensor | None:
        """Return which cells hold a device, or None if all do.

        Args:
            kernels: Number of kernels.
            present: (kernels, out, in) which of their weights have one, or (tiles, out, in); all if None. The line of
                a bias on the tile, which may stand behind them, does.
        """
        rows, columns = self.tile_shape
        if present is not None:
            behind = self.in_size - present.shape[2]
            return self.split(torch.nn.functional.pad(present.float(), (0, behind), value=1.0)).bool()
        if self.grid[0] * rows == self.out_size and self.grid[1] * columns == self.in_size:
            return None
        return self.split(torch.ones(kernels, self.out_size, self.in_size)).bool()

    def spread_inputs(self, x: Tensor) -> Tensor:
        """Give every physical tile its inputs: (tiles, batch, in) -> (tiles * per_kernel, batch, tile in)."""
        if self.per_kernel == 1:
            return x
        tiles, batch, _ = x.shape
        columns = self.tile_shape[1]
        if self.grid[1] * columns == self.in_size:  # equal blocks: no copy while the batch is innermost
            spread = x.unflatten(2, (self.grid[1], columns)).transpose(1, 2)[:, None]
            return spread.expand(-1, self.grid[0], -1, -1, -1).flatten(0, 2)
        pieces = [
            torch.nn.functional.pad(x[:, :, start:stop], (0, columns - (stop - start)))
            for start, stop in pairwise(self.in_starts)
        ]
        spread = torch.stack(pieces, dim=1)[:, None].expand(-1, self.grid[0], -1, -1, -1)
        return spread.reshape(tiles * self.per_kernel, batch, columns)

    def sum_outputs(self, y: Tensor) -> Tensor:
        """Add the partial sums digitally: (tiles * per_kernel, batch, tile out) -> (tiles, batch, out)."""
        if self.per_kernel == 1:
            return y
        parts = y.unflatten(0, (-1, *self.grid)).sum(dim=2)
        if self.grid[0] == 1:
            return parts[:, 0]
        pieces = [parts[:, i, :, : stop - start] for i, (start, stop) in enumerate(pairwise(self.out_starts))]
        return torch.cat(pieces, dim=2)

    def pieces(self) -> list[tuple[int, int, slice, slice]]:
        """Return each block: its place in the grid, and which outputs and inputs of the kernel it has."""
        outs = [slice(*pair) for pair in pairwise(self.out_starts)]
        ins = [slice(*pair) for pair in pairwise(self.in_starts)]
        return [(i, j, o, n) for i, o in enumerate(outs) for j, n in enumerate(ins)]
