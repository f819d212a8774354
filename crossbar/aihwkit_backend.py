"""The reference: T real aihwkit tiles, one after the other. Slow, exact, for tests and for doubters."""

from collections import OrderedDict
from copy import deepcopy
from typing import Any

import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from aihwkit.simulator.parameters.mapping import MappingParameter
from aihwkit.simulator.tiles.inference import InferenceTile
from torch import Tensor, nn

from .mvm import Gains, outer_sum
from .periphery import Periphery


class ReferenceTiles:
    """T of aihwkit's C++ tiles whose weights are slices of one tensor.

    They do the analog product only; scales, ranges, modifiers, programming and drift are the tile array's.

    Args:
        tiles: Number of tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit inference configuration.
        periphery: What is frozen in the tiles' periphery; the C++ tiles get the same values.
    """

    def __init__(
        self, tiles: int, out_size: int, in_size: int, rpu_config: Any, periphery: Periphery
    ) -> None:
        # Only what concerns the product: a mapping of one tile, without aihwkit's own scales and ranges.
        config = InferenceRPUConfig(
            forward=deepcopy(rpu_config.forward),
            mapping=MappingParameter(max_input_size=0, max_output_size=0),
        )
        self.weight = torch.zeros(tiles, out_size, in_size)
        self.tiles = [InferenceTile(out_size, in_size, config) for _ in range(tiles)]
        for index, tile in enumerate(self.tiles):
            tile.tile.set_shared_weights(self.weight[index])
            _share_periphery(tile, periphery, index)

    def mvm(self, weight: Tensor, x: Tensor, gains: Gains, *, is_test: bool) -> Tensor:
        """Multiply (tiles, batch, in) by (tiles, out, in), tile after tile, with aihwkit's gradient rules."""
        result: Tensor = _Loop.apply(weight, x, gains, self, is_test)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> "ReferenceTiles":
        raise NotImplementedError(
            "copying real aihwkit tiles loses state; copy a model with backend='batched'"
        )


def _share_periphery(tile: InferenceTile, periphery: Periphery, index: int) -> None:
    parameters = tile.get_forward_parameters()
    ours = {
        "out_noise_values": periphery.out_noise_values,
        "v_offset": periphery.v_offset,
        "out_nonlinearity": periphery.out_nonlinearity,
        "out_nonlinearity_factor": periphery.nonlinearity_factor,
        "w_asymmetry": periphery.w_asymmetry,
    }
    shared = OrderedDict(parameters)
    for name, values in ours.items():
        if values is not None and parameters[name].numel() > 0:
            shared[name] = values[index].detach().reshape(parameters[name].shape).clone()
    tile.set_forward_parameters(shared)


class LoopOfTiles(nn.Module):
    """What a user of aihwkit writes for T tiles: a Python loop over T complete tile modules.

    The baseline of `xbar bench`, with aihwkit's own scales, ranges, modifiers and autograd.

    Args:
        tiles: Number of tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit configuration; its class decides which tile of aihwkit is used.
    """

    def __init__(self, tiles: int, out_size: int, in_size: int, rpu_config: Any) -> None:
        super().__init__()
        self.tiles = nn.ModuleList(
            rpu_config.tile_class(out_size, in_size, deepcopy(rpu_config), bias=False) for _ in range(tiles)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (tiles, batch, in) to (tiles, batch, out), one tile after the other."""
        return torch.stack([tile(vectors) for tile, vectors in zip(self.tiles, x, strict=True)])

    def set_weights(self, weight: Tensor) -> None:
        """Set every tile's weights, (tiles, out, in)."""
        for tile, values in zip(self.tiles, weight, strict=True):
            tile.set_weights(values)  # type: ignore[operator]

    def after_step(self) -> None:
        """Clip, remap and modify, as aihwkit's optimizers ask every tile to do after a step."""
        for tile in self.tiles:
            tile.post_update_step()  # type: ignore[operator]


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        x: Tensor,
        gains: Gains,
        reference: ReferenceTiles,
        is_test: bool,
    ) -> Tensor:
        ctx.reference = reference
        reference.weight.copy_(weight)
        ctx.save_for_backward(reference.weight.clone(), x, *gains)
        outputs = [
            tile.tile.forward(vectors.contiguous(), False, False, False, is_test)
            for tile, vectors in zip(reference.tiles, x, strict=True)
        ]
        return torch.stack(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, *saved = ctx.saved_tensors
        gains, grad = Gains(*saved), grads[0]
        ctx.reference.weight.copy_(weight)
        tiles = ctx.reference.tiles
        into_x = gains.for_x(grad).contiguous()
        grad_x = [tile.tile.backward(d, False) for tile, d in zip(tiles, into_x, strict=True)]
        return outer_sum(gains.for_weight(grad), x), torch.stack(grad_x), None, None, None
