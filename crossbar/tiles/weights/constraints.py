"""What keeps trained weights programmable: clipping to the conductance range, and remapping of the scales.

Every maximum and spread is taken per tile. The laws are those of aihwkit's C++ weight clipper and remapper.
"""

from typing import Any

import torch
from torch import Tensor

from ...aihwkit.adapter import (
    WeightClipParameter,
    WeightClipType,
    WeightRemapParameter,
    WeightRemapType,
)
from ...reading.fused_loops import as_rows, clip_and_stretch


def check_constraint_support(clip: WeightClipParameter, remap: WeightRemapParameter) -> None:
    """Refuse clip and remap settings that have no meaning.

    Raises:
        ValueError: If a setting contradicts another; names it.
    """
    if clip.type == WeightClipType.FIXED_VALUE and clip.fixed_value <= 0:
        raise ValueError(
            f"`clip.fixed_value` must be positive for clipping of type FIXED_VALUE, but is {clip.fixed_value}. "
            "Set it, for example to 1.0."
        )
    if remap.type != WeightRemapType.NONE and remap.remapped_wmax <= 0:
        raise ValueError(
            f"`remap.remapped_wmax` must be positive, but is {remap.remapped_wmax}. Use 1.0, the full range."
        )
    if remap.max_scale_range > 0 and (
        remap.type != WeightRemapType.CHANNELWISE_SYMMETRIC or remap.remapped_wmax != 1.0
    ):
        raise ValueError(
            f"`remap.max_scale_range` must be 0 unless the type is CHANNELWISE_SYMMETRIC with remapped_wmax 1, but "
            f"is {remap.max_scale_range} with {remap.type.name} and {remap.remapped_wmax}."
        )


def is_constrained(rpu_config: Any) -> bool:
    """Tell whether a configuration clips or remaps what an optimizer has changed."""
    return bool(rpu_config.clip.type != WeightClipType.NONE or rpu_config.remap.type != WeightRemapType.NONE)


@torch.no_grad()
def clip_weights_(weight: Tensor, clip: WeightClipParameter, populated: Tensor | None = None) -> None:
    """Clip weights to the range that the settings allow, in place.

    Args:
        weight: (tiles, out, in) in units of the largest conductance.
        clip: aihwkit's description of the clipping.
        populated: Which devices exist, or None for all; absent ones do not count in a spread.
    """
    if clip.type == WeightClipType.NONE:
        return
    if clip.type == WeightClipType.FIXED_VALUE:
        weight.clamp_(-clip.fixed_value, clip.fixed_value)
        return
    if clip.type == WeightClipType.LAYER_GAUSSIAN:
        bound = clip.sigma * _std_per_tile(weight, populated)
    else:  # AVERAGE_CHANNEL_MAX
        rows = _existing_rows(weight, populated)
        bound = ((largest_of(weight, (2,)) * rows).sum(dim=1) / rows.sum(dim=1))[:, None, None]
    if clip.fixed_value > 0:
        bound = bound.clamp(max=clip.fixed_value)
    weight.clamp_(-bound, bound)


def largest_of(weight: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the largest absolute weight over some dimensions, without a copy of the weights."""
    return torch.maximum(weight.amax(dim=dims), -weight.amin(dim=dims))


def _existing_rows(weight: Tensor, populated: Tensor | None) -> Tensor:
    if populated is None:
        return weight.new_ones(weight.shape[:2])
    return populated.any(dim=2).to(weight.dtype)


def _std_per_tile(weight: Tensor, populated: Tensor | None) -> Tensor:
    if populated is None:
        return weight.flatten(1).std(dim=1)[:, None, None]
    count = populated.sum(dim=(1, 2), keepdim=True)
    mean = weight.sum(dim=(1, 2), keepdim=True) / count  # absent devices have weight zero
    deviation = (weight - mean) * populated
    return (deviation.square().sum(dim=(1, 2), keepdim=True) / (count - 1)).sqrt()


@torch.no_grad()
def remap_weights_(weight: Tensor, scales: Tensor, remap: WeightRemapParameter) -> Tensor:
    """Move weight between the conductances and the digital scales so that the conductance range is used.

    The product of both, the weight of the network, stays as it is.

    Args:
        weight: (tiles, out, in) in units of the largest conductance; changed in place.
        scales: (tiles, out) digital scale of each bit line.
        remap: aihwkit's description of the remapping.

    Returns:
        The new scales.
    """
    if remap.type == WeightRemapType.NONE:
        return scales
    if remap.type == WeightRemapType.LAYERWISE_SYMMETRIC:
        largest = largest_of(weight, (1, 2))[:, None] / remap.remapped_wmax
    else:
        largest = largest_of(weight, (2,))
        if remap.max_scale_range > 0:
            new = _limited_scales(scales, largest, remap)
            weight.mul_((scales / new)[..., None])
            return new
        largest = largest / remap.remapped_wmax
    # A row without weight keeps its scale.
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    weight.div_(largest[..., None])
    return scales * largest


def _limited_scales(scales: Tensor, largest: Tensor, remap: WeightRemapParameter) -> Tensor:
    """Return the scales that use the whole range, but none above `max_scale_range` times its tile's smallest."""
    smallest = scales.amin(dim=1, keepdim=True).clamp(min=0)
    if remap.max_scale_ref:
        smallest = torch.where(smallest > 0, smallest.clamp(min=remap.max_scale_ref), smallest)
    new = torch.where(largest > 0, largest * scales, scales)
    limited = torch.minimum(new, smallest * remap.max_scale_range)
    return torch.where(smallest > 0, limited, new)


@torch.no_grad()
def clip_and_remap_(
    weight: Tensor,
    scales: Tensor,
    clip: WeightClipParameter,
    remap: WeightRemapParameter,
    populated: Tensor | None,
) -> Tensor | None:
    """Clip and remap, in place; return the new scales, or None if nothing is remapped.

    Args:
        weight: (tiles, out, in) in units of the largest conductance.
        scales: (tiles, out) digital scale of each bit line.
        clip: aihwkit's description of the clipping.
        remap: aihwkit's description of the remapping.
        populated: Which devices exist, or None for all.
    """
    is_usual = (
        clip.type == WeightClipType.FIXED_VALUE
        and remap.type == WeightRemapType.CHANNELWISE_SYMMETRIC
        and remap.max_scale_range <= 0
    )
    if is_usual and weight.is_contiguous() and as_rows(weight.detach()) is not None:
        largest = torch.empty(weight.shape[:2])
        clip_and_stretch(weight.detach().numpy(), clip.fixed_value, remap.remapped_wmax, largest.numpy())
        return scales * largest
    clip_weights_(weight, clip, populated)
    return None if remap.type == WeightRemapType.NONE else remap_weights_(weight, scales, remap)
