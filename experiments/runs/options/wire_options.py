"""The options `--wires` and `--wires-every`: resistive wires of every array; refused where they have no effect."""

from dataclasses import replace
from typing import Final

from crossbar import WireParameters

from .config import LEARNS_ON_DEVICES, NO_DEVICE, TrainConfig, lines_of_tile, tile_size_of
from .refusals import without_effect

NO_WIRES: Final = "none"
# assumed: weights move little in a hundred steps; a computation takes as long as tens of steps for 512 x 512 arrays.
_EVERY: Final = 100


def resolve_wires(config: TrainConfig) -> TrainConfig:
    """Write the wires in one way only, as equal wishes are to share a run; None for ideal ones.

    Raises:
        ValueError: If the text is wrong, or wires would have no effect.
    """
    if config.device == NO_DEVICE and config.tile_size is not None:
        raise without_effect("tile_size", config, "nothing is put on tiles. Name a --device")
    if config.tile_size is not None:
        config = replace(config, tile_size=tile_size_of(*lines_of_tile(config.tile_size)))
    wires = canonical_wires(config.wires)
    if wires is None and config.wires_every is not None:
        raise without_effect(
            "wires_every", config, "the wires are ideal. Give --wires 'word_line=1,bit_line=1'"
        )
    if wires is None:
        return replace(config, wires=None)
    if config.device == NO_DEVICE:
        raise without_effect("wires", config, "nothing is programmed. Name a --device")
    if config.mode in LEARNS_ON_DEVICES:
        raise without_effect("wires", config, "what pulses train has no unit of conductance. Use --mode hwa")
    if config.backend == "aihwkit":
        raise without_effect("wires", config, "aihwkit's own tiles have none. Use --backend batched")
    if config.mode != "hwa" and config.wires_every is not None:
        raise without_effect("wires_every", config, "digital training has no wires. Use --mode hwa")
    every = config.wires_every or _EVERY if config.mode == "hwa" else None
    return replace(config, wires=wires, wires_every=every)


def canonical_wires(wires: str | None) -> str | None:
    """Return the same wires in the order and the digits in which `WireParameters` writes them; None for ideal ones.

    Example:
        >>> canonical_wires("bit_line=2.50")
        'word_line=1,bit_line=2.5'
    """
    if wires is None or wires.strip() == NO_WIRES:
        return None
    parsed = WireParameters.parse(wires)
    is_ideal = not any((parsed.word_line, parsed.bit_line, parsed.source, parsed.sense))
    return None if is_ideal else str(parsed)
