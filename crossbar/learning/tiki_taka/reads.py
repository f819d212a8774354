"""Which lines are read for a transfer, when, and how far the gradient's pulses have been sent by then.

The host knows both: a schedule counts vectors, and asks no GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Reads:
    """Lines that are read from one array and written to the next, none of them twice.

    Attributes:
        source: Number of the array that is read.
        vectors: After which vector of the batch each is read, in this order.
        lines: (1 or tiles, reads) which lines.
        first: Number of the first of these reads in the batch.
        reset: (1 or tiles, lines) which lines are reset together with the one that is read; None for no resets.
        numbers: Which lines, as the host knows them; None where every tile reads others.
    """

    source: int
    vectors: Sequence[int]
    lines: Int[Tensor, "#tiles reads"]
    first: int
    reset: Bool[Tensor, "#tiles lines"] | None = None
    numbers: Sequence[int] | None = None


class Sent(NamedTuple):
    """Up to which vector of a batch the gradient's pulses have been sent.

    Attributes:
        first: On the line that is most behind.
        last: On the line that is most ahead.
        of_lines: (1 or tiles, lines) on each; None if all lines are as far.
    """

    first: int
    last: int
    of_lines: Tensor | None = None
