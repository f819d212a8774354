"""Ohm and Kirchhoff: what flows out of the bit lines of many tiles."""

import torch
from torch import Tensor

from ...aihwkit.adapter import AnalogMVType, IOParameters, WeightNoiseType
from ..fused_loops import as_rows, lower_by_drop
from ..periphery import Stages
from .moments import moments_of
from .products import product


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
    reads_devices = io.w_noise > 0 and io.w_noise_type == WeightNoiseType.PCM_READ
    if io.ir_drop > 0 or reads_devices:
        moments = moments_of(weight, v, io, stages)
    if io.ir_drop > 0:
        # aihwkit's steady-state fit. Its documentation puts the first input farthest from the output; in its code,
        # and so here, that one is the nearest, which loses nothing.
        load, near = ((stages.scratch(name, y) if in_scratch else None) for name in ("load", "near"))
        load, near = moments.load(load), moments.near(near)
        gain = v.shape[2] / io.ir_drop_g_ratio
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
    elif reads_devices:
        # Of separate reads, the variance of one is kept while the other is computed.
        is_alone = in_scratch and io.mv_type == AnalogMVType.ONE_PASS
        variance = moments.square(stages.scratch("load", y) if is_alone else None).mul_(io.w_noise**2)
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
