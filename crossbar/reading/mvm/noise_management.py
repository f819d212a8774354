"""Noise management: by how much each vector is scaled into the range of the DAC."""

import torch
from torch import Tensor

from ...aihwkit.adapter import IOParameters, NoiseManagementType
from ..periphery import Periphery, resolution

# Decay of the running mean of AVERAGE_ABS_MAX and the weight that ABS_MAX_NP_SUM assumes: aihwkit's C++
# defaults `nm_decay` and `nm_assumed_wmax`, which its Python side cannot set.
AVERAGE_DECAY = 1e-3
ASSUMED_WEIGHT = 0.6


def noise_management(
    x: Tensor, io: IOParameters, kind: NoiseManagementType, periphery: Periphery
) -> Tensor | None:
    """Compute the scale that noise management divides each vector by.

    Args:
        x: (tiles, batch, in) input vectors.
        io: Settings of the periphery.
        kind: How the scale follows from the vector.
        periphery: Holds the running mean of AVERAGE_ABS_MAX, which is advanced.

    Returns:
        (tiles, batch, 1), or (1, 1, 1) for a constant, or None for no scaling.
    """
    if kind == NoiseManagementType.NONE:
        return None
    threshold = io.nm_thres
    if kind == NoiseManagementType.CONSTANT:
        constant = threshold if threshold > 0 else 1.0
        # A factor of one changes no bit, and leaving it out saves two passes over the data.
        return None if constant == 1.0 else x.new_full((1, 1, 1), constant)
    signed = kind == NoiseManagementType.MAX
    alpha = (x if signed else x.abs()).amax(dim=2, keepdim=True)
    if kind == NoiseManagementType.AVERAGE_ABS_MAX:
        return _running_mean(alpha, periphery)
    if threshold > 0:
        alpha = alpha.clamp(max=threshold)
    if kind == NoiseManagementType.ABS_MAX_NP_SUM:
        bound = io.out_bound if io.out_bound > 0 else 1.0
        positive = x.clamp(min=0).sum(dim=2, keepdim=True)
        negative = -x.clamp(max=0).sum(dim=2, keepdim=True)
        # Multiplied, then divided: the last bit of the scale decides ties of the DAC.
        needed = torch.maximum(positive, negative) * ASSUMED_WEIGHT / bound
        step = resolution(io.inp_res, io.inp_bound)
        if step > 0:
            needed = torch.minimum(alpha / step * io.max_bm_res, needed)
        alpha = torch.maximum(alpha, needed)
    return alpha


def _running_mean(abs_max: Tensor, periphery: Periphery) -> Tensor:
    """Advance the running mean of the largest input, vector by vector, each tile its own."""
    mean = periphery.average_abs_max
    if mean is None:
        raise RuntimeError("the periphery was fabricated for another noise management")
    history = []
    for largest in abs_max[..., 0].unbind(dim=1):
        mean = torch.where(mean < 0, largest, mean * (1 - AVERAGE_DECAY) + AVERAGE_DECAY * largest)
        history.append(mean)
    periphery.average_abs_max = mean.detach()
    return torch.stack(history, dim=1)[..., None]


def inverse(alpha: Tensor | None) -> Tensor | None:
    """Return the factor into the DAC's range; a vector without positive scale is passed on as it is."""
    if alpha is None:
        return None
    return torch.where(alpha > 0, 1.0 / alpha, torch.ones_like(alpha))
