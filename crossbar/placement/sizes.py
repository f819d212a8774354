"""Sizes as people write them: one number for all axes, or one for each."""

import operator
from typing import Final, SupportsIndex

Size = SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex]
"""A size along all axes, or one for each; any whole numbers, numpy's and torch's too."""

_TOGETHER: Final = {2: "a pair of whole numbers", 3: "three whole numbers"}


def as_sizes(name: str, value: object, axes: int) -> tuple[int, ...]:
    """Return one whole number for each axis.

    Raises:
        TypeError: If they are none, or too many.

    Example:
        >>> as_sizes("stride", 2, axes=3)
        (2, 2, 2)
    """
    if isinstance(value, tuple | list):
        return whole_numbers(name, value, axes)
    try:
        return (_index(value),) * axes
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be a whole number or {_together(axes)}, but is {value!r}. Give one."
        ) from error


def one_whole_number(name: str, value: object) -> int:
    """Return a whole number as a plain int.

    Raises:
        TypeError: If it is none.
    """
    try:
        return _index(value)
    except TypeError as error:
        raise TypeError(f"`{name}` must be a whole number, but is {value!r}. Give a whole number.") from error


def whole_numbers(name: str, values: object, count: int) -> tuple[int, ...]:
    """Return so many whole numbers as plain ints.

    Raises:
        TypeError: If they are none, or another number of them.
    """
    rule = _together(count)
    if not isinstance(values, tuple | list) or len(values) != count:
        raise TypeError(f"`{name}` must be {rule}, but is {values!r}. Give {rule}.")
    try:
        return tuple(_index(value) for value in values)
    except TypeError as error:
        raise TypeError(f"`{name}` must be {rule}, but is {values!r}. Give {rule}.") from error


def times(sizes: tuple[int, ...]) -> str:
    """Write sizes as people say them.

    Example:
        >>> times((3, 4))
        '3 x 4'
    """
    return " x ".join(map(str, sizes))


def _together(count: int) -> str:
    return _TOGETHER.get(count, f"a tuple of {count} whole number{'s' * (count > 1)}")


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError("no whole number")
    return operator.index(value)
