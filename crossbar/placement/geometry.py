"""The sizes of a layer that looks at its input through a window, in any number of dimensions."""

import math
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, SupportsIndex, get_args

from .sizes import Size, as_sizes, one_whole_number, times, whole_numbers

__all__ = ["Geometry", "PaddingMode", "Size"]

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
"""What lies around the input: zeros; the input mirrored at its border; its border again and again; its other side."""

PADDING_MODES: Final[tuple[PaddingMode, ...]] = get_args(PaddingMode)

_SIZES: Final = {
    "kernel_size": 1,
    "input_size": 1,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
}  # and the least of each


@dataclass(frozen=True)
class Geometry:
    """How a kernel lies on a signal, an image or a volume, and at how many locations.

    Along each axis the kernel spans `dilation * (kernel_size - 1) + 1` elements and the output has

        (input_size + padding + padding_after - span) // stride + 1

    locations, as in torch's `Conv1d`, `Conv2d` and `Conv3d`. Sizes are one number for each axis: (length,),
    (vertical, horizontal), or (depth, vertical, horizontal).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernel.
        input_size: Size of the input, without padding.
        stride: Step between neighbouring locations.
        padding: Elements before the input, and after it too unless `padding_after` says otherwise.
        dilation: Distance between neighbouring elements of the kernel.
        groups: Parts that the channels are divided into; those of the output see those of the input of their part.
        padding_mode: What the padding holds.
        padding_after: Elements after the input; below 0, so many of the last are left out.

    Raises:
        TypeError: If a size is no whole number, or does not have one for each axis.
        ValueError: If a size is too small, the kernel is larger than the padded input, channels cannot be divided
            into the groups, or the input is too small to be mirrored or repeated.

    Example:
        >>> Geometry.of(1, 32, kernel_size=3, input_size=28, stride=2).output_size
        (13, 13)
        >>> Geometry.of(1, 32, kernel_size=3, input_size=28, padding="same", dimensions=1).output_size
        (28,)
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    input_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    padding_mode: PaddingMode = "zeros"
    padding_after: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Size,
        input_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: SupportsIndex = 1,
        padding_mode: PaddingMode = "zeros",
        *,
        dimensions: int = 2,
    ) -> "Geometry":
        """Make a geometry from sizes that are an int, meant for all axes, or one number for each.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            kernel_size: Size of the kernel.
            input_size: Size of the input.
            stride: Step between locations.
            padding: Elements on each side; "valid" for none, "same" for an output as large as the input.
            dilation: Distance between the elements of a kernel.
            groups: Parts that the channels are divided into.
            padding_mode: What the padding holds.
            dimensions: Number of axes.
        """
        kernel = as_sizes("kernel_size", kernel_size, dimensions)
        distance = as_sizes("dilation", dilation, dimensions)
        step = as_sizes("stride", stride, dimensions)
        before, after = _paddings(padding, step, kernel, distance)
        return cls(
            one_whole_number("in_channels", in_channels),
            one_whole_number("out_channels", out_channels),
            kernel,
            as_sizes("input_size", input_size, dimensions),
            step,
            before,
            distance,
            one_whole_number("groups", groups),
            padding_mode,
            after,
        )

    def __post_init__(self) -> None:
        axes = len(self.kernel_size)
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in ("in_channels", "out_channels", "groups"):
                object.__setattr__(self, name, one_whole_number(name, value))
                if value < 1:
                    raise ValueError(f"`{name}` must be at least 1, but is {value}. Choose a larger one.")
            elif name in _SIZES:
                # Plain ints and tuples, so that geometries print alike, made from numpy, torch or literals.
                sizes = whole_numbers(name, value, axes)
                object.__setattr__(self, name, sizes)
                if min(sizes) < _SIZES[name]:
                    raise ValueError(
                        f"`{name}` must be at least {_SIZES[name]}, but is {value}. Choose a larger one."
                    )
        after = self.padding if self.padding_after is None else self.padding_after
        object.__setattr__(self, "padding_after", whole_numbers("padding_after", after, axes))
        self._check_groups()
        self._check_padding_mode()
        if any(span > size for span, size in zip(self.kernel_span, self.padded_size, strict=True)):
            raise ValueError(
                f"`kernel_size` must fit into the padded input, but a kernel of {times(self.kernel_size)} "
                f"with dilation {times(self.dilation)} spans {times(self.kernel_span)} elements and the "
                f"input of {times(self.input_size)} has {times(self.padded_size)} with its padding of "
                f"{times(self.padding)}. Use a smaller kernel or more padding."
            )

    def _check_groups(self) -> None:
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise ValueError(
                    f"`{name}` must be a multiple of the number of groups, {self.groups}, but is {channels}. "
                    "Every group has as many channels."
                )

    def _check_padding_mode(self) -> None:
        if self.padding_mode not in PADDING_MODES:
            raise ValueError(
                f"`padding_mode` must be one of {', '.join(PADDING_MODES)}, but is {self.padding_mode!r}. "
                "Choose one of those."
            )
        if self.padding_mode not in ("reflect", "circular"):
            return
        kept = 1 if self.padding_mode == "reflect" else 0  # a mirror does not repeat the border itself
        for size, before, after in zip(self.input_size, *self.paddings, strict=True):
            if max(before, after) > size - kept:
                raise ValueError(
                    f"`padding` must be at most {size - kept} for an input of {times(self.input_size)} and the "
                    f"padding mode {self.padding_mode!r}, but is {max(before, after)}. Choose a smaller one."
                )

    @property
    def dimensions(self) -> int:
        """Number of axes: 1 for signals, 2 for images, 3 for volumes."""
        return len(self.kernel_size)

    @property
    def paddings(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Padding before and after the input, along each axis."""
        return self.padding, self.padding if self.padding_after is None else self.padding_after

    @property
    def kernel_span(self) -> tuple[int, ...]:
        """Size of the window that the dilated kernel looks at."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    @property
    def padded_size(self) -> tuple[int, ...]:
        """Size of the input with its padding."""
        sizes = zip(self.input_size, *self.paddings, strict=True)
        return tuple(size + before + after for size, before, after in sizes)

    @property
    def output_size(self) -> tuple[int, ...]:
        """Size of the output map."""
        sizes = zip(self.padded_size, self.kernel_span, self.stride, strict=True)
        return tuple((size - span) // step + 1 for size, span, step in sizes)

    @property
    def locations(self) -> int:
        """Number of output locations."""
        return math.prod(self.output_size)

    @property
    def patch_size(self) -> int:
        """Inputs of one location, of all groups: in_channels * elements of the kernel."""
        return self.in_channels * math.prod(self.kernel_size)

    def resized(self, input_size: tuple[int, ...]) -> "Geometry":
        """Return the same kernel on inputs of another size."""
        return replace(self, input_size=input_size)

    def unpadded(self) -> "Geometry":
        """Return the geometry of inputs that come with their padding."""
        none = (0,) * self.dimensions
        return replace(
            self, input_size=self.padded_size, padding=none, padding_after=none, padding_mode="zeros"
        )


def _paddings(
    padding: Size | str, stride: tuple[int, ...], kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the padding before and after the input.

    Raises:
        ValueError: If it is a word that says none.
        TypeError: If it is no size.
    """
    if not isinstance(padding, str):
        both = as_sizes("padding", padding, len(kernel))
        return both, both
    if padding not in ("valid", "same"):
        raise ValueError(
            f"`padding` must be sizes, 'valid' or 'same', but is {padding!r}. Choose one of those."
        )
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if any(step != 1 for step in stride):
        raise ValueError(
            f"`padding` must be a number of elements with a stride of {times(stride)}, but is 'same', which is "
            "defined for a stride of 1 only. Use dilation * (kernel_size - 1) // 2."
        )
    whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    # Where it cannot be halved, the surplus lies after the input, as in torch.
    return tuple(total // 2 for total in whole), tuple(total - total // 2 for total in whole)
