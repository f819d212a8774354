"""DAC, output stage and ADC, with their noise."""

import numpy as np
import torch
from torch import Tensor

from devices.looking import may_look
from devices.units import Dimensionless

from ...aihwkit.adapter import BoundManagementType, IOParameters
from ..fused_loops import as_rows, codes_with_noise, noisy_codes, quantise, scale_and_quantise
from ..noise import NoiseStream
from ..periphery import Stages, resolution


def dac(
    x: Tensor,
    scale: Tensor | None,
    io: IOParameters,
    noise: NoiseStream,
    is_scaled: bool,
    keeps_x: bool,
    masks: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Turn the digital inputs into voltages; also tell which were inside the range (None: all, or nobody asks)."""
    step = resolution(io.inp_res, io.inp_bound)
    bound = io.inp_bound if io.inp_bound > 0 else float("inf")
    within = is_scaled and scale is None and bound >= 1
    if within and step > 0 and not io.inp_sto_round and io.inp_noise <= 0 and io.inp_asymmetry == 0:
        v = torch.empty_like(x) if keeps_x else x
        rows = as_rows(x, v)
        if rows is not None:
            quantise(*rows, step, bound)
            return v, None
    fused = None
    if scale is not None and step > 0 and not io.inp_sto_round:
        fused = _scaled_and_quantised(x, scale, step, bound)
    if fused is not None:
        v, is_beyond = fused
        inside = (x * scale).abs_() <= bound if masks and is_beyond else None  # type: ignore[operator]
    else:
        # The order of these operations decides ties of the rounding: it is that of the C++ code.
        v = (x if is_scaled and not keeps_x else x.clone()) if scale is None else x * scale
        inside = v.abs() <= bound if masks and not within and _reaches_beyond(v, bound) else None
        _quantise_(v, step, io.inp_sto_round, noise)
        v.clamp_(-bound, bound)
    if io.inp_noise > 0:
        v.add_(noise.normal_like(v), alpha=io.inp_noise)
    if io.inp_asymmetry != 0:
        v = torch.where(v < 0, v * (1 - io.inp_asymmetry), v)
    return v, inside


def _scaled_and_quantised(x: Tensor, scale: Tensor, step: float, bound: float) -> tuple[Tensor, bool] | None:
    """Return the scaled inputs as codes, and whether any lay beyond the range; None where torch has to do it."""
    v = torch.empty_like(x)
    rows = as_rows(x, v)
    if rows is None or scale.dtype != x.dtype:
        return None
    of_vectors = scale.detach()[..., 0].expand(x.shape[:2]).contiguous()
    counts = np.empty(len(x), dtype=np.int64)
    scale_and_quantise(*rows, of_vectors.numpy(), step, bound, not x.is_contiguous(), counts)
    return v, bool(counts.any())


def _reaches_beyond(values: Tensor, bound: float) -> bool:
    """Tell whether a value may lie beyond the range; reducing tile by tile is the fast way in either memory order."""
    if not may_look(values):
        return True
    return not float(torch.maximum(values.amax(dim=(1, 2)), -values.amin(dim=(1, 2))).max()) <= bound


def _quantise_(values: Tensor, step: float, stochastic: bool, noise: NoiseStream) -> None:
    """Round to multiples of a step, in place."""
    if step <= 0:
        return
    values.div_(step)
    if stochastic:
        values.add_(noise.uniform_like(values).sub_(0.5))
    values.round_().mul_(step)


def adc(
    y: Tensor,
    variance: Tensor | None,
    io: IOParameters,
    stages: Stages,
    noise: NoiseStream,
    masks: bool = True,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Output stage and ADC: values, which were inside the range, which vectors passed (None: all)."""
    out_std: float | Tensor = max(io.out_noise, 0.0)
    if stages.out_noise_values is not None:
        out_std = stages.out_noise_values[:, None, :]

    def draw() -> Tensor:
        return noise.normal_of_products(y, out=stages.scratch("near", y))

    shaped = stages.out_nonlinearity is not None or io.out_asymmetry > 0
    if shaped:
        if variance is not None:
            y = y + variance.sqrt() * draw()
            variance = None
        if stages.out_nonlinearity is not None:
            strength = stages.out_nonlinearity[:, None, :]
            factor = stages.nonlinearity_factor[:, None, None]  # type: ignore[index]
            y = factor * y / (1 + (strength * y).abs())
        if io.out_asymmetry > 0:
            y = torch.where(y < 0, y * (1 - io.out_asymmetry), y)
    step = resolution(io.out_res, io.out_bound)
    # Without an output stage in between, read noise and output noise are one normal draw.
    if variance is not None:
        drawn = draw()
        rows = as_rows(y, variance, drawn)
        if rows is not None and step > 0 and not io.out_sto_round and isinstance(out_std, float):
            beyond = torch.empty(len(y), dtype=torch.int64)
            noisy_codes(*rows, out_std**2, step, io.out_bound, beyond.numpy())
            return _clipped(y, io, masks) if beyond.any() else (y, None, None)
        y.addcmul_(variance.add_(out_std**2).sqrt_(), drawn)
    elif isinstance(out_std, float) and out_std > 0 and step > 0 and not io.out_sto_round:
        return noisy_adc(y, draw(), out_std, step, io, noise, masks)
    elif isinstance(out_std, Tensor) or out_std > 0:
        y.add_(draw().mul_(out_std))
    return _coded(y, step, io, noise, masks)


def noisy_adc(
    y: Tensor,
    drawn: Tensor,
    std: Dimensionless,
    step: Dimensionless,
    io: IOParameters,
    noise: NoiseStream,
    masks: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Do what `adc` does where all there is to add is output noise of one strength: normal numbers, once drawn."""
    rows = as_rows(y, drawn)
    if rows is None:
        return _coded(y.add_(drawn.mul_(std)), step, io, noise, masks)
    beyond = np.empty(y.shape[0], np.int64)
    codes_with_noise(*rows, std, step, io.out_bound, beyond)
    return _clipped(y, io, masks) if beyond.any() else (y, None, None)


def _coded(
    y: Tensor, step: Dimensionless, io: IOParameters, noise: NoiseStream, masks: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Round to codes and clip, in place."""
    _quantise_(y, step, io.out_sto_round, noise)
    if io.out_bound <= 0 or not _reaches_beyond(y, io.out_bound):
        return y, None, None
    return _clipped(y, io, masks)


def _clipped(y: Tensor, io: IOParameters, masks: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Clip codes to the range of the ADC, in place, and tell which were inside and which vectors passed."""
    if io.bound_management == BoundManagementType.NONE and not masks:
        return y.clamp_(-io.out_bound, io.out_bound), None, None
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
