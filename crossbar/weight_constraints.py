"""What keeps trained weights programmable: clipping to the conductance range, and remapping of the scales.

Every maximum and spread is taken per tile. The laws are those of aihwkit's C++ weight clipper and remapper.
"""

import torch
from torch import Tensor

from .aihwkit_adapter import (
    WeightClipParameter,
    WeightClipType,
    WeightRemapParameter,
    WeightRemapType,
)


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


@torch.no_grad()
def clip_weights(weight: Tensor, clip: WeightClipParameter, populated: Tensor | None = None) -> Tensor:
    """Clip weights to the range that the settings allow.

    Args:
        weight: (tiles, out, in) in units of the largest conductance.
        clip: aihwkit's description of the clipping.
        populated: Which devices exist, or None for all; absent ones do not count in a spread.

    Returns:
        The clipped weights.
    """
    if clip.type == WeightClipType.NONE:
        return weight
    if clip.type == WeightClipType.FIXED_VALUE:
        return weight.clamp(-clip.fixed_value, clip.fixed_value)
    if clip.type == WeightClipType.LAYER_GAUSSIAN:
        bound = clip.sigma * _std_per_tile(weight, populated)
    else:  # AVERAGE_CHANNEL_MAX
        row_max = weight.abs().amax(dim=2)
        rows = _existing_rows(weight, populated)
        bound = ((row_max * rows).sum(dim=1) / rows.sum(dim=1))[:, None, None]
    if clip.fixed_value > 0:
        bound = bound.clamp(max=clip.fixed_value)
    return torch.minimum(torch.maximum(weight, -bound), bound)


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
def remap_weights(weight: Tensor, scales: Tensor, remap: WeightRemapParameter) -> tuple[Tensor, Tensor]:
    """Move weight between the conductances and the digital scales so that the conductance range is used.

    The product of both, the weight of the network, stays as it is.

    Args:
        weight: (tiles, out, in) in units of the largest conductance.
        scales: (tiles, out) digital scale of each bit line.
        remap: aihwkit's description of the remapping.

    Returns:
        New weights and new scales.
    """
    if remap.type == WeightRemapType.NONE:
        return weight, scales
    if remap.type == WeightRemapType.LAYERWISE_SYMMETRIC:
        largest = weight.abs().amax(dim=(1, 2), keepdim=True)[..., 0] / remap.remapped_wmax
    else:
        largest = weight.abs().amax(dim=2)
        if remap.max_scale_range > 0:
            return _remap_within_range(weight, scales, largest, remap)
        largest = largest / remap.remapped_wmax
    # A row without weight keeps its scale.
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    return weight / largest[..., None], scales * largest


def _remap_within_range(
    weight: Tensor, scales: Tensor, largest: Tensor, remap: WeightRemapParameter
) -> tuple[Tensor, Tensor]:
    """Remap rows, but let no scale exceed `max_scale_range` times the smallest scale of its tile."""
    smallest = scales.amin(dim=1, keepdim=True).clamp(min=0)
    if remap.max_scale_ref:
        smallest = torch.where(smallest > 0, smallest.clamp(min=remap.max_scale_ref), smallest)
    new = torch.where(largest > 0, largest * scales, scales)
    limited = torch.minimum(new, smallest * remap.max_scale_range)
    new = torch.where(smallest > 0, limited, new)
    return weight * (scales / new)[..., None], new
