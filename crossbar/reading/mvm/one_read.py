"""One read of every vector: DAC, array, ADC."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...aihwkit.adapter import AnalogMVType, BoundManagementType, IOParameters
from ..noise import NoiseStream
from ..parts import parts_of, room_like
from ..periphery import Periphery, Stages, resolution
from .converters import adc, dac
from .currents import bit_line_currents
from .products import room_for_product


@dataclass
class Read:
    """One read of every vector: results, and what the gradient needs. None stands for all ones."""

    y: Tensor  # (tiles, batch, out), before the scale is undone
    prepared: Tensor | None  # (tiles, batch, in), what the word lines carried; None if nobody asks
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
    """Read every vector once: DAC, array, ADC; some tiles at a time (see `parts`)."""
    tiles = len(x)
    is_one = noise.is_shared or draws_in_turns(io, periphery)  # other processes hold parts already
    parts = parts_of_read(weight, x, periphery, can_be=not is_one)
    if len(parts) == 1:
        return _read(weight, x, scale, io, periphery.of(parts[0]), noise, is_scaled, keeps_x, masks)
    asks = masks or io.bound_management != BoundManagementType.NONE
    reads, y, prepared = [], room_for_product(x, weight), None
    for part in parts:
        factor = scale if scale is None or len(scale) == 1 else scale[part]
        stages = periphery.of(part)
        room = y[part]
        one = _read(weight[part], x[part], factor, io, stages, noise, is_scaled, keeps_x, masks, room)
        if one.y.data_ptr() != room.data_ptr():
            room.copy_(one.y)
        if asks and one.prepared is not None:
            prepared = room_like(one.prepared, tiles) if prepared is None else prepared
            prepared[part] = one.prepared
        reads.append((one.inside_dac, one.inside_adc, one.passed))
    sizes = x.shape, y.shape, x.shape[:2]
    masks_of = (_joined(of, parts, size) for of, size in zip(zip(*reads, strict=True), sizes, strict=True))
    return Read(y, prepared, scale, *masks_of)


def parts_of_read(weight: Tensor, x: Tensor, periphery: Periphery, *, can_be: bool) -> list[slice]:
    """Divide tiles into parts that are read one after the other; see `parts.parts_of`."""
    tiles, batch, inputs = x.shape
    outputs = weight.shape[1]
    of_vectors = 2 if periphery.noise_precision == "float32" else 3  # short numbers lie beside the others
    return parts_of(tiles, outputs * inputs + of_vectors * batch * (inputs + outputs), x, can_be=can_be)


def draws_in_turns(io: IOParameters, periphery: Periphery) -> bool:
    """Tell whether a read draws for all tiles more than once, so that parts would take numbers in another order."""
    of_dac = (io.inp_sto_round and resolution(io.inp_res, io.inp_bound) > 0) + (io.inp_noise > 0)
    is_shaped = periphery.out_nonlinearity is not None or io.out_asymmetry > 0
    of_adc = (io.w_noise > 0) + (io.out_noise > 0) if is_shaped else io.w_noise > 0 or io.out_noise > 0
    of_adc += io.out_sto_round and resolution(io.out_res, io.out_bound) > 0
    times = 2 if io.mv_type == AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM else 1
    return bool(of_dac + times * of_adc > 1)


def _joined(of_parts: tuple[Tensor | None, ...], parts: list[slice], shape: torch.Size) -> Tensor | None:
    """Return a mask of all tiles from those of parts; None stands for all ones."""
    first = next((one for one in of_parts if one is not None), None)
    if first is None:
        return None
    whole = first.new_ones(shape)
    for part, one in zip(parts, of_parts, strict=True):
        if one is not None:
            whole[part] = one
    return whole


def _read(
    weight: Tensor,
    x: Tensor,
    scale: Tensor | None,
    io: IOParameters,
    stages: Stages,
    noise: NoiseStream,
    is_scaled: bool,
    keeps_x: bool,
    masks: bool,
    out: Tensor | None = None,
) -> Read:
    prepared, inside_dac = dac(x, scale, io, noise, is_scaled, keeps_x, masks)
    if io.mv_type == AnalogMVType.ONE_PASS:
        currents = bit_line_currents(weight, prepared, io, stages, out)
        y, inside_adc, passed = adc(*currents, io, stages, noise, masks)
    else:
        negative_weight = weight if stages.w_asymmetry is None else weight * stages.w_asymmetry
        negative = bit_line_currents(negative_weight, prepared.clamp(max=0), io, stages)
        positive = bit_line_currents(weight, prepared.clamp(min=0), io, stages)
        if io.mv_type == AnalogMVType.POS_NEG_SEPARATE:
            variance = _sum(negative[1], positive[1])
            y, inside_adc, passed = adc(negative[0] + positive[0], variance, io, stages, noise, masks)
        else:
            y, inside_adc, passed = adc(*negative, io, stages, noise, masks)
            y_positive, inside_positive, passed_positive = adc(*positive, io, stages, noise, masks)
            y = y + y_positive
            inside_adc, passed = _both(inside_adc, inside_positive), _both(passed, passed_positive)
    return Read(y, prepared, scale, inside_dac, inside_adc, passed)


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first & second
