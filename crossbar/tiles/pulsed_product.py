"""Forward and backward through tiles that learn in place, and what they remember for the update in between."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..aihwkit.adapter import AnalogContext, AnalogMVType
from ..aihwkit.waiting_batches import keep_for_update
from ..reading.gradient import unmasked
from ..reading.mvm import managed_read, product

if TYPE_CHECKING:
    from .tile_array import TileArray


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
        array: "TileArray",
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
            array: The tiles.
            locations: How many vectors every image gives a tile.
        """
        y, inside_dac, inside_adc = _read(voltages, weight, array, limit is not None)
        if array.gradient == "aihwkit":
            inside_dac, inside_adc = None, unmasked(y, array.rpu_config.forward)
        ctx.context, ctx.array, ctx.weight, ctx.locations = context, array, weight, locations
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
            keep_for_update(ctx.context, inputs, gradients)
        grad_x = None
        if ctx.needs_input_grad[0]:
            d = grad * ctx.scale[:, None, :]
            if ctx.inside_adc is not None:
                d = d * ctx.inside_adc
            in_situ = ctx.array.in_situ
            if in_situ.reference is not None and ctx.weight is ctx.array.weight:
                grad_x = in_situ.reference.backward_mvm(d)
            else:
                grad_x = in_situ.backward_mvm(d, ctx.weight, ctx.array.noise)
            if ctx.inside_dac is not None:
                grad_x = grad_x * ctx.inside_dac
        return grad_x, *[None] * 7


def _read(
    voltages: Tensor, weight: Tensor, array: "TileArray", is_scaled: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return outputs, and which inputs and outputs were inside their ranges; None stands for all."""
    io = array.rpu_config.forward
    reference = array.in_situ.reference if array.in_situ is not None else None
    if reference is not None and weight is array.weight:
        y = reference.mvm(voltages, is_test=not array.training)
        return y, None, unmasked(y, io)  # aihwkit's tiles do not say what they clipped
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL or voltages.numel() == 0:
        return product(voltages, weight) * io.out_scale, None, None
    read = managed_read(weight, voltages, io, array.periphery, array.noise, is_scaled)
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
