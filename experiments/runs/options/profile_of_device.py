"""Which hardware profile prices a device where none is given."""

from typing import Final

from crossbar import HardwareProfile
from devices import get

from .config import tile_size_of

PROFILE_OF_TECHNOLOGY: Final = {
    "phase-change memory": "hermes-pcm",
    "resistive memory": "isaac-reram",
    "electrochemical memory": "rpu-ecram",
    "capacitor": "rpu-capacitor",
}


def profile_of(device: str) -> str:
    """Return the name of the hardware profile that fits a device's technology.

    Raises:
        ValueError: If none does.
    """
    technology = get(device).technology
    for start, profile in PROFILE_OF_TECHNOLOGY.items():
        if technology.startswith(start):
            return profile
    raise ValueError(
        f"`profile` must be given for {device}, but is left out: there is none for its technology, {technology}. "
        "Give --profile NAME, or a TOML file."
    )


def tile_size_in(profile: HardwareProfile) -> int | str:
    """Return the `tile_size` with which a run is emulated on the arrays that a profile prices: one hardware.

    Args:
        profile: Its arrays have word lines, one for each input, and bit lines, of which a weight may take several.
    """
    outputs = profile.count("bit_lines") // profile.count("columns_per_weight")
    return tile_size_of(profile.count("word_lines"), max(1, outputs))
