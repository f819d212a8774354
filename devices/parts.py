"""Random numbers of a process that holds a part of the tiles: those that it would draw if it held all of them.

Where the tiles of an array are spread over processes, every process steps through the same streams, draws for all
tiles, and keeps what belongs to its own. So no number depends on how many processes there are; the time to draw does
not become shorter with more of them (skipping a normal number takes 0.4 of the time of drawing it), its memory does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .looking import may_look
from .units import Dimensionless

# Numbers that are drawn at once; a multiple of 16, in which torch fills memory with normal numbers.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Part(ABC):
    """The tiles that a process holds, and what it has to agree on with the others.

    Attributes:
        first: Number of its first tile.
        tiles: How many tiles it holds.
        of_all: Tiles of the whole array.
    """

    first: int
    tiles: int
    of_all: int

    @abstractmethod
    def most(self, number: Dimensionless) -> Dimensionless:
        """Return the largest of what all processes say."""

    @abstractmethod
    def gather(self, values: Tensor, axis: int = 0) -> Tensor:
        """Put together what belongs to the tiles of all processes, along the axis of the tiles."""

    @abstractmethod
    def total(self, number: Dimensionless) -> Dimensionless:
        """Return the sum of what all processes say, added in the order of their tiles."""

    def mean(self, of_own_tiles: Dimensionless) -> Dimensionless:
        """Return the mean over all tiles, from the mean over those of each process."""
        return self.total(of_own_tiles * self.tiles) / self.of_all


class PartialGenerator(torch.Generator):
    """A generator that knows for which tiles it is asked."""

    part: Part | None = None


def part_of(rng: torch.Generator) -> Part | None:
    """Return the part for which a generator draws, or None if it draws for all tiles."""
    return getattr(rng, "part", None)


def first_tile(rng: torch.Generator) -> int:
    """Return the number of the first tile that is drawn for, which names the streams of compiled loops."""
    part = part_of(rng)
    return 0 if part is None else part.first


def most(number: Dimensionless, rng: torch.Generator) -> Dimensionless:
    """Return the largest of what the processes say that share the tiles; the number itself for one process."""
    part = part_of(rng)
    return number if part is None else part.most(number)


def mean_over_tiles(of_own_tiles: Dimensionless, rng: torch.Generator) -> Dimensionless:
    """Return the mean over all tiles, from the mean over those of this process."""
    part = part_of(rng)
    return of_own_tiles if part is None else part.mean(of_own_tiles)


def any_of(is_so: Any, rng: torch.Generator) -> bool:
    """Tell whether it is so in any process, where what comes next draws random numbers in all of them or in none.

    Of a tensor on a GPU it is taken to be so, without waiting for it: what comes next then changes nothing.
    """
    if isinstance(is_so, Tensor) and not may_look(is_so):
        return True
    return most(float(bool(is_so)), rng) > 0


def drawn_for_own(
    shape: tuple[int, ...], draw: Callable[[tuple[int, ...]], Tensor], rng: torch.Generator, *, axis: int = 0
) -> Tensor:
    """Draw for all tiles, and return what belongs to those of this process.

    Args:
        shape: What is wanted.
        draw: Draws a shape.
        rng: Where `draw` draws from.
        axis: Of the tiles.
    """
    part = part_of(rng)
    if part is None:
        return draw(shape)
    _check_tiles(shape[axis], part)
    whole = draw((*shape[:axis], part.of_all, *shape[axis + 1 :]))
    return whole.narrow(axis, part.first, part.tiles)


def normal_(values: Tensor, rng: torch.Generator) -> Tensor:
    """Fill memory with standard normal numbers, in its order, and return it.

    Args:
        values: (tiles, ...); of what does not lie contiguous, or with its last two axes the other way round, in one
            process only.
        rng: Draws them.
    """
    return _fill_(values, rng, "normal_")


def uniform_(values: Tensor, rng: torch.Generator) -> Tensor:
    """Fill memory with numbers uniform in [0, 1), in its order, and return it.

    Args:
        values: As of `normal_`.
        rng: Draws them.
    """
    return _fill_(values, rng, "uniform_")


_Law = Literal["normal_", "uniform_"]


def _fill_(values: Tensor, rng: torch.Generator, law: _Law) -> Tensor:
    # torch draws 8 times slower across the memory order than along it.
    in_order = values.transpose(-1, -2) if _is_flipped(values) else values
    part = part_of(rng)
    if part is None:
        getattr(in_order, law)(generator=rng)
        return values
    _check_tiles(len(values), part)
    if not in_order.is_contiguous():
        raise RuntimeError(
            f"numbers for the tiles of one of several processes need {in_order.shape} contiguous"
        )
    each = in_order[0].numel()
    _fill_part_(in_order.view(-1), each * part.first, each * part.of_all, rng, law)
    return values


def _fill_part_(own: Tensor, begin: int, total: int, rng: torch.Generator, law: _Law) -> None:
    """Fill with the numbers from `begin` on, of `total` ones that are drawn."""
    end, at = begin + own.numel(), 0
    # Other torch devices draw in an order that depends on how many there are.
    chunk = _CHUNK if own.device.type == "cpu" else total
    scratch = own.new_empty(min(total, 2 * chunk))
    while at < total:
        # The last 16 of normal numbers are drawn in a way of their own, so that no short rest may be left.
        size = chunk if total - at >= 2 * chunk else total - at
        low, high = max(at, begin), min(at + size, end)
        is_skipped = low >= high and at + size < total
        getattr(scratch[:size], "uniform_" if is_skipped else law)(generator=rng)
        if low < high:
            own[low - begin : high - begin] = scratch[low - at : high - at]
        at += size


def _check_tiles(tiles: int, part: Part) -> None:
    if tiles != part.tiles:
        raise RuntimeError(f"numbers are drawn for {tiles} tiles, but this process holds {part.tiles}")


def _is_flipped(values: Tensor) -> bool:
    """Tell whether the last two axes lie in memory in the other order."""
    return values.dim() >= 2 and not values.is_contiguous() and values.transpose(-1, -2).is_contiguous()
