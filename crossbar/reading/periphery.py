"""What is frozen in the periphery of a tile array when it is made, and which settings the emulator honours."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from devices.units import Dimensionless

from ..aihwkit.adapter import AnalogMVType, BoundManagementType, IOParameters, WeightNoiseType
from .scratch import Scratch

_FROZEN = ("out_noise_values", "v_offset", "out_nonlinearity", "nonlinearity_factor", "w_asymmetry")
HONOURED_FIELDS = frozenset(field.name for field in dataclasses.fields(IOParameters))
HONOURED_MV_TYPES = (
    AnalogMVType.IDEAL,
    AnalogMVType.ONE_PASS,
    AnalogMVType.POS_NEG_SEPARATE,
    AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM,
)


NoisePrecision = Literal["float32", "bfloat16"]


def check_noise_precision(precision: str) -> None:
    """Refuse a precision that is none of the two.

    Raises:
        ValueError: If so.
    """
    if precision not in get_args(NoisePrecision):
        raise ValueError(
            f"`precision` must be 'float32' or 'bfloat16', but is {precision!r}. Choose one of these."
        )


def check_io_support(io: IOParameters) -> None:
    """Refuse every setting of the periphery that would otherwise be ignored without a word.

    Args:
        io: aihwkit's description of DAC, array and ADC.

    Raises:
        ValueError: If a field or value has no effect in this emulator; names it.
    """
    if io.is_perfect:
        return
    unknown = {field.name for field in dataclasses.fields(io)} - HONOURED_FIELDS
    if unknown:
        raise ValueError(
            f"`forward` must be of type IOParameters, but {type(io).__name__} has the additional fields "
            f"{sorted(unknown)}, which this emulator does not model. Use IOParameters, and "
            "`use_wires` for voltage drops, which solves the wires exactly."
        )
    if io.mv_type not in HONOURED_MV_TYPES:
        raise ValueError(
            f"`mv_type` must be one of {[kind.name for kind in HONOURED_MV_TYPES]}, but is "
            f"{io.mv_type.name}, which exists in aihwkit's time-stepped tile only. Choose one of these."
        )
    if io.bound_management == BoundManagementType.SHIFT:
        raise ValueError(
            "`bound_management` must be NONE, ITERATIVE or ITERATIVE_WORST_CASE, but is SHIFT, which aihwkit's "
            "CPU tiles accept and ignore. Choose one of these."
        )
    if io.inp_bound <= 0 and io.inp_res > 0:
        raise ValueError(
            f"`inp_bound` must be positive while the DAC has a resolution, but is {io.inp_bound}. "
            "Set a bound, or switch the DAC off with `inp_res=-1`."
        )
    if io.out_bound <= 0 and io.out_res > 0:
        raise ValueError(
            f"`out_bound` must be positive while the ADC has a resolution, but is {io.out_bound}. "
            "Set a bound, or switch the ADC off with `out_res=-1`."
        )
    if io.noise_management.name != "NONE" and io.inp_bound != 1.0:
        raise ValueError(
            f"`inp_bound` must be 1 while noise management scales the inputs, but is {io.inp_bound}. "
            "Set it to 1, or `noise_management` to NONE."
        )
    if io.out_noise < 0:
        raise ValueError(
            f"`out_noise` must not be negative, but is {io.out_noise}: aihwkit would add noise of that strength. "
            "Use 0 for none."
        )
    if io.w_noise > 0 and io.w_noise_type == WeightNoiseType.NONE:
        raise ValueError(
            f"`w_noise_type` must name a type while `w_noise` is set, but is NONE with w_noise = {io.w_noise}. "
            "Choose ADDITIVE_CONSTANT or PCM_READ, or set `w_noise` to 0."
        )


@dataclass(frozen=True, slots=True)
class Stages:
    """What of a periphery takes part in a read of all its tiles or of some; None for what is not used.

    Attributes:
        out_noise_values: See `Periphery`, and so the others.
        v_offset: Likewise.
        out_nonlinearity: Likewise.
        nonlinearity_factor: Likewise.
        w_asymmetry: Likewise.
        scratch: Likewise.
        noise_precision: Likewise.
    """

    out_noise_values: Tensor | None
    v_offset: Tensor | None
    out_nonlinearity: Tensor | None
    nonlinearity_factor: Tensor | None
    w_asymmetry: Tensor | None
    scratch: Scratch
    noise_precision: NoisePrecision


class Periphery(nn.Module):
    """Converters and output stages of T tiles, with the spread that each was made with.

    Drawn once per array. What a setting does not use stays None.

    Args:
        io: aihwkit's description of DAC, array and ADC.
        tiles: Number of tiles T.
        out_size: Bit lines per tile.
        in_size: Word lines per tile.
        rng: Generator of the fabrication.

    Attributes:
        out_noise_values: (tiles, out) standard deviation of the output noise of each bit line.
        v_offset: (tiles, out) relative voltage offset of each output stage.
        out_nonlinearity: (tiles, out) strength of each output stage's saturation.
        nonlinearity_factor: (tiles,) gain that calibrates the saturation away at one point.
        w_asymmetry: (tiles, out, in) factor with which each device responds to negative inputs.
        average_abs_max: (tiles,) running mean of the largest input, negative before the first; a state.
        repeats: (tiles, batch) each, which products were computed once more because the ADC clipped, while they are
            counted; else None.
        rows_read: Lines read one by one in learning rules, over all tiles.
        values_read: Outputs of those reads.
        scratch: Memory that is used again at every read.
        noise_precision: Of products that only noise and voltage drops follow from; see `use_noise_precision`.
    """

    noise_precision: NoisePrecision = "float32"
    out_noise_values: Tensor | None
    v_offset: Tensor | None
    out_nonlinearity: Tensor | None
    nonlinearity_factor: Tensor | None
    w_asymmetry: Tensor | None
    average_abs_max: Tensor | None

    def __init__(
        self,
        io: IOParameters,
        tiles: int,
        out_size: int,
        in_size: int,
        *,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        check_io_support(io)
        self.repeats: list[Tensor] | None = None
        self.rows_read = self.values_read = 0

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=rng)

        values: dict[str, Tensor | None] = dict.fromkeys((*_FROZEN, "average_abs_max"))
        if not io.is_perfect and io.mv_type != AnalogMVType.IDEAL:
            if io.out_noise > 0 and io.out_noise_std > 0:
                values["out_noise_values"] = (
                    io.out_noise * (1 + io.out_noise_std * normal(tiles, out_size))
                ).abs()
            if io.v_offset_std > 0 or io.r_series > 0:
                values["v_offset"] = rectified_twice(normal(tiles, out_size), normal(tiles, out_size)) * max(
                    io.v_offset_std, 0.0
                )
            if io.out_nonlinearity > 0 or io.r_series > 0:
                bound = io.out_bound if io.out_bound > 0 else 1.0
                strength = max(io.out_nonlinearity, 0.0) / bound
                nonlinearity = strength * (1 + io.out_nonlinearity_std * normal(tiles, out_size)).abs()
                values["out_nonlinearity"] = nonlinearity
                slope = nonlinearity.mean(dim=1) + max(io.r_series, 0.0)
                values["nonlinearity_factor"] = (1 + slope * io.slope_calibration * bound) ** 2
            if io.w_read_asymmetry_dtod > 0 and io.mv_type != AnalogMVType.ONE_PASS:
                values["w_asymmetry"] = 1 + io.w_read_asymmetry_dtod * normal(tiles, out_size, in_size)
            if io.noise_management.name == "AVERAGE_ABS_MAX":
                values["average_abs_max"] = torch.full((tiles,), -1.0)
        for name, value in values.items():
            self.register_buffer(name, value)
        self.scratch = Scratch()

    def count_reads(self, rows: int, values: int) -> None:
        """Count lines that were read one by one in a learning rule.

        Args:
            rows: Lines, over all tiles.
            values: Their outputs.
        """
        counts = self.__dict__  # assigning to a module takes longer than a small tile's transfer
        counts["rows_read"] += rows
        counts["values_read"] += values

    @property
    def is_ideal(self) -> bool:
        """Whether nothing is frozen in it: all bit lines respond alike."""
        buffers = self._buffers
        return all(buffers[name] is None for name in _FROZEN)

    def of(self, part: slice) -> Stages:
        """Return what takes part in a read of some tiles."""
        frozen = [self._buffers[name] for name in _FROZEN]
        first, second, third, fourth, fifth = (
            values if values is None else values[part] for values in frozen
        )
        return Stages(first, second, third, fourth, fifth, self.scratch, self.noise_precision)

    def of_tiles(self, part: slice) -> "Periphery":
        """Return the periphery of some tiles, which counts no reads and forgets what it learns."""
        some = Periphery.__new__(Periphery)
        nn.Module.__init__(some)
        some.repeats, some.rows_read, some.values_read, some.scratch = None, 0, 0, self.scratch
        some.noise_precision = self.noise_precision
        for name, values in self._buffers.items():
            some.register_buffer(name, values if values is None else values[part])
        return some


def rectified_twice(first: Tensor, second: Tensor) -> Tensor:
    """Return 0 where the first draw is negative, and the *second* draw elsewhere.

    aihwkit's C++ draws its voltage offsets through a macro that evaluates the random number twice: half of
    them are zero, and the others follow the whole normal law, negative values included. Kept, since its tiles
    are the reference.
    """
    return torch.where(first > 0, second, torch.zeros_like(second))


def resolution(steps_or_resolution: Dimensionless, bound: Dimensionless) -> Dimensionless:
    """Return the width of one step of a converter with the range [-bound, bound]; 0 if it does not quantise.

    Args:
        steps_or_resolution: Number of steps if above 1, relative width of a step if in (0, 1], else off.
        bound: Half of the range.
    """
    if steps_or_resolution <= 0 or math.isinf(bound):
        return 0.0
    # In float32, as the C++ code computes it: the last bit of a step decides the last bit of every code.
    value = np.float32(steps_or_resolution)
    relative = np.float32(1) / value if steps_or_resolution > 1 else value
    return float(relative * (np.float32(2) * np.float32(bound)))
