"""A word line with its devices: a ladder of resistors, solved in closed form for all word lines at once.

With all bit lines grounded but that of device k, a source there sees the device in series with Z_k, the resistance
to ground from its node along the word line. A share d_k Z_k / (1 + d_k Z_k) of its voltage appears at the node, and
towards both ends every further segment divides it once more. All of it are sums, products and quotients of
non-negative numbers, so nothing cancels, however well or badly wire and device conduct.
"""

import torch
from torch import Tensor

from .lines import Lines


class Ladders:
    """All word lines of an array, with their bit lines as ports.

    Args:
        g: Conductances in S, `(..., bit_lines, word_lines)`.
        word: The word lines.
    """

    def __init__(self, g: Tensor, word: Lines) -> None:
        devices = g.unbind(dim=-2)
        segment, first = word.segment, word.end + word.segment
        # Resistance to ground on the left of each node; conductance to ground on its right, without its device.
        left, right = [first], [inverse(first) if word.both else torch.zeros_like(first)]
        for device in devices[:-1]:
            left.append(segment + left[-1] / (1 + device * left[-1]))
        rightwards = []
        for device in reversed(devices[1:]):
            tail = device + right[-1]
            rightwards.append(1 / (1 + segment * tail))
            right.append(tail * rightwards[-1])
        rightwards.append(torch.ones_like(first))
        to_left = torch.stack(left, dim=-1)
        to_ground = to_left / (1 + to_left * torch.stack(right[::-1], dim=-1))
        d = g.mT
        passed_on = to_left / (1 + d * to_left)
        self._at_device = 1 / (1 + d * to_ground)
        self._at_node = d * to_ground * self._at_device
        self._rightwards = torch.stack(
            rightwards[::-1], dim=-1
        )  # share of the voltage before it at each node
        self._leftwards = (passed_on * inverse(passed_on + segment[..., None])).flip(-1)
        at_first = 1 / (1 + first * (devices[0] + right[-1]))
        self._driven = at_first[..., None] * self._rightwards.cumprod(dim=-1)
        if word.both:
            at_last = passed_on[..., -1] * inverse(passed_on[..., -1] + first)
            onwards = torch.cat([at_last[..., None], self._leftwards[..., 1:]], dim=-1)
            self._driven = self._driven + onwards.cumprod(dim=-1).flip(-1)
        order = torch.arange(len(devices), device=g.device)
        self._after = order > order[:, None]

    def driven(self, line: int) -> Tensor:
        """Return the voltage across each device of one word line per volt at its drivers, `(..., bit_lines)`."""
        return self._driven[..., line, :]

    def voltages(self, line: int) -> Tensor:
        """Return the voltages across the devices of one word line, for one volt between each bit line and the driver.

        This is (I + R D)^-1 with R_jk the resistance that the currents of devices j and k share on their way.

        Args:
            line: The word line.

        Returns:
            In V, `(..., bit_lines, bit_lines)`: at the device of the first index, for the volt at the second.
        """
        # Transposed while it is made: running products are quick along the last axis only.
        right = torch.where(self._after, self._rightwards[..., line, None, :], 1.0).cumprod(dim=-1)
        left = torch.where(self._after, self._leftwards[..., line, None, :], 1.0).cumprod(dim=-1).flip(-2, -1)
        taken = -self._at_node[..., line, :, None] * right * left
        return taken.diagonal_scatter(self._at_device[..., line, :], dim1=-2, dim2=-1).mT


def inverse(values: Tensor) -> Tensor:
    """Return 1 / values, and 0 for 0: what is multiplied with it is 0 there, too."""
    is_positive = values > 0
    return torch.where(is_positive, 1 / torch.where(is_positive, values, 1.0), 0.0)
