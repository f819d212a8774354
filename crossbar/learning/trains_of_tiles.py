"""Pulse trains as the tiles of a layer receive them."""

from dataclasses import replace

from jaxtyping import Float, Int
from torch import Tensor

from devices.pulsed import PulseTrains


def for_every_tile(trains: PulseTrains, tile_of_train: Int[Tensor, " tiles"] | None) -> PulseTrains:
    """Give every tile a copy of the trains that it receives, where tiles treat the same trains differently.

    Args:
        trains: One set for each kernel.
        tile_of_train: For each tile, which trains it receives; its own if None.
    """
    if tile_of_train is None:
        return trains
    return PulseTrains(
        trains.x_sign[tile_of_train],
        trains.d_sign[tile_of_train],
        trains.length[tile_of_train],
        None if trains.x_bits is None else trains.x_bits[tile_of_train],
        None if trains.d_bits is None else trains.d_bits[tile_of_train],
        trains.x_pulses[tile_of_train],
        trains.d_pulses[tile_of_train],
        trains.is_stochastic,
    )


def with_signs(
    trains: PulseTrains, x_sign: Float[Tensor, "#tiles #batch in"], d_sign: Float[Tensor, "#tiles #batch out"]
) -> PulseTrains:
    """Turn the direction of the pulses of some lines.

    Args:
        trains: Pulses on the lines.
        x_sign: -1 where a word line is turned, else 1.
        d_sign: Likewise for the bit lines.
    """
    turned = replace(trains, x_sign=trains.x_sign * x_sign, d_sign=trains.d_sign * d_sign)
    if trains.is_stochastic:  # counts have no sign
        return turned
    return replace(turned, x_pulses=trains.x_pulses * x_sign, d_pulses=trains.d_pulses * d_sign)
