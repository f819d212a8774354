"""The sizes of a layer that looks at an image through a window: input, kernel, output."""

import math
import operator
from dataclasses import dataclass, fields
from typing import SupportsIndex

Size = SupportsIndex | tuple[SupportsIndex, SupportsIndex] | list[SupportsIndex]
"""A size along both axes, or one for each; any whole numbers, numpy's and torch's too."""


@dataclass(frozen=True)
class Geometry:
    """How a kernel lies on an image, and at how many locations.

    Along each axis the kernel spans `dilation * (kernel_size - 1) + 1` elements and the output has

        (input_size + 2 * padding - span) // stride + 1

    locations, as in torch's `Conv2d`. Pairs are (vertical, horizontal).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the kernel.
        input_size: Height and width of the input, without padding.
        stride: Step between neighbouring locations.
        padding: Zeros on each side of the input.
        dilation: Distance between neighbouring elements of the kernel.

    Raises:
        TypeError: If a size is no whole number, or a pair has not two of them.
        ValueError: If a size is too small, or the kernel is larger than the padded input.

    Example:
        >>> Geometry.of(1, 32, kernel_size=3, input_size=28, stride=2).output_size
        (13, 13)
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    input_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @classmethod
    def of(
        cls,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Size,
        input_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
    ) -> "Geometry":
        """Make a geometry from sizes that are an int, meant for both axes, or a pair."""
        return cls(
            _whole_numbers("in_channels", in_channels, 1)[0],
            _whole_numbers("out_channels", out_channels, 1)[0],
            _pair("kernel_size", kernel_size),
            _pair("input_size", input_size),
            _pair("stride", stride),
            _pair("padding", padding),
            _pair("dilation", dilation),
        )

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_channels = field.name.endswith("channels")
            sizes = _whole_numbers(field.name, value, 1 if is_channels else 2)
            # Plain ints and tuples, so that geometries print alike, made from numpy, torch or literals.
            object.__setattr__(self, field.name, sizes[0] if is_channels else sizes)
            least = 0 if field.name == "padding" else 1
            if min(sizes) < least:
                raise ValueError(
                    f"`{field.name}` must be at least {least}, but is {value}. Choose a larger one."
                )
        if any(span > size for span, size in zip(self.kernel_span, self.padded_size, strict=True)):
            raise ValueError(
                f"`kernel_size` must fit into the padded input, but a kernel of {_times(self.kernel_size)} "
                f"with dilation {_times(self.dilation)} spans {_times(self.kernel_span)} elements and the "
                f"input of {_times(self.input_size)} has {_times(self.padded_size)} with its padding of "
                f"{_times(self.padding)}. Use a smaller kernel or more padding."
            )

    @property
    def kernel_span(self) -> tuple[int, int]:
        """Height and width of the window that the dilated kernel looks at."""
        (height, width), (vertical, horizontal) = self.kernel_size, self.dilation
        return vertical * (height - 1) + 1, horizontal * (width - 1) + 1

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width of the input with its padding."""
        (height, width), (vertical, horizontal) = self.input_size, self.padding
        return height + 2 * vertical, width + 2 * horizontal

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the output map."""
        rows, columns = (
            (size - span) // step + 1
            for size, span, step in zip(self.padded_size, self.kernel_span, self.stride, strict=True)
        )
        return rows, columns

    @property
    def locations(self) -> int:
        """Number of output locations."""
        return math.prod(self.output_size)

    @property
    def patch_size(self) -> int:
        """Inputs of one location: in_channels * kernel height * kernel width."""
        return self.in_channels * math.prod(self.kernel_size)


def _times(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _whole_numbers(name: str, value: object, count: int) -> tuple[int, ...]:
    rule = "a whole number" if count == 1 else "a pair of whole numbers"
    items = (value,) if count == 1 else value
    if not isinstance(items, tuple | list) or len(items) != count or any(isinstance(i, bool) for i in items):
        raise TypeError(f"`{name}` must be {rule}, but is {value!r}. Give {rule}.")
    try:
        return tuple(operator.index(item) for item in items)
    except TypeError as error:
        raise TypeError(f"`{name}` must be {rule}, but is {value!r}. Give {rule}.") from error


def _pair(name: str, value: Size) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        first, second = _whole_numbers(name, value, 2)
        return first, second
    try:
        (both,) = _whole_numbers(name, value, 1)
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be a whole number or a pair of whole numbers, but is {value!r}. Give one."
        ) from error
    return both, both
