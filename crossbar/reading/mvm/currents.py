"""Ohm and Kirchhoff: what flows out of the bit lines of many tiles, and the transposed product of a backward pass."""

import torch
from torch import Tensor

from ...aihwkit.adapter import AnalogMVType, IOParameters, WeightNoiseType
from ..fused_loops import as_rows, lower_by_drop
from ..memory_order import FEW_VECTORS, goes_last
from ..periphery import Stages


def product(x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply (tiles, batch, in) by (tiles, out, in): (tiles, batch, out), in the faster memory order.

    Args:
        x: Vectors.
        weight: Weights.
        out: Memory for the products in that order; fresh if None.
    """
    if not goes_last(x.shape[1]):
        return torch.bmm(x, weight.transpose(1, 2), out=out)
    out = None if out is None else out.transpose(1, 2)
    return torch.bmm(weight, x.transpose(1, 2), out=out).transpose(1, 2)


def room_for_product(x: Tensor, weight: Tensor) -> Tensor:
    """Return memory for the products of all tiles, in the order in which `product` writes them."""
    tiles, batch, _ = x.shape
    outputs = weight.shape[1]
    if not goes_last(batch):
        return x.new_empty(tiles, batch, outputs)
    return x.new_empty(tiles, outputs, batch).transpose(1, 2)


def outer_sum(grad: Tensor, x: Tensor) -> Tensor:
    """Sum the outer products of a batch: (tiles, batch, out), (tiles, batch, in) to (tiles, out, in)."""
    if x.shape[2] < FEW_VECTORS <= grad.shape[2]:
        return torch.bmm(x.transpose(1, 2), grad).transpose(1, 2).contiguous()  # as the weights lie
    return torch.bmm(grad.transpose(1, 2), x)


def bit_line_currents(
    weight: Tensor, v: Tensor, io: IOParameters, stages: Stages, out: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return the currents of the bit lines, (tiles, batch, out), and the variance of their read noise.

    Args:
        weight: What the devices hold.
        v: What the word lines carry.
        io: Settings.
        stages: What is frozen in the output stages.
        out: Memory for the currents; fresh if None.
    """
    y = product(v, weight, out)
    in_scratch = not torch.compiler.is_compiling()
    reads_magnitude = io.ir_drop > 0 or (io.w_noise > 0 and io.w_noise_type == WeightNoiseType.PCM_READ)
    if reads_magnitude:
        magnitude = torch.abs(weight, out=stages.scratch("weight", weight))
        shaped_v = stages.scratch("voltages", v)
    if io.ir_drop > 0:
        # aihwkit's steady-state fit. Its documentation puts the first input farthest from the output; in its code,
        # and so here, that one is the nearest, which loses nothing.
        inputs = v.shape[2]
        load, near = ((stages.scratch(name, y) if in_scratch else None) for name in ("load", "near"))
        load = product(torch.abs(v, out=shaped_v), magnitude, load)
        gain = inputs / io.ir_drop_g_ratio
        distance = 1 - torch.arange(inputs, dtype=v.dtype, device=v.device) / inputs
        near = product(torch.mul(v, 1 - distance**2, out=shaped_v), weight, near)
        rows = as_rows(y, load, near)
        if rows is not None:
            lower_by_drop(*rows, gain, io.ir_drop)
        else:
            drop = torch.mul(load.mul_(gain), 0.05, out=stages.scratch("drop", load))
            drop.sub_(0.2).mul_(load).add_(0.5).mul_(load)
            y.addcmul_(drop, near, value=-io.ir_drop)
    if stages.v_offset is not None:
        y = _voltage_offset(y, v, io, stages.v_offset[:, None, :])
    variance = None
    if io.w_noise > 0 and io.w_noise_type == WeightNoiseType.ADDITIVE_CONSTANT:
        variance = v.square().sum(dim=2, keepdim=True).mul_(io.w_noise**2)
    elif io.w_noise > 0 and io.w_noise_type == WeightNoiseType.PCM_READ:
        # Of separate reads, the variance of one is kept while the other is computed.
        is_alone = in_scratch and io.mv_type == AnalogMVType.ONE_PASS
        room = stages.scratch("load", y) if is_alone else None
        variance = product(torch.square(v, out=shaped_v), magnitude, room).mul_(io.w_noise**2)
    return y, variance


def _voltage_offset(y: Tensor, v: Tensor, io: IOParameters, offset: Tensor) -> Tensor:
    """Offset of the virtual ground and series resistance of the output stage.

    With `v_offset_w_min` the weight is read against a reference at that weight: the offset acts on both
    branches with opposite sign, and the series resistance on each branch by itself.
    """
    resistance = max(io.r_series, 0.0)
    if io.v_offset_w_min == 0:
        return y * (1 - offset) / (1 + resistance * y.abs()) if resistance > 0 else y * (1 - offset)
    reference = -io.v_offset_w_min * v.sum(dim=2, keepdim=True)
    if resistance == 0:
        return y * (1 - offset) - 2 * offset * reference
    branch = y + reference
    branch = (1 - offset) * branch / (1 + resistance * branch.abs())
    return branch - (1 + offset) * reference / (1 + resistance * reference.abs())
