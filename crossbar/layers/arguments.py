"""Which arguments of layers are honoured; and the order of old versions, told apart where it can be."""

from typing import Any

from torch import Tensor

from ..placement.geometry import PADDING_MODES
from ..placement.placement import Placement
from ..placement.sizes import Size, as_sizes
from ..reading.parts import not_finite

_ORDER = (
    "The order is aihwkit's: in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "
    "padding_mode, rpu_config; `input_size` and `placement` come by keyword."
)


def check_convolution(groups: Any, bias: Any, padding_mode: Any, tile_module_class: Any = None) -> None:
    """Refuse arguments in the order of versions before aihwkit's order was taken over, and tiles of other classes.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If there is no such padding mode, or tiles shall be of another class.
    """
    if isinstance(groups, bool) or not isinstance(bias, bool):
        raise TypeError(
            f"`groups` must be a number and `bias` True or False, but are {groups!r} and {bias!r}. {_ORDER}"
        )
    if padding_mode not in PADDING_MODES:
        raise ValueError(
            f"`padding_mode` must be one of {', '.join(PADDING_MODES)}, but is {padding_mode!r}. {_ORDER}"
        )
    refuse_tile_class(tile_module_class)


def refuse_tile_class(tile_module_class: Any) -> None:
    """Refuse one of aihwkit's tile classes, or one of the user's.

    Raises:
        ValueError: If one is given.
    """
    if tile_module_class is not None:
        raise ValueError(
            f"`tile_module_class` must be None, but is {getattr(tile_module_class, '__name__', tile_module_class)}: "
            "a tile array computes all tiles itself. Leave it out (`backend` comes by keyword), or use the layers "
            "of aihwkit, which can stand in the same model."
        )


def check_values(name: str, values: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape, or with values that are no numbers.

    Raises:
        ValueError: If so.
    """
    if tuple(values.shape) != shape:
        raise ValueError(f"`{name}` must have the shape {shape}, but has {tuple(values.shape)}.")
    bad = not_finite(values)
    if bad:
        raise ValueError(
            f"`{name}` must be finite, but {bad} of its {values.numel()} values are NaN or infinite. "
            "Check the training that they come from."
        )


def refuse_unsized(placement: str | Placement, stride: Any) -> None:
    """Refuse placements that need to know the size of the input.

    Raises:
        ValueError: If it is one.
    """
    name = placement.spec if isinstance(placement, Placement) else placement
    if name != "time_multiplexed":
        raise ValueError(
            f"`input_size` must be given for the placement {name!r}, but is None: only 'time_multiplexed' "
            "serves inputs of any size. Give it by keyword; the fourth positional argument is the stride, "
            f"{stride} here."
        )


def smallest_input(
    kernel_size: Size, padding: Size | str, dilation: Size, padding_mode: str, dimensions: int
) -> tuple[int, ...]:
    """Return the size of the smallest input that the kernel fits on."""
    kernel = as_sizes("kernel_size", kernel_size, dimensions)
    distance = as_sizes("dilation", dilation, dimensions)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, distance, strict=True)]
    if isinstance(padding, str):
        around = [0] * dimensions if padding == "valid" else [(span - 1) // 2 for span in spans]
        most = [0] * dimensions if padding == "valid" else [span // 2 for span in spans]
    else:
        around = most = list(as_sizes("padding", padding, dimensions))
    least = {"reflect": 1, "circular": 0}.get(padding_mode)
    fits = [max(1, span - 2 * n) for span, n in zip(spans, around, strict=True)]
    if least is None:
        return tuple(fits)
    return tuple(max(size, n + least) for size, n in zip(fits, most, strict=True))
