"""How the analog layers of a model compute: which gradient they send back, and in which precision noise is found."""

from collections.abc import Iterator

from torch import nn

from ..reading.gradient import Gradient
from ..reading.periphery import NoisePrecision
from ..tiles.tile_array import TileArray
from .chip import tile_arrays


def use_gradient(model: nn.Module, rule: Gradient) -> None:
    """Send back the gradient of aihwkit's own tiles, as by default, or the exact one, in every analog layer.

    Args:
        model: A model with analog layers.
        rule: "aihwkit", or "exact": a step of plain SGD is then that of the digital layer, whatever the input range
            and the scales are, and what a converter clipped has no gradient. The table of both is in
            `crossbar.reading.gradient`.

    Raises:
        ValueError: If the model has no analog layer, or the rule is another one.
    """
    for array in _arrays(model):
        array.use_gradient(rule)


def use_noise_precision(model: nn.Module, precision: NoisePrecision) -> None:
    """Compute in float32, as by default, or in bfloat16, what only noise and voltage drops follow from.

    PCM-like read noise (`w_noise`) and `ir_drop` take three products beside the layer's own. In bfloat16, where the
    processor multiplies such numbers (AVX512-BF16, AMX), they take about half of the time in large layers; the
    layer's own product stays in float32. Rounding moves the standard deviation of the read noise by at most 0.6 %
    (0.1 % rms), and a voltage drop, itself some percent of an output, by about 0.3 % rms of it. Elsewhere, in small
    layers and batches, and where no noise is on, float32 is used in any case. So with "bfloat16" the same seed gives
    the same numbers on the same kind of processor only.

    Args:
        model: A model with analog layers.
        precision: "float32" or "bfloat16".

    Raises:
        ValueError: If the model has no analog layer, or the precision is another one.
    """
    for array in _arrays(model):
        array.use_noise_precision(precision)


def _arrays(model: nn.Module) -> Iterator[TileArray]:
    arrays = [array for _, array in tile_arrays(model)]
    if not arrays:
        raise ValueError("`model` must have analog layers, but has none. Use `convert_to_analog` first.")
    return iter(arrays)
