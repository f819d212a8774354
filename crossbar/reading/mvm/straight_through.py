"""The analog product as autograd sees it: forward the whole chain, backward a linear product, as the rule says.

How gradients go back is a choice: see `gradient`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...aihwkit.adapter import AnalogMVType, IOParameters
from ..gradient import NO_GAINS, Gains, unmasked
from ..noise import NoiseStream
from ..parts import in_parts, parts_of
from ..periphery import Periphery
from .managed_read import managed_read
from .one_read import Read
from .products import outer_sum, product


def analog_mvm(
    weight: Float[Tensor, "tiles out in"],
    x: Float[Tensor, "tiles batch in"],
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    gains: Gains = NO_GAINS,
    is_scaled: bool = False,
    line_scale: Float[Tensor, "tiles out"] | None = None,
) -> Float[Tensor, "tiles batch out"]:
    """Multiply every input vector by its tile's weights, through DAC, array and ADC.

    Args:
        weight: Weights in units of the largest conductance.
        x: Input vectors of each tile, in the DAC's units unless noise management scales them.
        io: aihwkit's settings of the periphery, checked by `check_io_support`.
        periphery: What is frozen in these tiles' periphery.
        noise: Stream of the noise, drawn anew at every call.
        gains: The rule for the gradients.
        is_scaled: Whether `x` comes scaled into [-1, 1], in memory that nobody else reads and may be used up.
        line_scale: Digital scales of the bit lines; none if None. Applied here, they need no gradient of all outputs
            in between.

    Returns:
        Output vectors, in the units of `weight` times `x`.
    """
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL or x.numel() == 0:
        ideal: Tensor = _Ideal.apply(weight, x, io, gains)
        return ideal if line_scale is None else ideal * line_scale[:, None, :]
    if not torch.is_grad_enabled():
        y = _scaled_back(managed_read(weight, x, io, periphery, noise, is_scaled, masks=False), io)
        return y if line_scale is None else y.mul_(line_scale[:, None, :])
    how = io, periphery, noise, gains, is_scaled
    result: Tensor = _StraightThrough.apply(weight, x, line_scale, *how)
    return result


def _scaled_back(read: Read, io: IOParameters) -> Tensor:
    """Return the outputs of a read as numbers of the layer, in the memory of its codes."""
    y = read.y if io.out_scale == 1.0 else read.y.mul_(io.out_scale)
    return y if read.scale is None else y.div_(read.scale)


class _Ideal(torch.autograd.Function):
    """The exact product."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, io: IOParameters, gains: Gains) -> Tensor:
        y = product(x, weight)
        if io.out_scale != 1.0:
            y = y * io.out_scale
        ctx.out_scale, ctx.like_aihwkit = io.out_scale, gains.like_aihwkit
        inside = unmasked(y, io) if gains.like_aihwkit else None
        ctx.save_for_backward(weight, x, inside, gains.weight, gains.x)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, inside, *factors = ctx.saved_tensors
        gains, grad = Gains(*factors), grads[0]
        if not ctx.like_aihwkit and ctx.out_scale != 1.0:
            grad = grad * ctx.out_scale
        grad_weight = grad_x = None
        if ctx.needs_input_grad[0]:
            grad_weight = outer_sum(gains.for_weight(grad), x)
        if ctx.needs_input_grad[1]:
            into_x = grad if inside is None else grad * inside
            grad_x = product(gains.for_x(into_x), weight.transpose(1, 2))
        return grad_weight, grad_x, None, None


class _StraightThrough(torch.autograd.Function):
    """The whole chain forward; a linear product backward, as the rule says."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        x: Tensor,
        line_scale: Tensor | None,
        io: IOParameters,
        periphery: Periphery,
        noise: NoiseStream,
        gains: Gains,
        is_scaled: bool,
    ) -> Tensor:
        keeps_x = gains.like_aihwkit and ctx.needs_input_grad[0]
        # aihwkit's rule asks where the ADC clipped after scaling back.
        masks = not gains.like_aihwkit
        read = managed_read(weight, x, io, periphery, noise, is_scaled, keeps_x, masks)
        y = _scaled_back(read, io)
        ctx.out_scale, ctx.like_aihwkit = io.out_scale, gains.like_aihwkit
        saved: tuple[Tensor | None, ...]
        if gains.like_aihwkit:
            inside = unmasked(y, io) if ctx.needs_input_grad[1] else None
            saved = (x if keeps_x else None, None, None, inside)
        else:
            saved = (read.prepared, read.scale, read.inside_dac, read.inside_adc)
        unscaled = y if ctx.needs_input_grad[2] else None
        ctx.save_for_backward(weight, *saved, unscaled, line_scale, gains.weight, gains.x)
        if line_scale is None:
            return y
        return y.mul_(line_scale[:, None, :]) if unscaled is None else y * line_scale[:, None, :]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, scale, inside_dac, inside, y, line_scale, *factors = ctx.saved_tensors
        gains = Gains(*factors)

        def back(part: slice) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
            grad, own = grads[0][part], gains.of(part)
            grad_lines = None if y is None else (grad * y[part]).sum(dim=1)
            if line_scale is not None:
                grad = grad * line_scale[part, None, :]
            if not ctx.like_aihwkit:
                grad = grad * ctx.out_scale if ctx.out_scale != 1.0 else grad
                grad = grad if inside is None else grad * inside[part]
            grad_weight = grad_x = None
            if ctx.needs_input_grad[0]:
                unscaled = grad if scale is None else grad / scale.expand(len(weight), -1, -1)[part]
                grad_weight = outer_sum(own.for_weight(unscaled), x[part])
            if ctx.needs_input_grad[1]:
                if ctx.like_aihwkit and inside is not None:
                    grad = grad * inside[part]
                # The scale into the DAC and the one back cancel.
                grad_x = product(own.for_x(grad), weight[part].transpose(1, 2))
                if inside_dac is not None:
                    grad_x = grad_x * inside_dac[part]
            return grad_weight, grad_x, grad_lines

        tiles, batch, outputs = grads[0].shape
        in_between = 3 * batch * outputs + (batch + outputs) * weight.shape[2]
        return *in_parts(back, parts_of(tiles, in_between, weight)), *[None] * 5
