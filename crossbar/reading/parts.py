"""Work over tiles, some at a time, so that what it needs in between fits into a budget."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise

from torch import Tensor

from .looking import may_look

# A training pass of 10,000 tiles of 32 x 9, batch 8, takes 77 ms in parts of 1 MiB, 64 of 2, 60 of 4, 57 of 16, and
# 68 in one (AMD EPYC, one thread).
DEFAULT_BYTES = 2 * 2**20
# Less than this is not divided unless somebody asks: it is little memory, and calls of torch take time.
_LITTLE = 16 * 2**20
# torch draws normal numbers sixteen at a time: parts of so many tiles draw what all tiles at once do.
_TOGETHER = 16

_BYTES: ContextVar[int | None] = ContextVar("bytes of a part", default=None)


@contextmanager
def parts_of_at_most(number: int) -> Iterator[None]:
    """Let passes of this thread keep no more than so many bytes of what they need in between.

    No number that is computed depends on it; sixteen tiles are computed together however large they are.

    Args:
        number: Bytes; much less than the default costs time, as every part takes some calls of torch.

    Raises:
        ValueError: If it is not positive.
    """
    if number < 1:
        raise ValueError(f"`number` must be positive, but is {number}. Give bytes.")
    token = _BYTES.set(number)
    try:
        yield
    finally:
        _BYTES.reset(token)


def parts_of(tiles: int, numbers: int, like: Tensor) -> list[slice]:
    """Divide tiles into parts that are computed one after the other; one part where nothing is gained by it.

    Args:
        tiles: How many there are.
        numbers: Of a tile, that the work keeps in between.
        like: What it computes with. Parts are for the CPU: a GPU wants few and large products, and in a graph that
            `torch.compile` makes memory is the compiler's concern.
    """
    of_tile, asked = max(numbers * like.element_size(), 1), _BYTES.get()
    if asked is None and tiles * of_tile <= _LITTLE:
        return [slice(0, tiles)]
    at_once = max((asked or DEFAULT_BYTES) // of_tile // _TOGETHER, 1) * _TOGETHER
    if at_once >= tiles or not may_look(like) or like.is_meta:
        return [slice(0, tiles)]
    firsts = range(0, tiles - _TOGETHER + 1, at_once)  # the last part is not smaller than sixteen tiles
    return [slice(a, b) for a, b in pairwise([*firsts, tiles])]


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
