"""What another program knows of a device, as the sections of a device file."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import final

from ..units import MicroSiemens


@final
@dataclass(frozen=True, kw_only=True)
class Described:
    """A device to be written into a file.

    Attributes:
        conductance: g_min and g_max, in µS; empty where the program has no unit.
        pulses: The section [pulses].
        summary: What is modelled, and how it was translated.
        not_modelled: What the program states and a device file does not.
        source: The program, and what the law is in it.
    """

    conductance: dict[str, MicroSiemens]
    pulses: dict[str, Any]
    summary: str
    not_modelled: str
    source: str
