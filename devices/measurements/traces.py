"""What was measured on a device: the response to pulses, drift, writes, repeated readings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from ..units import MicroSiemens

Values = NDArray[np.float64]


@final
@dataclass(frozen=True)
class PulseTrace:
    """What pulses did to one device.

    Attributes:
        device: Its name.
        pulses: (n,) 1 for a pulse that raises the conductance, -1 for one that lowers it.
        before: (n,) conductance before each pulse, in µS.
        after: (n,) conductance after it, in µS.
    """

    device: str
    pulses: Values
    before: Values
    after: Values


@final
@dataclass(frozen=True)
class DriftTrace:
    """How one device drifted.

    Attributes:
        device: Its name.
        times: (n,) since programming, in s, ascending.
        conductances: (n,) in µS.
        target: What was asked for, in µS, or None.
    """

    device: str
    times: Values
    conductances: Values
    target: MicroSiemens | None


@final
@dataclass(frozen=True)
class Writes:
    """What write-verify reached.

    Attributes:
        targets: (n,) what was asked for, in µS.
        reached: (n,) what was read at the end, in µS.
        devices: How many devices were written.
    """

    targets: Values
    reached: Values
    devices: int


@final
@dataclass(frozen=True)
class RepeatedReads:
    """Readings of one device that nothing was done to.

    Attributes:
        device: Its name, or that of one of its states.
        conductances: (n,) in µS, in the order of the readings.
    """

    device: str
    conductances: Values
