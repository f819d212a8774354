"""How much memory work may take in between: some tiles at a time, as many as fit into a budget.

What is bounded is what one piece of work (a pass, an update, the writing or reading of a chip) needs beside the
things that stay: weights, their gradients, devices, inputs and outputs.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from typing_extensions import final

# A training pass of 10,000 tiles of 32 x 9, batch 8, takes 77 ms in parts of 1 MiB, 64 of 2, 60 of 4, 57 of 16, and
# 68 in one (AMD EPYC, one thread).
DEFAULT_BYTES: Final = 2 * 2**20
# Less than this is not divided unless somebody asks: it is little memory, and calls of torch take time.
LITTLE: Final = 16 * 2**20
# torch draws normal numbers sixteen at a time: parts of so many tiles draw what all tiles at once do.
TOGETHER: Final = 16

_UNITS: Final = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@final
@dataclass(frozen=True)
class _Limit:
    """What somebody has asked for.

    Attributes:
        of_part: Bytes that parts are made for.
        most: Bytes that no part may exceed, or None if sixteen tiles are computed together whatever they take.
    """

    of_part: int
    most: int | None


_LIMIT: ContextVar[_Limit | None] = ContextVar("memory of a part", default=None)


def bytes_of(size: int | str) -> int:
    """Return a size of memory in bytes.

    Args:
        size: Bytes, or a number with a unit: "512MiB", "2GiB".

    Raises:
        ValueError: If it is neither, or not positive.

    Example:
        >>> bytes_of("2GiB"), bytes_of("1.5 MiB")
        (2147483648, 1572864)
    """
    found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})?\s*", str(size))
    number = int(float(found[1]) * _UNITS.get(found[2], 1)) if found else 0
    if number < 1:
        raise ValueError(
            f"`memory` must be a positive number of bytes, KiB, MiB or GiB, but is {size!r}. "
            "Write '512MiB' or '2GiB'."
        )
    return number


@contextmanager
def bounded_memory(memory: int | str) -> Iterator[None]:
    """Let no piece of work in this thread take more memory in between than so much.

    Passes, updates, and the writing, ageing and reading of chips go over some tiles at a time. No number that is
    computed depends on it. Not counted is what stays: weights, gradients and the optimizer's memory of them, the
    devices of a chip, inputs and outputs of layers, and the noisy copy of the weights that a training pass reads.
    Drift exponents of a chip that take more are not kept, but drawn again at every reading, which takes half as long
    again.

    Args:
        memory: Bytes, or a number with a unit: "512MiB", "2GiB".

    Raises:
        ValueError: If it is no such number; later, by work that cannot be divided so far.

    Example:
        >>> with bounded_memory("64MiB"):
        ...     pass  # train, program, age, evaluate
    """
    most = bytes_of(memory)
    with _limited(_Limit(min(most, DEFAULT_BYTES), most)):
        yield


@contextmanager
def parts_of_at_most(number: int) -> Iterator[None]:
    """Divide work of this thread into parts of so many bytes, or of sixteen tiles where those take more.

    Args:
        number: Bytes.

    Raises:
        ValueError: If it is not positive.
    """
    if number < 1:
        raise ValueError(f"`number` must be positive, but is {number}. Give bytes.")
    with _limited(_Limit(number, None)):
        yield


@contextmanager
def _limited(limit: _Limit) -> Iterator[None]:
    token = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def divided(tiles: int, of_tile: int, *, can_be: bool = True) -> list[slice]:
    """Divide tiles into parts that are computed one after the other; one part where nothing is gained by it.

    Args:
        tiles: How many there are.
        of_tile: Bytes that the work keeps of each in between.
        can_be: Whether the work can be divided.

    Raises:
        ValueError: If a smallest part takes more than `bounded_memory` allows.
    """
    limit, of_tile = _LIMIT.get(), max(of_tile, 1)
    of_part = DEFAULT_BYTES if limit is None else limit.of_part
    most = None if limit is None else limit.most
    at_once = max(of_part // of_tile // TOGETHER, 1) * TOGETHER
    little = min(LITTLE, most or LITTLE) if limit is None or most is not None else 0
    if not can_be or tiles * of_tile <= little or at_once >= tiles:
        parts = [slice(0, tiles)]
    else:
        firsts = range(0, tiles - TOGETHER + 1, at_once)  # the last part is not smaller than sixteen tiles
        parts = [slice(a, b) for a, b in pairwise([*firsts, tiles])]
    largest = max(part.stop - part.start for part in parts)
    if most is not None and largest * of_tile > most:
        raise ValueError(
            f"`memory` must be at least {largest * of_tile / 2**20:.3g} MiB here, which {largest} tiles take that "
            f"are computed at once, but is {most / 2**20:.3g} MiB. Allow more, or give fewer images at a time."
        )
    return parts


def is_within(number: int) -> bool:
    """Tell whether `bounded_memory` allows so many bytes; so do all who have set no bound."""
    limit = _LIMIT.get()
    return limit is None or limit.most is None or number <= limit.most


def filled(
    tiles: int, of_tile: int, work: Callable[[slice], Sequence[Tensor | None]], *, can_be: bool = True
) -> list[Tensor | None]:
    """Return what some work gives for all tiles, computed part after part.

    Args:
        tiles: How many there are.
        of_tile: Bytes that the work keeps of each in between.
        work: Computes (part, ...) each; None for the same of its results in all parts.
        can_be: Whether the work can be divided.
    """
    parts = divided(tiles, of_tile, can_be=can_be)
    if len(parts) == 1:
        return list(work(parts[0]))
    rooms: list[Tensor | None] = []
    for part in parts:
        results = work(part)
        if not rooms:
            rooms = [None if one is None else one.new_empty(tiles, *one.shape[1:]) for one in results]
        for room, one in zip(rooms, results, strict=True):
            if room is not None and one is not None:
                room[part] = one
    return rooms


class Stream:
    """torch's global CPU generator with a stream of its own, from where the last use left it."""

    def __init__(self, seed: int) -> None:
        self._state = torch.Generator().manual_seed(seed).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let others draw from it, and nobody notice."""
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self._state)
        try:
            yield
        finally:
            self._state = torch.default_generator.get_state()
            torch.default_generator.set_state(before)
