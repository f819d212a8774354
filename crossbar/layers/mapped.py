"""aihwkit's names for convolutions whose kernels may be cut over several tiles, as every one here may.

Arguments are those of the classes that they extend; the largest tile is `mapping.max_input_size` word lines by
`mapping.max_output_size` bit lines. aihwkit cuts between channels only, these layers into near-equal blocks.
"""

from .analog_convolution import AnalogConv1d, AnalogConv2d, AnalogConv3d


class AnalogConv1dMapped(AnalogConv1d):
    """An `AnalogConv1d` under aihwkit's name for one that may be cut over several tiles."""


class AnalogConv2dMapped(AnalogConv2d):
    """An `AnalogConv2d` under aihwkit's name for one that may be cut over several tiles."""


class AnalogConv3dMapped(AnalogConv3d):
    """An `AnalogConv3d` under aihwkit's name for one that may be cut over several tiles."""
