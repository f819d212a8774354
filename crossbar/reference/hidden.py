"""Devices that are trained in place under the names that aihwkit gives their hidden parameters."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from devices.pulsed import DeviceArray, from_hidden, to_hidden

from ..learning.unit_cells import UnitCells
from .backend import ReferenceCells


def hidden_parameters(cells: UnitCells) -> "OrderedDict[str, Tensor]":
    """Return what aihwkit's tiles tell of their devices, (tiles, out, in) under each of its names.

    Args:
        cells: Batched cells, or real aihwkit tiles.
    """
    if isinstance(cells, ReferenceCells):
        per_tile = [tile.get_hidden_parameters() for tile in cells.aihwkit_tiles]
    else:
        per_tile = _written_down(cells)
    return OrderedDict((name, torch.stack([values[name] for values in per_tile])) for name in per_tile[0])


def set_hidden_parameters(cells: UnitCells, parameters: Mapping[str, Tensor]) -> None:
    """Make devices what hidden parameters say, standing where those of compounds say.

    Args:
        cells: Batched cells, or real aihwkit tiles.
        parameters: Of every name that `hidden_parameters` returns, (tiles, out, in).

    Raises:
        ValueError: If a name is missing or unknown, or a shape differs. Nothing has changed then.
    """
    present = hidden_parameters(cells)
    if parameters.keys() != present.keys():
        raise ValueError(
            f"`parameters` must have the names {sorted(present)}, but has {sorted(parameters)}. Change what "
            "`get_hidden_parameters()` returns."
        )
    for name, values in parameters.items():
        if values.shape != present[name].shape:
            raise ValueError(
                f"{name!r} of `parameters` must have the shape {tuple(present[name].shape)}, but has "
                f"{tuple(values.shape)}."
            )
    tiles = range(len(next(iter(parameters.values()))))
    per_tile = [
        OrderedDict((name, values[tile].clone()) for name, values in parameters.items()) for tile in tiles
    ]
    if isinstance(cells, ReferenceCells):
        for tile, of_tile in zip(cells.aihwkit_tiles, per_tile, strict=True):
            tile.set_hidden_parameters(of_tile)
        return
    for suffix, array in _in_their_order(cells):
        stands = [values[f"hidden_weights{suffix}"] for values in per_tile] if suffix else array.weight
        fresh = from_hidden(
            array.device, per_tile, stands, suffix=suffix, granularity=float(array.granularity)
        )
        for name, values in fresh.named_buffers():
            getattr(array, name).copy_(values)
        array.clip()


def _in_their_order(cells: UnitCells) -> list[tuple[str, DeviceArray]]:
    """Return the devices of a cell, with what aihwkit appends to their names."""
    arrays = cells.device_arrays()
    if "main" in arrays:
        return [("", arrays["main"])]
    # aihwkit numbers the devices of a one-sided pair the other way round.
    ordered = [arrays["minus"], arrays["plus"]] if "minus" in arrays else list(arrays.values())
    return [(f"_{number}", array) for number, array in enumerate(ordered)]


def _written_down(cells: UnitCells) -> "list[OrderedDict[str, Tensor]]":
    parts = []
    for suffix, array in _in_their_order(cells):
        written = to_hidden(array, suffix=suffix)
        for tile, values in enumerate(written):
            if suffix:
                values[f"hidden_weights{suffix}"] = array.hidden_weight[tile].detach().cpu().clone()
        parts.append(written)
    return [
        OrderedDict((name, value) for written in parts for name, value in written[tile].items())
        for tile in range(len(parts[0]))
    ]
