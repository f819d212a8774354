"""Forward and backward through tiles that learn in place, and what they remember for the update in between."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..aihwkit.adapter import AnalogContext, AnalogMVType
from ..aihwkit.waiting_batches import keep_for_update
from ..reading.gradient import Gradient, unmasked
from ..reading.mvm import managed_read, product
from ..reading.reader import Reader
from ..reference.backend import ReferenceCells


class InSituProduct(torch.autograd.Function):
    """Outputs of tiles that are trained in place.

        forward:   y = scale * mvm(w, v)             with the forward periphery
        backward:  dx = mvm(w^T, scale * d)          with the backward periphery
        update:    remembers the inputs x and the gradients d of the outputs, for the optimizer

    The weights have no gradient: the optimizer hands x and d to the tiles, which send pulses. What of d reaches x
    where DAC or ADC clipped is a choice (see `reading.gradient`). The update is that of aihwkit: it sees all of d,
    and inputs that are clipped to the input range only.
    """

    @staticmethod
    def forward(
        ctx: Any,
        voltages: Float[Tensor, "tiles batch in"],
        context: AnalogContext,
        x: Float[Tensor, "tiles batch in"],
        weight: Float[Tensor, "tiles out in"],
        scale: Float[Tensor, "tiles out"],
        limit: Float[Tensor, " tiles"] | None,
        reader: Reader,
        reference: ReferenceCells | None,
        send_back: Callable[[Tensor], Tensor],
        gradient: Gradient,
        locations: int,
    ) -> Tensor:
        """Multiply.

        Args:
            ctx: torch's.
            voltages: The inputs, divided by the input range where there is one.
            context: Where aihwkit's optimizers look for x and d.
            x: The inputs as they came.
            weight: What the devices hold.
            scale: Digital scale of every bit line, without input range.
            limit: Input range of every tile.
            reader: Reads forward.
            reference: Real aihwkit tiles whose devices are read, or None.
            send_back: Sends gradients of the outputs through the transposed arrays.
            gradient: The rule for the gradient.
            locations: How many vectors every image gives a tile.
        """
        y, inside_dac, inside_adc = _read(voltages, weight, reader, reference, limit is not None)
        if gradient == "aihwkit":
            inside_dac, inside_adc = None, unmasked(y, reader.io)
        ctx.context, ctx.send_back, ctx.locations = context, send_back, locations
        ctx.x, ctx.scale = x.detach(), scale
        ctx.inside_dac, ctx.inside_adc = inside_dac, inside_adc
        whole = scale if limit is None else scale * limit[:, None]
        return y * whole[:, None, :]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Remember what the update needs, and send the gradient back."""
        grad = grads[0]
        if ctx.needs_input_grad[1]:  # else the devices are frozen
            inputs, gradients = image_by_image(ctx.x, ctx.locations), image_by_image(grad, ctx.locations)
            if (
                grad.shape[1] == ctx.locations
            ):  # of one image, the bias's gradient may be the same memory, and be
                gradients = gradients.clone()  # averaged over processes in place before the update
            keep_for_update(ctx.context, inputs, gradients)
        grad_x = None
        if ctx.needs_input_grad[0]:
            d = grad * ctx.scale[:, None, :]
            if ctx.inside_adc is not None:
                d = d * ctx.inside_adc
            grad_x = ctx.send_back(d)
            if ctx.inside_dac is not None:
                grad_x = grad_x * ctx.inside_dac
        return grad_x, *[None] * 10


def _read(
    voltages: Tensor, weight: Tensor, reader: Reader, reference: ReferenceCells | None, is_scaled: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return outputs, and which inputs and outputs were inside their ranges; None stands for all."""
    io = reader.io
    if reference is not None:
        y = reference.mvm(voltages, is_test=reader.is_test)
        return y, None, unmasked(y, io)  # aihwkit's tiles do not say what they clipped
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL or voltages.numel() == 0:
        return product(voltages, weight) * io.out_scale, None, None
    read = managed_read(weight, voltages, io, reader.periphery, reader.noise, is_scaled)
    y = read.y if io.out_scale == 1.0 else read.y * io.out_scale
    return (y if read.scale is None else y / read.scale), read.inside_dac, read.inside_adc


def image_by_image(values: Float[Tensor, "tiles batch n"], locations: int) -> Float[Tensor, "batch tiles n"]:
    """Order vectors as aihwkit's convolutions do: all locations of the first image, then those of the second.

    Args:
        values: Vectors in the order of their locations, all images of one location together.
        locations: How many vectors every image gives a tile.
    """
    if locations == 1:
        return values.transpose(0, 1)
    return values.unflatten(1, (locations, -1)).permute(2, 1, 0, 3).flatten(0, 1)
