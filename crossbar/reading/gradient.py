"""Which gradient goes back through an analog product: that of aihwkit's tiles, or the exact one.

A product computes y = s * a * r * mvm(w, v): w in units of the largest conductance, s the mapping scale of a bit
line, a its learned output scale, r the input range, v = clip(x, -r, r) / r the voltages (without a range r = 1, v =
x). With g for the gradient of y, tiles send back:

|                            | "aihwkit": C++ tile       | "aihwkit": torch tile      | "exact"                    |
|----------------------------|---------------------------|----------------------------|----------------------------|
| used by                    | `InferenceRPUConfig`,     | `TorchInferenceRPUConfig`  | where it is chosen, by     |
|                            | and in situ; the default  | as a default               | `use_gradient`             |
| to the weight w            | g a v / s                 | g a r v / s                | g r v / (s a)              |
| a step of plain SGD, in    | a^2 / r times the digital | a^2 times the digital      | the digital layer's        |
| the network's weight s a w | layer's                   | layer's                    |                            |
| v in it                    | clean                     | quantised and noisy        | quantised and noisy        |
| to the input x             | w^T (g s a)               | w^T (g s a)                | w^T (g s a)                |
| x clipped: range or DAC    | passes                    | none                       | none                       |
| outputs that the ADC       | pass to w; to x only if   | none                       | none                       |
| clipped                    | |y| < 0.999 bounds of the |                            |                            |
|                            | ADC *after* scaling back, |                            |                            |
|                            | and so for all outputs    |                            |                            |
| `forward.out_scale`        | left out                  | counted                    | counted                    |
| to r                       | the rule of `ScaledInput`, with the gradient of x as it is in the same column        |
| to a                       | exact                     | exact                      | exact                      |

Quantisers, noise and the corrections of wires and output stages count as constants everywhere. (Left out: a small
term of aihwkit's torch tile through the maximum in its noise management.) In situ the weights have no gradient: the
optimizer hands x and g to the devices, under both rules as in aihwkit; the rule decides what reaches x.

The rule belongs to the tiles, since a gradient cannot know which optimizer will use it: torch's own optimizers see
the same as aihwkit's, there as here. Adam and its kin divide a constant factor out again, so that the rules differ
for them in what is clipped only. With plain SGD an input range of 3 makes the steps of "aihwkit" 3 times smaller,
and those of tiles with small inputs larger: choose "exact" where a learning rate is to mean what it means for the
digital network.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from torch import Tensor

from devices.looking import may_look

from ..aihwkit.adapter import IOParameters
from .fused_loops import as_rows, count_beyond

Gradient = Literal["aihwkit", "exact"]


def check_gradient(rule: str) -> None:
    """Refuse a rule that does not exist.

    Raises:
        ValueError: If so.
    """
    if rule not in get_args(Gradient):
        raise ValueError(f"`gradient` must be 'aihwkit' or 'exact', but is {rule!r}. Choose one of these.")


class Gains(NamedTuple):
    """The rule for the gradients of one product, with its factors, cheapest applied to the gradient of the outputs.

    Attributes:
        weight: (tiles, out) factor for the gradient of each row of the weights; one if None.
        x: (tiles,) factor for the gradient of the input vectors; one if None.
        like_aihwkit: Whether clean inputs count and clipped ones keep their gradient, as in aihwkit's C++ tiles.
    """

    weight: Tensor | None = None
    x: Tensor | None = None
    like_aihwkit: bool = False

    def of(self, part: slice) -> "Gains":
        """Return the rule for some tiles."""
        weight, x = self.weight, self.x
        return Gains(
            weight if weight is None else weight[part], x if x is None else x[part], self.like_aihwkit
        )

    def for_weight(self, grad: Tensor) -> Tensor:
        """Scale the gradient of the outputs, (tiles, batch, out), that goes into the weights."""
        return grad if self.weight is None else grad * self.weight[:, None, :]

    def for_x(self, grad: Tensor) -> Tensor:
        """Scale the gradient of the outputs, (tiles, batch, out), that goes into the inputs."""
        return grad if self.x is None else grad * self.x[:, None, None]


NO_GAINS = Gains()


def unmasked(y: Tensor, io: IOParameters) -> Tensor | None:
    """Return which outputs send their gradient back to the inputs in aihwkit's C++ tiles; None for all.

    Args:
        y: (tiles, batch, out) outputs of the product, scaled back.
        io: Settings of the periphery.
    """
    if io.out_bound <= 0 or y.numel() == 0:
        return None
    bound = io.out_scale * io.out_bound * 0.999
    if may_look(y) and not _reaches(y.detach(), bound):
        return None
    return (y < bound) & (y > -bound)


def _reaches(y: Tensor, bound: float) -> bool:
    """Tell whether any value is not inside (-bound, bound)."""
    rows = as_rows(y)
    if rows is None:
        return not max(float(y.amax()), -float(y.amin())) < bound
    counts = np.empty(y.shape[0], np.int64)
    count_beyond(*rows, bound, counts)
    return bool(counts.any())
