"""Which arguments of a convolution are honoured, and the order of old versions, told apart where it can be."""

from typing import Any

_ORDER = (
    "The order is aihwkit's: in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "
    "padding_mode, rpu_config; `input_size` and `placement` come by keyword."
)


def check_convolution(padding: Any, groups: Any, bias: Any, padding_mode: Any) -> None:
    """Refuse what is not emulated, and arguments in the order of versions before aihwkit's order was taken over.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If it asks for another convolution.
    """
    if isinstance(groups, bool) or not isinstance(bias, bool):
        raise TypeError(
            f"`groups` must be a number and `bias` True or False, but are {groups!r} and {bias!r}. {_ORDER}"
        )
    if padding_mode in ("reflect", "replicate", "circular"):
        raise ValueError(
            f"`padding_mode` must be 'zeros', but is {padding_mode!r}. Pad the image before the layer."
        )
    if padding_mode != "zeros":
        raise ValueError(f"`padding_mode` must be 'zeros', but is {padding_mode!r}. {_ORDER}")
    if isinstance(padding, str):
        raise ValueError(
            f"`padding` must be a number of zeros, but is {padding!r}. "
            "Use dilation * (kernel_size - 1) // 2 for 'same'."
        )
    if groups != 1:
        raise ValueError(
            f"`groups` must be 1, but is {groups}: a group would be a convolution of its own, on tiles of its own. "
            "Use one layer for each group."
        )
