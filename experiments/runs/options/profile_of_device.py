"""Which hardware profile prices a device where none is given."""

from typing import Final

from devices import get

PROFILE_OF_TECHNOLOGY: Final = {
    "phase-change memory": "hermes-pcm",
    "resistive memory": "isaac-reram",
    "electrochemical memory": "rpu-ecram",
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
