"""The analog matrix-vector product of many tiles at once, as aihwkit's C++ tiles compute it.

Order of events for one input vector on one tile:

1. noise management scales the vector into the range of the DAC,
2. the DAC quantises and clips it; input noise is added; negative inputs respond asymmetrically,
3. Ohm and Kirchhoff: currents add along the bit lines,
4. wires (IR drop), voltage offsets and series resistance, weight read noise,
5. saturation and asymmetry of the output stage, output noise, ADC,
6. if the ADC clipped, bound management halves the input and repeats everything, with new noise,
7. the digital side undoes the scaling.

Every decision (scale, clipping, repetition, zero) is taken per vector and per tile.

How gradients go back through all this is a choice: see `gradient`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..aihwkit.adapter import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    WeightNoiseType,
)
from .gradient import NO_GAINS, Gains, unmasked
from .noise import NoiseStream
from .periphery import Periphery, check_io_support, resolution

__all__ = ["Periphery", "analog_mvm", "check_io_support"]

# Decay of the running mean of AVERAGE_ABS_MAX and the weight that ABS_MAX_NP_SUM assumes: aihwkit's C++
# defaults `nm_decay` and `nm_assumed_wmax`, which its Python side cannot set.
AVERAGE_DECAY = 1e-3
ASSUMED_WEIGHT = 0.6


def analog_mvm(
    weight: Float[Tensor, "tiles out in"],
    x: Float[Tensor, "tiles batch in"],
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    gains: Gains = NO_GAINS,
    is_scaled: bool = False,
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

    Returns:
        Output vectors, in the units of `weight` times `x`.
    """
    if io.is_perfect or io.mv_type == AnalogMVType.IDEAL or x.numel() == 0:
        ideal: Tensor = _Ideal.apply(weight, x, io, gains)
        return ideal
    result: Tensor = _StraightThrough.apply(weight, x, io, periphery, noise, gains, is_scaled)
    return result


# torch's CPU product is about 3 times slower with fewer than 16 numbers (one AVX-512 register) in the last axis
# of its result. Longer batches go there, which is also where the patches of an image have them.
_FEW = 16


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (tiles, batch, in) by (tiles, out, in): (tiles, batch, out), in the faster memory order."""
    if x.shape[1] < _FEW:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.bmm(weight, x.transpose(1, 2)).transpose(1, 2)


def outer_sum(grad: Tensor, x: Tensor) -> Tensor:
    """Sum the outer products of a batch: (tiles, batch, out), (tiles, batch, in) to (tiles, out, in)."""
    if x.shape[2] < _FEW <= grad.shape[2]:
        return torch.bmm(x.transpose(1, 2), grad).transpose(1, 2)
    return torch.bmm(grad.transpose(1, 2), x)


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
        io: IOParameters,
        periphery: Periphery,
        noise: NoiseStream,
        gains: Gains,
        is_scaled: bool,
    ) -> Tensor:
        keeps_x = gains.like_aihwkit and ctx.needs_input_grad[0]
        read = managed_read(weight, x, io, periphery, noise, is_scaled, keeps_x)
        ctx.out_scale, ctx.like_aihwkit = io.out_scale, gains.like_aihwkit
        y = read.y if io.out_scale == 1.0 else read.y * io.out_scale
        y = y if read.scale is None else y / read.scale
        saved: tuple[Tensor | None, ...]
        if gains.like_aihwkit:
            saved = (x if keeps_x else None, None, None, unmasked(y, io))
        else:
            saved = (read.prepared, read.scale, read.inside_dac, read.inside_adc)
        ctx.save_for_backward(weight, *saved, gains.weight, gains.x)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, scale, inside_dac, inside, *factors = ctx.saved_tensors
        gains, grad = Gains(*factors), grads[0]
        if not ctx.like_aihwkit:
            grad = grad * ctx.out_scale if ctx.out_scale != 1.0 else grad
            grad = grad if inside is None else grad * inside
        grad_weight = grad_x = None
        if ctx.needs_input_grad[0]:
            unscaled = grad if scale is None else grad / scale
            grad_weight = outer_sum(gains.for_weight(unscaled), x)
        if ctx.needs_input_grad[1]:
            if ctx.like_aihwkit and inside is not None:
                grad = grad * inside
            # The scale into the DAC and the one back cancel.
            grad_x = product(gains.for_x(grad), weight.transpose(1, 2))
            if inside_dac is not None:
                grad_x = grad_x * inside_dac
        return grad_weight, grad_x, None, None, None, None, None


@dataclass
class Read:
    """One read of every vector: results, and what the gradient needs. None stands for all ones."""

    y: Tensor  # (tiles, batch, out), before the scale is undone
    prepared: Tensor  # (tiles, batch, in), what the word lines carried
    scale: Tensor | None  # (tiles, batch, 1)
    inside_dac: Tensor | None  # (tiles, batch, in)
    inside_adc: Tensor | None  # (tiles, batch, out)
    passed: Tensor | None  # (tiles, batch), False where the ADC clipped


def managed_read(
    weight: Tensor,
    x: Tensor,
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    is_scaled: bool,
    keeps_x: bool = False,
) -> Read:
    """Read every vector, with noise and bound management; see `analog_mvm`.

    With `keeps_x` the inputs stay as they are, also where they could be used up.
    """
    alpha = noise_management(x, io, io.noise_management, periphery)
    # A repetition starts from the inputs again.
    is_scaled = is_scaled and io.bound_management == BoundManagementType.NONE
    read = _read(weight, x, _inverse(alpha), io, periphery, noise, is_scaled, keeps_x)
    if io.bound_management != BoundManagementType.NONE and read.passed is not None:
        _repeat_clipped(read, weight, x, alpha, io, periphery, noise)
    if alpha is not None and io.inp_noise <= 0:
        dead = alpha <= 0
        if dead.any():
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
    while not read.passed.all():  # type: ignore[union-attr]
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
        # a vector that passed, and are thrown away.
        clipped = ~read.passed  # type: ignore[operator]
        width = int(clipped.sum(dim=1).max())
        index = clipped.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
        chosen = clipped.gather(1, index)
        if periphery.repeats is not None:
            periphery.repeats += clipped.sum(dim=1).to(periphery.repeats)
        scale = torch.ones_like(x[..., :1]) if alpha is None else _inverse(alpha)
        scale = _take(scale.expand(*x.shape[:2], 1), index) / reduction  # type: ignore[union-attr]
        again = _read(weight, _take(x, index), scale, io, periphery, noise)
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


def _inverse(alpha: Tensor | None) -> Tensor | None:
    """Return the factor into the DAC's range; a vector without positive scale is passed on as it is."""
    if alpha is None:
        return None
    return torch.where(alpha > 0, 1.0 / alpha, torch.ones_like(alpha))


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


def _read(
    weight: Tensor,
    x: Tensor,
    scale: Tensor | None,
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    is_scaled: bool = False,
    keeps_x: bool = False,
) -> Read:
    """Read every vector once: DAC, array, ADC."""
    prepared, inside_dac = _dac(x, scale, io, noise, is_scaled, keeps_x)
    if io.mv_type == AnalogMVType.ONE_PASS:
        currents = _array(weight, prepared, io, periphery, noise)
        y, inside_adc, passed = _adc(*currents, io, periphery, noise)
    else:
        negative_weight = weight if periphery.w_asymmetry is None else weight * periphery.w_asymmetry
        negative = _array(negative_weight, prepared.clamp(max=0), io, periphery, noise)
        positive = _array(weight, prepared.clamp(min=0), io, periphery, noise)
        if io.mv_type == AnalogMVType.POS_NEG_SEPARATE:
            variance = _sum(negative[1], positive[1])
            y, inside_adc, passed = _adc(negative[0] + positive[0], variance, io, periphery, noise)
        else:
            y, inside_adc, passed = _adc(*negative, io, periphery, noise)
            y_positive, inside_positive, passed_positive = _adc(*positive, io, periphery, noise)
            y = y + y_positive
            inside_adc, passed = _both(inside_adc, inside_positive), _both(passed, passed_positive)
    return Read(y, prepared, scale, inside_dac, inside_adc, passed)


def _dac(
    x: Tensor, scale: Tensor | None, io: IOParameters, noise: NoiseStream, is_scaled: bool, keeps_x: bool
) -> tuple[Tensor, Tensor | None]:
    """Turn the digital inputs into voltages; also tell which were inside the range (None: all)."""
    # The order of these operations decides ties of the rounding: it is that of the C++ code.
    v = (x if is_scaled and not keeps_x else x.clone()) if scale is None else x * scale
    inside = None
    bound = io.inp_bound if io.inp_bound > 0 else float("inf")
    within = is_scaled and scale is None and bound >= 1
    if not within and _reach(v) > bound:
        inside = v.abs() <= bound
    _quantise_(v, resolution(io.inp_res, io.inp_bound), io.inp_sto_round, noise)
    v.clamp_(-bound, bound)
    if io.inp_noise > 0:
        v.add_(noise.normal_like(v), alpha=io.inp_noise)
    if io.inp_asymmetry != 0:
        v = torch.where(v < 0, v * (1 - io.inp_asymmetry), v)
    return v, inside


def _reach(values: Tensor) -> float:
    """Return the largest absolute value; reducing tile by tile is the fast way in either memory order."""
    return float(torch.maximum(values.amax(dim=(1, 2)), -values.amin(dim=(1, 2))).max())


def _quantise_(values: Tensor, step: float, stochastic: bool, noise: NoiseStream) -> None:
    """Round to multiples of a step, in place."""
    if step <= 0:
        return
    values.div_(step)
    if stochastic:
        values.add_(noise.uniform_like(values).sub_(0.5))
    values.round_().mul_(step)


def _array(
    weight: Tensor, v: Tensor, io: IOParameters, periphery: Periphery, noise: NoiseStream
) -> tuple[Tensor, Tensor | None]:
    """Return the currents of the bit lines, (tiles, batch, out), and the variance of their read noise."""
    y = product(v, weight)
    reads_magnitude = io.ir_drop > 0 or (io.w_noise > 0 and io.w_noise_type == WeightNoiseType.PCM_READ)
    if reads_magnitude:
        magnitude = torch.abs(weight, out=periphery.scratch("weight", weight))
        shaped_v = periphery.scratch("voltages", v)
    if io.ir_drop > 0:
        # aihwkit's steady-state fit. Its documentation puts the first input farthest from the output; in its code,
        # and so here, that one is the nearest, which loses nothing.
        inputs = v.shape[2]
        load = product(torch.abs(v, out=shaped_v), magnitude).mul_(inputs / io.ir_drop_g_ratio)
        drop = torch.mul(load, 0.05, out=periphery.scratch("drop", load))
        drop.sub_(0.2).mul_(load).add_(0.5).mul_(load)
        near = 1 - torch.arange(inputs, dtype=v.dtype, device=v.device) / inputs
        y.addcmul_(drop, product(torch.mul(v, 1 - near**2, out=shaped_v), weight), value=-io.ir_drop)
    if periphery.v_offset is not None:
        y = _voltage_offset(y, v, io, periphery.v_offset[:, None, :])
    variance = None
    if io.w_noise > 0 and io.w_noise_type == WeightNoiseType.ADDITIVE_CONSTANT:
        variance = v.square().sum(dim=2, keepdim=True).mul_(io.w_noise**2)
    elif io.w_noise > 0 and io.w_noise_type == WeightNoiseType.PCM_READ:
        variance = product(torch.square(v, out=shaped_v), magnitude).mul_(io.w_noise**2)
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


def _adc(
    y: Tensor, variance: Tensor | None, io: IOParameters, periphery: Periphery, noise: NoiseStream
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Output stage and ADC: values, which were inside the range, which vectors passed (None: all)."""
    out_std: float | Tensor = max(io.out_noise, 0.0)
    if periphery.out_noise_values is not None:
        out_std = periphery.out_noise_values[:, None, :]

    def draw() -> Tensor:
        return noise.normal_like(y, out=periphery.scratch("noise", y))

    shaped = periphery.out_nonlinearity is not None or io.out_asymmetry > 0
    if shaped:
        if variance is not None:
            y = y + variance.sqrt() * draw()
            variance = None
        if periphery.out_nonlinearity is not None:
            strength = periphery.out_nonlinearity[:, None, :]
            factor = periphery.nonlinearity_factor[:, None, None]  # type: ignore[index]
            y = factor * y / (1 + (strength * y).abs())
        if io.out_asymmetry > 0:
            y = torch.where(y < 0, y * (1 - io.out_asymmetry), y)
    # Without an output stage in between, read noise and output noise are one normal draw.
    if variance is not None:
        y.addcmul_(variance.add_(out_std**2).sqrt_(), draw())
    elif isinstance(out_std, Tensor) or out_std > 0:
        y.add_(draw().mul_(out_std))
    _quantise_(y, resolution(io.out_res, io.out_bound), io.out_sto_round, noise)
    if io.out_bound <= 0 or _reach(y) <= io.out_bound:
        return y, None, None
    inside = y.abs() <= io.out_bound
    if io.bound_management == BoundManagementType.NONE:
        passed = None
    elif io.bm_test_negative_bound:
        passed = inside.all(dim=2)
    else:
        # aihwkit assigns instead of combining: the last output that clips decides, and a negative one passes.
        order = torch.arange(1, y.shape[2] + 1, device=y.device) * ~inside
        last = order.argmax(dim=2, keepdim=True)
        passed = y.gather(2, last)[..., 0] <= io.out_bound
    return y.clamp_(-io.out_bound, io.out_bound), inside, passed


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first & second
