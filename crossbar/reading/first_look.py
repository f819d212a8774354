"""What going once over the inputs of a pass tells: that they are numbers, and by what they are known again."""

import math

import numpy as np
import torch
from torch import Tensor

from devices.looking import may_look

from .fused_loops import add_bits, as_rows

Mark = int | float | Tensor | None
"""What inputs are known again by; None if they are no numbers, or nobody has looked."""


def mark_of(x: Tensor) -> Mark:
    """Return what inputs are known again by: with others it is almost never the same.

    Args:
        x: (tiles, batch, in).
    """
    if x.is_meta:
        return 0
    rows = as_rows(x)
    if not may_look(x):
        return x.detach().sum(dtype=torch.float64)
    if rows is None:
        total = float(x.detach().sum(dtype=torch.float64))
        # A sum is finite only if all terms are; that of numbers may still overflow.
        return total if math.isfinite(total) or bool(torch.isfinite(x).all()) else None
    totals, strange = np.empty((2, len(x)), dtype=np.int64)
    add_bits(rows[0].view(np.int32), totals, strange)
    return None if strange.any() else hash(totals.tobytes())


def check_finite(x: Tensor) -> Mark:
    """Refuse inputs that are not numbers, where looking at them is free.

    Args:
        x: (tiles, batch, in).

    Returns:
        What they are known again by, if it was found on the way.

    Raises:
        ValueError: If so.
    """
    if not may_look(x):
        return None
    mark = mark_of(x)
    if mark is not None:
        return mark
    number = int((~torch.isfinite(x)).sum())
    raise ValueError(
        f"`x` must be finite, but {number} of its {x.numel()} values are NaN or infinite. "
        "Look at the data and at the layers before; too large a learning rate also ends like this."
    )
