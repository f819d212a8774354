"""The input range of each tile: what the largest DAC voltage stands for, learned while training."""

from typing import Any

import torch
from torch import Tensor

from devices.looking import may_look

from ..aihwkit.adapter import InputRangeParameter
from ..distributed.images_of_process import ImagesOfProcess
from .fused_loops import as_rows, divide_and_clip, select_askers


def check_input_range_support(settings: InputRangeParameter) -> None:
    """Refuse input range settings that would otherwise be ignored.

    Raises:
        ValueError: If `manage_output_clipping` is set.
    """
    if settings.enable and settings.manage_output_clipping:
        raise ValueError(
            "`input_range.manage_output_clipping` must be False, but is True: the emulator lets noise and bound "
            "management handle clipping outputs. Leave it at False."
        )


def first_input_range(settings: InputRangeParameter, tiles: int) -> tuple[Tensor | None, bool]:
    """Return the range of every tile before any data, or None for none, and whether it is learned."""
    value = torch.full((tiles,), settings.init_value) if settings.enable else None
    return value, settings.enable and settings.learn_input_range


# assumed: a range a thousand times below its start stands for a tile that sees almost no signal; without a
# floor the decay, whose steps an optimizer like Adam keeps at full length, would carry it through zero.
SMALLEST_SHARE = 1e-3

# The largest number whose square float32 can hold.
LARGEST_SPREAD = 2.0**63


@torch.no_grad()
def keep_positive_(input_range: Tensor, settings: InputRangeParameter) -> None:
    """Keep the ranges that an optimizer has moved positive, in place."""
    input_range.abs_().clamp_(min=SMALLEST_SHARE * settings.init_value)


@torch.no_grad()
def range_from_data(
    input_range: Tensor,
    updates: Tensor,
    x: Tensor,
    settings: InputRangeParameter,
    valid: Tensor | None,
    images: ImagesOfProcess | None = None,
) -> None:
    """Average the range towards a multiple of the data's spread, over the first training batches, in place.

        range <- (range * n + init_std_alpha * std(x)) / (n + 1),  n = batches seen so far

    Args:
        input_range: (tiles,) range of each tile.
        updates: (tiles,) batches that each tile has seen; a batch without spread does not count.
        x: (tiles, batch, in) the tiles' input vectors.
        settings: aihwkit's description.
        valid: (tiles, batch) which vectors are real, or None for all.
        images: Which images of the batch `x` holds; None for all.

    Raises:
        ValueError: If inputs are so large that numbers overflow in this or a later pass.
    """
    if may_look(x) and bool((updates >= settings.init_from_data).all()):
        return
    if valid is None and images is None:
        std = x.flatten(1).std(dim=1)
    else:

        def total(own: Tensor) -> Tensor:
            return own if images is None else images.total(own)

        valid = x.new_ones(x.shape[:2], dtype=torch.bool) if valid is None else valid
        count = total(valid.sum(dim=1) * x.shape[2])
        mean = total(x.sum(dim=(1, 2))) / count.clamp(min=1)  # vectors that are not real are zero
        square = total(((x - mean[:, None, None]).square() * valid[..., None]).sum(dim=(1, 2)))
        std = (square / (count - 1).clamp(min=1)).sqrt()
    if may_look(x) and not bool((std < LARGEST_SPREAD).all()):
        raise ValueError(
            f"`x` must have a spread below {LARGEST_SPREAD:.3g} to learn input ranges from, but reaches "
            f"{float(x.abs().max()):.3g}. Scale the data, or set `input_range.init_from_data` to 0."
        )
    learns = (updates < settings.init_from_data) & (std > 0)
    moved = (input_range * updates + settings.init_std_alpha * std) / (updates + 1)
    input_range.copy_(torch.where(learns, moved, input_range).abs())
    updates.add_(learns.to(updates.dtype))


class ScaledInput(torch.autograd.Function):
    """Clip each tile's inputs to its range and divide by it: x -> clip(x, -r, r) / r.

    The division is missing from the gradient: the product that follows applies it to its own, smaller, outputs
    (`Gains.x`).

    The gradient with respect to x is straight through inside the range; where the input was clipped it is zero, or
    passes too (`passes_clipped`, as in aihwkit's C++ tiles). The gradient with respect to r follows aihwkit's rule:
    clipped inputs that ask for more widen the range, and if almost nothing clips the range decays,

        dr = sum_{x >= r} min(d, 0) - sum_{x <= -r} max(d, 0),   times r (relative),   plus decay * r

    except that the range of a tile that sees only zeros, as tiles at the rim of an image do, does not decay.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        input_range: Tensor,
        settings: InputRangeParameter,
        passes_clipped: bool,
        images: ImagesOfProcess | None = None,
    ) -> Tensor:
        """Clip and divide (tiles, batch, in)."""
        # A copy of the ranges: the next pass may move them before this one goes back.
        kept = input_range.detach().clone()
        voltages, counts = _divide_and_clip(x, kept.abs())
        ctx.settings, ctx.passes_clipped = settings, passes_clipped
        ctx.images = images
        ctx.above, ctx.below = (counts[:, :2] > 0).any(dim=0).tolist() if may_look(x) else (True, True)
        if images is not None:  # whether a range decays, all images decide
            counts = images.total(counts)
        ctx.save_for_backward(x if ctx.above or ctx.below else None, kept, counts)
        return voltages

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the rules of the class."""
        x, input_range, counts = ctx.saved_tensors
        settings = ctx.settings
        limit = input_range.abs()
        grad_x = grads[0]
        widen = torch.zeros_like(input_range)
        inside_share = torch.ones_like(input_range)
        if ctx.needs_input_grad[1]:
            each = grad_x[0].numel() if ctx.images is None else ctx.images.of_all(grad_x[0].numel())
            if ctx.above:
                widen = _asks(x, grad_x, limit, 1)
            if ctx.below:
                widen = widen - _asks(x, grad_x, limit, -1)
            if ctx.above or ctx.images is not None:
                inside_share = inside_share - counts[:, 0] / each
            if ctx.below or ctx.images is not None:
                inside_share = inside_share - counts[:, 1] / each
        if ctx.above and not ctx.passes_clipped:
            grad_x = grad_x.masked_fill(x >= limit[:, None, None], 0)
        if ctx.below and not ctx.passes_clipped:
            grad_x = grad_x.masked_fill(x <= -limit[:, None, None], 0)
        if not ctx.needs_input_grad[1]:
            return grad_x, None, None, None, None
        if settings.gradient_relative:
            widen = widen * input_range * settings.gradient_scale
        if settings.decay > 0:
            decays = (counts[:, 2] > 0) & (inside_share > settings.input_min_percentage)
            widen = widen + settings.decay * input_range * decays
        return grad_x, widen, None, None, None


def _divide_and_clip(x: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Return clip(x / limit, -1, 1), and how many values of each tile are >= limit, <= -limit and not zero."""
    voltages = torch.empty_like(x)
    rows = as_rows(x, voltages)
    if rows is None:
        of_tile = limit[:, None, None]
        reached = (x >= of_tile, x <= -of_tile, x != 0)
        counts = torch.stack([values.sum(dim=(1, 2)) for values in reached], dim=1)
        return (x / of_tile).clamp_(-1, 1), counts
    counts = torch.empty(len(x), 3, dtype=torch.int64)
    divide_and_clip(*rows, limit.numpy(), counts.numpy())
    return voltages, counts


def _asks(x: Tensor, grad: Tensor, limit: Tensor, sign: int) -> Tensor:
    """Sum per tile what inputs beyond the positive (sign 1) or negative (-1) limit ask for: to be further out."""
    asked = torch.empty_like(grad)
    rows = as_rows(x, grad, asked)
    if rows is None:
        of_tile = limit[:, None, None]
        if sign > 0:
            return (grad * (x >= of_tile)).clamp_(max=0).sum(dim=(1, 2))
        return (grad * (x <= -of_tile)).clamp_(min=0).sum(dim=(1, 2))
    select_askers(*rows, limit.numpy(), sign)
    return asked.sum(dim=(1, 2))
