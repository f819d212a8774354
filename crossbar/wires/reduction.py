"""Reduce an array with its wires to the matrix that it is from outside: exactly, for all tiles at once.

    driver --r_source-- r_word --o--- r_word ---o--- ...     one word line; at each o a device leads to a bit line
                                 |              |
                               r_bit          r_bit          along a bit line, down to the sense node:
                                 o              o            r_bit between neighbours, and one more to the sense node
                                 :              :

Word lines are added one by one, from the far end of the bit lines to the sense nodes. What has been added is a Norton
equivalent with one port for each bit line: an admittance matrix Y and short-circuit currents F. A word line with its
devices D (diagonal) is itself one: see `Ladders`. With v its voltage, r a segment of each bit line,

    A = D (I + R D)^-1            connected in parallel:       Y <- Y + A,               F <- F + A 1 v
    (I + Y r)^-1                  a segment of each bit line:  Y <- (I + Y r)^-1 Y,      F <- (I + Y r)^-1 F

Nothing is subtracted, every matrix that is inverted is I plus a product of positive semidefinite ones, and a
resistance of zero or a device that does not conduct is an ordinary number. For n word and m bit lines the cost is
n m^3.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .ladder import Ladders, inverse
from .lines import Lines


class Stage(NamedTuple):
    """What is needed of a reduced word line to find its voltages again."""

    ladder: Tensor
    admittance: Tensor
    currents: Tensor
    below: Tensor


def reduce(
    g: Tensor, word: Lines, bit: Lines, v: Tensor | None = None, kept: list[Stage] | None = None
) -> Tensor:
    """Compute the currents of all bit lines, `(..., inputs, bit_lines)`.

    Args:
        g: Conductances, `(..., bit_lines, word_lines)`.
        word: The word lines.
        bit: The bit lines.
        v: Voltages, `(..., inputs, word_lines)`; one volt on each word line at a time if None.
        kept: Receives what `solve_nodes` needs.
    """
    bits, words = g.shape[-2:]
    unit = torch.eye(bits, dtype=g.dtype, device=g.device)
    ladders = Ladders(g, word)
    # A line without any resistance is at 0 V everywhere, so it does not matter that its upper end is left open.
    y = torch.diag_embed(inverse(bit.segment + bit.end) * bit.both).expand(*g.shape[:-1], bits)
    top = (
        y if bit.both else y[..., :0, :]
    )  # currents into each upper sense node per volt at the bit lines here
    f = g.new_zeros(*g.shape[:-2], 0 if v is None else v.shape[-2], bits)
    f_top = f
    for line in range(words):
        d = g[..., line]
        ladder = ladders.voltages(line)
        y = y + d[..., None, :] * ladder.mT  # symmetric, and stored like y
        driven = (d * ladders.driven(line))[..., None, :]
        if v is None:
            rows = [y, f, driven, top]
            f_top = torch.cat([f_top, torch.zeros_like(driven)], dim=-2) if bit.both else f_top
        else:
            rows = [y, f + driven * v[..., line, None], top]
        below = bit.segment if line + 1 < words else bit.segment + bit.end
        # As rows, in which all are stored: X (I + r Y) = X_before.
        solved = torch.linalg.solve(unit + below[..., None] * y, torch.cat(rows, dim=-2), left=False)
        gain = top
        y, f, top = solved.tensor_split([bits, solved.shape[-2] - top.shape[-2]], dim=-2)
        if bit.both:
            f_top = f_top + (f * below[..., None, :]) @ gain.mT
        if kept is not None:
            kept.append(Stage(ladder, y, f, below))
    return f + f_top if bit.both else f
