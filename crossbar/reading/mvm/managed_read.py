"""Reads with noise and bound management: scaled into the range of the DAC, repeated where the ADC clipped."""

import torch
from torch import Tensor

from devices.looking import may_look

from ...aihwkit.adapter import BoundManagementType, IOParameters, NoiseManagementType
from ..memory_order import first_of
from ..noise import NoiseStream
from ..periphery import Periphery, resolution
from .noise_management import inverse, noise_management
from .one_read import Read, read_once
from .usual_read import usual_read


def managed_read(
    weight: Tensor,
    x: Tensor,
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    is_scaled: bool,
    keeps_x: bool = False,
    masks: bool = True,
) -> Read:
    """Read every vector, with noise and bound management; see `analog_mvm`.

    With `keeps_x` the inputs stay as they are, also where they could be used up. Without `masks` nobody asks which
    outputs were inside the range of the ADC.
    """
    usual = usual_read(weight, x, io, periphery, noise, masks)
    if usual is None:
        alpha = noise_management(x, io, io.noise_management, periphery)
        # A repetition starts from the inputs again.
        is_scaled = is_scaled and io.bound_management == BoundManagementType.NONE
        read = read_once(weight, x, inverse(alpha), io, periphery, noise, is_scaled, keeps_x, masks)
        are_any_dead = alpha is not None and io.inp_noise <= 0
    else:
        read, alpha, are_any_dead = usual
    if io.bound_management != BoundManagementType.NONE and (read.passed is not None or noise.is_shared):
        _repeat_clipped(read, weight, x, alpha, io, periphery, noise)
    if are_any_dead and alpha is not None:
        dead = alpha <= 0
        if not may_look(dead) or dead.any():
            # No voltage, no read: these outputs are exactly zero, without output noise and without gradient.
            read.y.masked_fill_(dead, 0.0)
            alive = (~dead).expand_as(read.y)
            read.inside_adc = alive if read.inside_adc is None else read.inside_adc & alive
    return read


def _repeat_clipped(
    read: Read,
    weight: Tensor,
    x: Tensor,
    alpha: Tensor | None,
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
) -> None:
    """Halve the inputs of the vectors that clipped until they pass or the limits are reached, in place."""
    step = resolution(io.inp_res, io.inp_bound)
    reduction, repetition = 1.0, 0
    looks = may_look(x)
    if read.passed is None:  # nothing clipped here, but tiles in other processes may have
        read.passed = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    while True:
        clipped = ~read.passed
        # Every process draws noise for as many vectors as the tile needs of which most clipped.
        width, stream = noise.of_some(clipped) if looks else (clipped.shape[1], noise)
        if width == 0:
            return
        if int(reduction) > io.max_bm_factor or (step > 0 and reduction > io.max_bm_res / step):
            return
        reduction *= 2.0
        repetition += 1
        worst_case = io.bound_management == BoundManagementType.ITERATIVE_WORST_CASE
        if repetition == 1 and worst_case and io.noise_management != NoiseManagementType.ABS_MAX_NP_SUM:
            if alpha is not None or io.noise_management == NoiseManagementType.CONSTANT:
                alpha = noise_management(x, io, NoiseManagementType.ABS_MAX_NP_SUM, periphery)
            reduction = 1.0
        # Gather what clipped, so that one clipped vector costs one vector: slots beyond a tile's count repeat
        # a vector that passed, and are thrown away. Unseen, all are repeated as often as any could need.
        index = first_of(clipped, width)
        chosen = clipped.gather(1, index)
        if periphery.repeats is not None:
            periphery.repeats.append(clipped)
        scale = torch.ones_like(x[..., :1]) if alpha is None else inverse(alpha)
        scale = _take(scale.expand(*x.shape[:2], 1), index) / reduction  # type: ignore[union-attr]
        again = read_once(weight, _take(x, index), scale, io, periphery, stream)
        _put(read, again, index, chosen, x)


def _take(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))


def _put(read: Read, again: Read, index: Tensor, chosen: Tensor, x: Tensor) -> None:
    """Overwrite the chosen vectors of a read by those of its repetition."""

    def put(old: Tensor, new: Tensor) -> Tensor:
        wide = index[..., None].expand(-1, -1, old.shape[2])
        return old.scatter(1, wide, torch.where(chosen[..., None], new, old.gather(1, wide)))

    def ones(size: int, dtype: torch.dtype) -> Tensor:
        return torch.ones((*x.shape[:2], size), dtype=dtype, device=x.device)

    read.y = put(read.y, again.y)
    if read.prepared is not None and again.prepared is not None:
        read.prepared = put(read.prepared, again.prepared)
    old_scale = ones(1, x.dtype) if read.scale is None else read.scale.expand(*x.shape[:2], 1)
    read.scale = put(old_scale, again.scale)  # type: ignore[arg-type]
    for name, size in (("inside_dac", x.shape[2]), ("inside_adc", read.y.shape[2])):
        old, new = getattr(read, name), getattr(again, name)
        if old is None and new is None:
            continue
        old = ones(size, torch.bool) if old is None else old
        new = torch.ones_like(_take(old, index)) if new is None else new
        setattr(read, name, put(old, new))
    new_passed = torch.ones_like(chosen) if again.passed is None else again.passed
    read.passed = put(read.passed[..., None], new_passed[..., None])[..., 0]  # type: ignore[index]
