"""Work over tiles, some at a time, so that what it needs in between fits into a budget."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from devices.looking import may_look
from devices.working_memory import divided, parts_of_at_most

__all__ = ["in_parts", "not_finite", "parts_of", "parts_of_at_most", "room_like"]


def parts_of(tiles: int, numbers: int, like: Tensor, *, can_be: bool = True) -> list[slice]:
    """Divide tiles into parts that are computed one after the other; one part where nothing is gained by it.

    Args:
        tiles: How many there are.
        numbers: Of a tile, that the work keeps in between.
        like: What it computes with. Parts are for the CPU: a GPU wants few and large products, and in a graph that
            `torch.compile` makes memory is the compiler's concern.
        can_be: Whether the work can be divided.

    Raises:
        ValueError: If a smallest part takes more than `bounded_memory` allows.
    """
    if not may_look(like) or like.is_meta:
        return [slice(0, tiles)]
    return divided(tiles, numbers * like.element_size(), can_be=can_be)


def not_finite(values: Tensor) -> int:
    """Return how many values are NaN or infinite.

    Args:
        values: (kernels, ...) or (tiles, ...).
    """
    parts = parts_of(len(values), 3 * values[:1].numel(), values)
    return sum(int((~torch.isfinite(values[part])).sum()) for part in parts)


def room_like(one: Tensor, tiles: int) -> Tensor:
    """Return memory for all tiles in the memory order of what is there of some: (tiles, ...)."""
    if one.dim() == 3 and not one.is_contiguous() and one.transpose(1, 2).is_contiguous():
        return one.new_empty(tiles, one.shape[2], one.shape[1]).transpose(1, 2)
    return one.new_empty(tiles, *one.shape[1:])


def in_parts(
    work: Callable[[slice], Sequence[Tensor | None]], parts: Sequence[slice]
) -> Sequence[Tensor | None]:
    """Return what some work gives for all tiles, computed part after part.

    Args:
        work: Computes (part, ...) each; None for the same of its results in all parts.
        parts: Of the tiles.
    """
    if len(parts) == 1:
        return work(parts[0])
    rooms: list[Tensor | None] = []
    for part in parts:
        results = work(part)
        if not rooms:
            rooms = [None if one is None else room_like(one, parts[-1].stop) for one in results]
        for room, one in zip(rooms, results, strict=True):
            if room is not None and one is not None:
                room[part] = one
    return rooms
