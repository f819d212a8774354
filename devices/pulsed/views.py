"""numpy's view of memory that torch holds, kept from one update to the next."""

from typing import Any

import numpy as np
from torch import Tensor

NOTHING, NO_COUNT = np.empty((0, 0, 0), dtype=np.float32), np.empty((0, 0, 0), dtype=np.int32)


class Views:
    """Arrays over the memory of some tensors, made anew only where these are others, or lie elsewhere, than before.

    Making fifteen of them takes longer than the update of a small tile. Copies begin without any.
    """

    def __init__(self) -> None:
        self._tensors: tuple[Tensor | None, ...] = ()
        self._places: list[int] = []
        self._arrays: tuple[Any, ...] = ()

    def of(self, tensors: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
        """Return an array for each tensor, an empty one of three axes for None.

        Args:
            tensors: On the CPU, always in the same order.
        """
        # What is kept holds its memory, so that nothing else can come to lie there; a part of it begins there, too.
        places = [0 if one is None else one.data_ptr() for one in tensors]
        places += map(id, tensors)
        if places != self._places:
            self._arrays = tuple(NOTHING if one is None else one.numpy() for one in tensors)
            self._tensors, self._places = tensors, places
        return self._arrays

    def __reduce__(self) -> tuple[type["Views"], tuple[()]]:
        return Views, ()
