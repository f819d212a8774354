"""One read of every vector: DAC, array, ADC."""

from dataclasses import dataclass

from torch import Tensor

from ...aihwkit.adapter import AnalogMVType, IOParameters
from ..noise import NoiseStream
from ..periphery import Periphery
from .converters import adc, dac
from .currents import bit_line_currents


@dataclass
class Read:
    """One read of every vector: results, and what the gradient needs. None stands for all ones."""

    y: Tensor  # (tiles, batch, out), before the scale is undone
    prepared: Tensor  # (tiles, batch, in), what the word lines carried
    scale: Tensor | None  # (tiles, batch, 1)
    inside_dac: Tensor | None  # (tiles, batch, in)
    inside_adc: Tensor | None  # (tiles, batch, out)
    passed: Tensor | None  # (tiles, batch), False where the ADC clipped


def read_once(
    weight: Tensor,
    x: Tensor,
    scale: Tensor | None,
    io: IOParameters,
    periphery: Periphery,
    noise: NoiseStream,
    is_scaled: bool = False,
    keeps_x: bool = False,
    masks: bool = True,
) -> Read:
    """Read every vector once: DAC, array, ADC."""
    prepared, inside_dac = dac(x, scale, io, noise, is_scaled, keeps_x, masks)
    if io.mv_type == AnalogMVType.ONE_PASS:
        currents = bit_line_currents(weight, prepared, io, periphery)
        y, inside_adc, passed = adc(*currents, io, periphery, noise, masks)
    else:
        negative_weight = weight if periphery.w_asymmetry is None else weight * periphery.w_asymmetry
        negative = bit_line_currents(negative_weight, prepared.clamp(max=0), io, periphery)
        positive = bit_line_currents(weight, prepared.clamp(min=0), io, periphery)
        if io.mv_type == AnalogMVType.POS_NEG_SEPARATE:
            variance = _sum(negative[1], positive[1])
            y, inside_adc, passed = adc(negative[0] + positive[0], variance, io, periphery, noise, masks)
        else:
            y, inside_adc, passed = adc(*negative, io, periphery, noise, masks)
            y_positive, inside_positive, passed_positive = adc(*positive, io, periphery, noise, masks)
            y = y + y_positive
            inside_adc, passed = _both(inside_adc, inside_positive), _both(passed, passed_positive)
    return Read(y, prepared, scale, inside_dac, inside_adc, passed)


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first & second
