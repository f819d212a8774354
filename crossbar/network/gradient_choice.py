"""Which gradient the analog layers of a model send back."""

from torch import nn

from ..reading.gradient import Gradient
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
    arrays = list(tile_arrays(model))
    if not arrays:
        raise ValueError("`model` must have analog layers, but has none. Use `convert_to_analog` first.")
    for _, array in arrays:
        array.use_gradient(rule)
