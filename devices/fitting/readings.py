"""The pulses and readings of one device in a row, as a fit takes them."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import final

from .step_law import Values


@final
class Readings:
    """The pulses and readings of one device.

    Attributes:
        before: (n,) weight that was read before each pulse.
        after: (n,) weight that was read after it.
        is_up: (n,) direction of the pulse.
        begins: (n,) whether a new series begins, as nothing is known of what happened before.
    """

    def __init__(
        self,
        before: Values,
        after: Values,
        is_up: NDArray[np.bool_],
        begins: NDArray[np.bool_],
    ) -> None:
        self.before, self.after, self.is_up, self.begins = before, after, is_up, begins

    @property
    def change(self) -> Values:
        """How far each pulse seems to have moved the device."""
        return self.after - self.before
