"""All pulses and readings of a measurement in one row, as a fit takes them."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from .laws import Values


@final
class Readings:
    """All pulses and readings of all devices, one after the other.

    Attributes:
        before: (n,) weight that was read before each pulse.
        after: (n,) weight that was read after it.
        is_up: (n,) direction of the pulse.
        begins: (n,) whether a new series begins, as nothing is known of what happened before.
        device: (n,) number of the device.
    """

    def __init__(
        self,
        before: Values,
        after: Values,
        is_up: NDArray[np.bool_],
        begins: NDArray[np.bool_],
        device: NDArray[np.int64],
    ) -> None:
        self.before, self.after, self.is_up, self.begins, self.device = before, after, is_up, begins, device

    @property
    def change(self) -> Values:
        """How far each pulse seems to have moved the device."""
        return self.after - self.before
