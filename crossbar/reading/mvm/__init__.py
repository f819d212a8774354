"""The analog matrix-vector product of many tiles at once, as aihwkit's C++ tiles compute it.

Order of events for one input vector on one tile:

1. noise management scales the vector into the range of the DAC,
2. the DAC quantises and clips it; input noise is added; negative inputs respond asymmetrically,
3. Ohm and Kirchhoff: currents add along the bit lines,
4. wires (IR drop), voltage offsets and series resistance, weight read noise,
5. saturation and asymmetry of the output stage, output noise, ADC,
6. if the ADC clipped, bound management halves the input and repeats everything, with new noise,
7. the digital side undoes the scaling.

Every decision (scale, clipping, repetition, zero) is taken per vector and per tile.

How gradients go back through all this is a choice: see `reading.gradient`.
"""

from ..periphery import Periphery, check_io_support
from .managed_read import managed_read
from .products import outer_sum, product
from .straight_through import analog_mvm

__all__ = ["Periphery", "analog_mvm", "check_io_support", "managed_read", "outer_sum", "product"]
