"""What it costs that machines share a training: bytes that they send each other, and the time that they wait."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from devices.units import MicroJoules, Seconds

from .events import LayerEvents
from .hardware_profile import HardwareProfile

_BITS_PER_BYTE: Final = 8


def sent_energy(counts: Counter[str], profile: HardwareProfile) -> MicroJoules:
    """Return the energy of what machines have sent each other.

    Args:
        counts: Of one phase of a layer.
        profile: What a bit costs.
    """
    return _BITS_PER_BYTE * counts["process_bytes"] * profile["bit_energy"]


def with_waits(
    seconds: Mapping[str, Seconds], layer: LayerEvents, profile: HardwareProfile
) -> dict[str, Seconds]:
    """Return how long each phase of a layer takes together with its exchanges, in which nothing else happens.

    An exchange takes a latency, and as long as the busiest machine takes to receive its bytes.

    Args:
        seconds: How long the phases take without.
        layer: What happened.
        profile: How fast the interconnect is.
    """
    return {
        phase: alone
        + layer.counts[phase]["process_exchanges"] * profile["latency"]
        + layer.counts[phase]["serial_process_bytes"] * profile["byte_time"]
        for phase, alone in seconds.items()
    }
