"""Running means of how large inputs and gradients are, by which pulse trains are scaled."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor, nn

from devices.looking import may_look
from devices.units import Dimensionless


class RunningMaxima(nn.Module):
    """Exponential means of the largest |x| and |d| of every vector, for each tile.

    Args:
        tiles: Number of tiles.
        momentum: Part of a mean that a whole batch leaves; the first value is taken as it is, zeros are left out.

    Attributes:
        x: (tiles,) mean of the largest input; 0 before the first.
        d: (tiles,) mean of the largest gradient.
    """

    x: Tensor
    d: Tensor

    def __init__(self, tiles: int, momentum: Dimensionless) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("x", torch.zeros(tiles))
        self.register_buffer("d", torch.zeros(tiles))

    def part(self, batch: int) -> Any:
        """Return the part of a mean that a new vector makes up, in float32.

        Args:
            batch: Vectors of the batch.
        """
        return (np.float32(1) - np.float32(self.momentum)) / np.float32(batch)

    def follow_rates(
        self, x: Float[Tensor, "tiles batch in"], d: Float[Tensor, "tiles batch out"], full: Dimensionless
    ) -> Float[Tensor, "tiles batch"]:
        """Take in the vectors of a batch; return the learning rates at which usual ones move a device by `full`.

        Args:
            x: Inputs.
            d: Gradients.
            full: By which the largest input and the largest gradient are to move a device; the rate itself where one
                of the means is zero.
        """
        part = self.part(x.shape[1])
        if may_look(x):
            here = (given.float().contiguous().numpy() for given in (x, d))
            means = self.x.numpy(), self.d.numpy()
            return torch.from_numpy(follow_rates(*here, *means, part, np.float32(full)))
        x_mean, d_mean = (_followed_by(mean, values, part) for values, mean in ((x, self.x), (d, self.d)))
        rate = torch.full_like(x_mean, full)
        return torch.where((x_mean > 0) & (d_mean > 0), rate / (x_mean * d_mean), rate)


def _followed_by(mean: Tensor, values: Tensor, part: Any) -> Tensor:
    """Let running means follow the largest of each vector, and return where they stood after each."""
    largest = values.abs().amax(dim=2).float()
    means, now = torch.empty_like(largest), mean.clone()
    for vector in range(largest.shape[1]):
        new = largest[:, vector]
        moved = torch.where(new > 0, float(np.float32(1) - part) * now + float(part) * new, now)
        now = torch.where(now <= 0, new, moved)
        means[:, vector] = now
    mean.copy_(now)
    return means


@njit(cache=True, error_model="numpy")
def follow_rates(x: Any, d: Any, x_mean: Any, d_mean: Any, part: Any, full: Any) -> Any:
    """Do what `RunningMaxima.follow_rates` does."""
    of_x, of_d = _follow(_largest(x), x_mean, part), _follow(_largest(d), d_mean, part)
    x_mean[:], d_mean[:] = of_x[:, -1], of_d[:, -1]
    zero = np.float32(0.0)
    for t in range(of_x.shape[0]):
        for b in range(of_x.shape[1]):
            both = of_x[t, b] > zero and of_d[t, b] > zero
            of_x[t, b] = full / (of_x[t, b] * of_d[t, b]) if both else full
    return of_x


@njit(cache=True)
def _largest(values: Any) -> Any:
    """Return the largest size in every vector; NaN if any number is."""
    tiles, batch, number = values.shape
    largest = np.zeros((tiles, batch), np.float32)
    for t in range(tiles):
        for b in range(batch):
            for j in range(number):
                size = abs(values[t, b, j])
                if not size <= largest[t, b] and largest[t, b] == largest[t, b]:
                    largest[t, b] = size
    return largest


@njit(cache=True)
def _follow(values: Any, before: Any, part: Any) -> Any:
    tiles, batch = values.shape
    means = np.empty_like(values)
    rest = np.float32(1.0) - part
    for t in range(tiles):
        mean = before[t]
        for b in range(batch):
            if mean <= 0.0:
                mean = values[t, b]
            elif values[t, b] > 0.0:
                mean = rest * mean + part * values[t, b]
            means[t, b] = mean
    return means
