"""Weight noise and discretisation of hardware-aware training, each tile with its own maximum.

The laws are those of aihwkit's C++ weight modifier. Drawn anew at every training forward (aihwkit's C++ tiles keep
one draw from one optimizer step to the next, and the first forward has none).
"""

import torch
from torch import Tensor

from ...aihwkit.adapter import WeightModifierParameter, WeightModifierType
from ...reading.noise import NoiseStream
from ...reading.parts import in_parts, parts_of

_DISCRETE = (
    WeightModifierType.DISCRETIZE,
    WeightModifierType.DISCRETIZE_ADD_NORMAL,
    WeightModifierType.DOREFA,
)


def check_modifier_support(modifier: WeightModifierParameter) -> None:
    """Refuse modifier settings that would otherwise be ignored.

    Raises:
        ValueError: If a setting has no effect in this emulator; names it.
    """
    if modifier.type == WeightModifierType.PCM_NOISE:
        raise ValueError(
            "`modifier.type` must not be PCM_NOISE, which aihwkit implements on CUDA only. Use PROG_NOISE or POLY."
        )
    if modifier.pdrop > 0 and modifier.type == WeightModifierType.NONE:
        raise ValueError(
            f"`modifier.pdrop` must be 0 while the modifier's type is NONE, but is {modifier.pdrop}: aihwkit ignores "
            "it then. Set the type to COPY for drop connect alone."
        )
    if modifier.per_batch_sample:
        raise ValueError(
            "`modifier.per_batch_sample` must be False, but is True: one weight matrix per sample of the batch "
            "is not emulated. Use a smaller batch instead."
        )
    if modifier.copy_last_column:
        raise ValueError(
            "`modifier.copy_last_column` must be False, but is True: the bias is digital and gets no noise. "
            "Leave it at False."
        )
    if modifier.type in _DISCRETE and modifier.res > 1:
        raise ValueError(
            f"`modifier.res` must be at most 1 (the relative width of a step), but is {modifier.res}: aihwkit's "
            "C++ would round every weight to zero. Use 1/steps."
        )


def has_effect(modifier: WeightModifierParameter) -> bool:
    """Tell whether a modifier changes any weight."""
    return modifier.pdrop > 0 or modifier.type not in (
        WeightModifierType.NONE,
        WeightModifierType.COPY,
        WeightModifierType.DROP_CONNECT,
    )


@torch.no_grad()
def modify_weights(weight: Tensor, modifier: WeightModifierParameter, noise: NoiseStream) -> Tensor:
    """Return the weights as one training step sees them.

    Args:
        weight: (tiles, out, in) in units of the largest conductance.
        modifier: aihwkit's description of the modification, checked by `check_modifier_support`.
        noise: Stream of the noise.

    Returns:
        A new tensor, without gradient: the modification is straight-through.
    """
    tiles, outputs, inputs = weight.shape
    is_one = noise.is_shared or _draws(modifier) > 1  # parts would take numbers in another order
    parts = parts_of(tiles, 4 * outputs * inputs, weight, can_be=not is_one)
    (modified,) = in_parts(lambda part: (_modified(weight[part], modifier, noise),), parts)
    assert modified is not None
    return modified


def _draws(modifier: WeightModifierParameter) -> int:
    """Return how many numbers every weight may take."""
    discretises = modifier.type in _DISCRETE and modifier.res > 0 and modifier.sto_round
    only_rounds = modifier.type in (WeightModifierType.DISCRETIZE, WeightModifierType.DOREFA)
    is_noisy = modifier.std_dev > 0 and not only_rounds
    return bool(discretises) + bool(is_noisy) + (modifier.pdrop > 0)


def _modified(weight: Tensor, modifier: WeightModifierParameter, noise: NoiseStream) -> Tensor:
    kind, std = modifier.type, modifier.std_dev

    def normal() -> Tensor:
        return noise.normal_like(weight)

    if modifier.rel_to_actual_wmax:
        largest = weight.abs().amax(dim=(1, 2), keepdim=True)
        largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    else:
        largest = weight.new_full((1, 1, 1), modifier.assumed_wmax)

    modified = weight
    if kind == WeightModifierType.MULT_NORMAL and std > 0:
        modified = weight + weight * (std * largest) * normal()
    elif kind == WeightModifierType.ADD_NORMAL and std > 0:
        modified = normal().mul_(std * largest).add_(weight)
    elif kind in (WeightModifierType.DISCRETIZE, WeightModifierType.DISCRETIZE_ADD_NORMAL):
        modified = largest * _discretise(weight / largest, modifier, noise)
        if kind == WeightModifierType.DISCRETIZE_ADD_NORMAL and std > 0:
            modified = modified + std * largest * normal()
    elif kind == WeightModifierType.DOREFA and modifier.res > 0:
        compressed = torch.tanh(weight) * (modifier.dorefa_clip / torch.tanh(largest)).abs()
        modified = _discretise(compressed, modifier, noise)
    elif kind == WeightModifierType.POLY and std > 0:
        modified = weight + largest * std * _polynomial(weight, largest, modifier) * normal()
    elif kind == WeightModifierType.PROG_NOISE and std > 0:
        miss = largest * (std / modifier.g_max) * _polynomial(weight, largest, modifier) * normal()
        # A device pair keeps its sign: a write cannot move the weight through zero.
        modified = torch.where(weight < 0, -(weight + miss).abs(), (weight + miss).abs())
    if modifier.pdrop > 0:
        kept = noise.uniform_like(weight) >= modifier.pdrop
        modified = modified * kept
    return modified


def _discretise(values: Tensor, modifier: WeightModifierParameter, noise: NoiseStream) -> Tensor:
    if modifier.res <= 0:
        return values
    steps = values / modifier.res
    if modifier.sto_round:
        steps = steps + (noise.uniform_like(values) - 0.5)
    return steps.round() * modifier.res


def _polynomial(weight: Tensor, largest: Tensor, modifier: WeightModifierParameter) -> Tensor:
    relative = weight.abs() / largest
    total = torch.zeros_like(relative)
    for coefficient in reversed(modifier.coeffs):
        total = total * relative + coefficient
    return total
