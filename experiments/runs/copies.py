"""How far copies of one kernel differ on their devices: programming, drift and pulses treat each in its own way."""

import statistics
from dataclasses import dataclass, field
from typing import TypedDict, final

from torch import nn

from crossbar import model_sharing
from devices.units import Dimensionless, Seconds


class CopiesLook(TypedDict):
    """How copies differed at a time.

    Attributes:
        time: Since programming, or since the end of a training on devices; None as trained.
        rms: Root mean square difference of a copy from the mean of all copies of its kernel, relative to the root
            mean square of the kernel's weights.
        largest: The largest difference, relative to the same.
    """

    time: Seconds | None
    rms: Dimensionless
    largest: Dimensionless


Copies = dict[str, list[CopiesLook]]
"""By layer."""


@final
@dataclass
class CopiesLog:
    """Collects the differences of copies over chips and times."""

    _rms: dict[tuple[str, Seconds | None], list[Dimensionless]] = field(default_factory=dict)
    _largest: dict[tuple[str, Seconds | None], list[Dimensionless]] = field(default_factory=dict)

    def look(self, model: nn.Module, time: Seconds | None) -> None:
        """Note how the copies of a model differ, as evaluation reads them now.

        Args:
            model: An analog model.
            time: Since programming, or None for the state that training has left.
        """
        for layer, sharing in model_sharing(model).items():
            if sharing.copies is not None:
                self._rms.setdefault((layer, time), []).append(sharing.copies.rms)
                self._largest.setdefault((layer, time), []).append(sharing.copies.largest)

    def summary(self) -> Copies:
        """Return what was noted: of several chips, the mean of rms, and the largest of all."""
        copies: Copies = {}
        for (layer, time), values in self._rms.items():
            largest = max(self._largest[layer, time])
            copies.setdefault(layer, []).append(
                {"time": time, "rms": statistics.fmean(values), "largest": largest}
            )
        return copies
