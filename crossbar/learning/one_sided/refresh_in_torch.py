"""A refresh of pairs in torch, on any torch device and with any settings of the periphery."""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from devices.looking import may_look
from devices.pulsed import DeviceArray, reset_

from ...reading.noise import NoiseStream
from ...reading.periphery import Periphery
from ..one_hot import Lines


def reset_full(
    arrays: tuple[DeviceArray, DeviceArray],
    cell: Any,
    periphery: Periphery,
    due: Bool[Tensor, " tiles"] | None,
    noise: NoiseStream,
) -> Int[Tensor, "tiles word_lines"]:
    """Reset the full pairs of the tiles that are due, and write them anew: how many of each word line.

    Args:
        arrays: Plus and minus devices; changed in place.
        cell: aihwkit's description of the pairs.
        periphery: By which they are read.
        due: Which tiles are looked at; all if None.
        noise: Draws the noise of reads, resets and pulses.
    """
    first, second = arrays
    columns = Lines(are_columns=True)
    every_column = torch.arange(first.shape[2], device=first.weight.device)[None]
    plus, minus = (
        columns.read(array.weight, every_column, cell.refresh_forward, periphery, noise) for array in arrays
    )  # (tiles, in, out) each
    filled_plus, filled_minus = (
        values / abs(array.device.w_max) for values, array in ((plus, first), (minus, second))
    )
    upper, lower = cell.refresh_upper_thres, cell.refresh_lower_thres
    is_positive = plus > minus
    larger = torch.where(is_positive, filled_plus, filled_minus)
    smaller = torch.where(is_positive, filled_minus, filled_plus)
    is_full = (larger > upper) & (smaller > lower)
    if due is not None:
        is_full &= due[:, None, None]
    # Of the emulator all tiles were read; those that are not due would not be.
    periphery.rows_read = periphery.values_read = 0
    if may_look(is_full) and not is_full.any():
        return is_full.sum(dim=2)
    rng = noise.generator("cpu")
    for array in arrays:
        reset_(array, is_full.transpose(1, 2), rng=rng)
        if array.pulse_count is not None:  # a reset counts as one pulse
            array.pulse_count.add_(is_full.transpose(1, 2))
    difference = torch.where(is_full, plus - minus, torch.zeros_like(plus))
    for array, gain in ((first, difference), (second, -difference)):
        gain = gain.clamp(min=0)
        # Few columns have a full pair: drawing pulses for the others would take most of the time.
        written = every_column.expand(len(gain), -1)
        if may_look(gain):
            is_written = (gain > 0).any(dim=2)
            most = int(is_written.sum(dim=1).max())
            written = is_written.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
            gain = gain.gather(1, written[..., None].expand(-1, -1, first.shape[1]))
        columns.write(array, written, -gain, 1.0, cell.refresh_update, rng=rng)
    return is_full.sum(dim=2)
