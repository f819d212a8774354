"""When a model that learns on pairs of one-way devices looks for those that are full."""

from torch import nn

from ..learning.refresh import RefreshRule
from .chip import tile_arrays


def use_refresh(model: nn.Module, rule: RefreshRule) -> None:
    """Look for full pairs of one-way devices only when there can be some, or as the configuration says.

    What a look, and resetting and writing anew what it finds, cost stands in a phase "refresh" of its own.

    Args:
        model: A model whose devices learn in place, on pairs of which pulses only ever raise one or the other, such
            as phase-change memory.
        rule: "when-full": a tile is looked at when its busiest pair can be expected to be full, by the pulses that
            were sent on its lines since the last look, and by how many the last look found
            (`crossbar.learning.refresh.LineCounts`). "every-batch": as
            `refresh_every` of aihwkit's configuration says; the default of layers, and of aihwkit's presets.

    Raises:
        ValueError: If the model has no such pairs, or there is no such rule.

    Example:
        >>> import torch
        >>> from crossbar import AnalogLinear
        >>> from devices import get
        >>> _ = torch.manual_seed(0)
        >>> layer = AnalogLinear(4, 2, rpu_config=get("pcm").training_config())
        >>> use_refresh(layer, "when-full")
        >>> 35 < layer.tile_array.cells.lines.to_fill < 50  # pulses that fill a pair, by the devices that it got
        True
    """
    cells = [array.cells for _, array in tile_arrays(model) if array.cells is not None]
    have_pairs = [one.use_refresh(rule) for one in cells]
    if not any(have_pairs):
        raise ValueError(
            "`model` must learn on pairs of one-way devices, but has none: nothing fills up. Leave this out."
        )
