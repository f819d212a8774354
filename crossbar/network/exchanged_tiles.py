"""What is copied between one of our layers and one of aihwkit's: tile by tile, in units of the conductances."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from ..aihwkit.adapter import TileModule
from ..layers.analog_layer import AnalogLayer
from ..tiles.tile_array import TileArray

_OF_COMPOUNDS = "hidden_weights_"


@torch.no_grad()
def take_over(layer: AnalogLayer, theirs: Any) -> None:
    """Make a layer of ours hold what a layer of aihwkit's does.

    Weights, digital scales, learned scales, input ranges, hidden parameters of devices, the bias, and the learning
    rate of in-situ updates. Of a programmed tile its targets are taken, and no chip.

    Args:
        layer: Of the same sizes, with the same mapping.
        theirs: aihwkit's.
    """
    array, tiles = layer.tile_array, _tiles_in_our_order(layer, theirs)
    if tiles is None:
        _take_values(layer, theirs)
        return
    scales, learned, weight = (
        array.mapping_scales.clone(),
        array.out_scaling_alpha,
        array.weight.detach().clone(),
    )
    for index, tile in enumerate(tiles):
        held = tile.reference_combined_weights if _is_programmed(tile) else tile.tile.get_weights()
        weight[index] = 0.0
        weight[index, : held.shape[0], : held.shape[1]] = held
        scales[index] = _padded(tile.mapping_scales, scales[index])
        if learned is not None:
            learned[index] = _padded(tile.out_scaling_alpha, learned[index])
        if array.input_range is not None:
            array.input_range[index] = tile.input_range.abs().item()
            array.input_range_updates[index] = float(tile.input_range_update_idx)
    hidden = None if array.in_situ is None else _hidden_of(array, tiles)
    if hidden is not None:
        array.set_hidden_parameters(hidden)
    if hidden is None or not any(name.startswith(_OF_COMPOUNDS) for name in hidden):
        kept = None if learned is None else learned.clone()
        array.write_weights(weight, apply_weight_scaling=False)
        if learned is not None and kept is not None:
            learned.copy_(kept)
    array.set_mapping_scales(scales)
    if array.in_situ is not None:
        array.set_learning_rate(tiles[0].get_learning_rate())
    if layer.bias is not None:
        layer.bias.copy_(tile_module(theirs).bias.reshape(layer.bias.shape))


@torch.no_grad()
def hand_over(layer: AnalogLayer, theirs: Any) -> None:
    """Make a layer of aihwkit's hold what a layer of ours does: the counterpart of `take_over`.

    Args:
        layer: Ours.
        theirs: aihwkit's, of the same sizes, with the same mapping.
    """
    array, tiles = layer.tile_array, _tiles_in_our_order(layer, theirs)
    array.settle()
    if tiles is None:
        _refuse_devices(array)
        theirs.set_weights(*layer.get_weights(trained=True))
        for tile in theirs.analog_tiles():
            if array.input_range is not None:
                tile.set_input_range(float(array.input_range.abs().max()))
        return
    weight = array.weight.detach()
    hidden = array.get_hidden_parameters()
    for index, tile in enumerate(tiles):
        rows, columns = tile.tile.get_weights().shape
        scales = array.mapping_scales[index, :rows].clone()
        if tile.mapping_scales is not None or not torch.equal(scales, torch.ones_like(scales)):
            tile.set_mapping_scales(scales[:1] if (scales == scales[0]).all() else scales)
        if array.out_scaling_alpha is not None:
            learned = array.out_scaling_alpha[index]
            tile.set_learned_out_scales(learned[:rows] if len(learned) > 1 else learned)
        if array.input_range is not None:
            tile.set_input_range(float(array.input_range[index]))
            tile.input_range_update_idx.fill_(float(array.input_range_updates[index]))
        tile.tile.set_weights(weight[index, :rows, :columns].cpu().clone())
        if hidden:
            of_tile = [(name, _of_one(values, index)[:rows, :columns]) for name, values in hidden.items()]
            tile.set_hidden_parameters(OrderedDict((name, values.clone()) for name, values in of_tile))
            if not any(name.startswith(_OF_COMPOUNDS) for name in hidden):
                tile.tile.set_weights(weight[index, :rows, :columns].cpu().clone())
        if array.in_situ is not None:
            tile.set_learning_rate(array.get_learning_rate() or tile.get_learning_rate())
    if layer.bias is not None:
        bias = tile_module(theirs).bias
        bias.copy_(layer.bias.reshape(bias.shape))


def tile_module(theirs: Any) -> Any:
    """Return what has the tiles of a layer of aihwkit's, and its digital bias: one tile, an array, or the layer."""
    return getattr(theirs, "analog_module", theirs)


def first_tile(theirs: Any) -> Any:
    """Return a tile of a layer of aihwkit's."""
    module = tile_module(theirs)
    return module if isinstance(module, TileModule) else module.array[0][0]


def is_programmed(theirs: Any) -> bool:
    """Tell whether a layer of aihwkit's has been programmed."""
    return _is_programmed(first_tile(theirs))


def _is_programmed(tile: Any) -> bool:
    return (
        getattr(tile, "programmed_weights", None) is not None and tile.reference_combined_weights is not None
    )


def _tiles_in_our_order(layer: AnalogLayer, theirs: Any) -> list[Any] | None:
    """Return aihwkit's tiles in the order of ours: the blocks of inputs of the first block of outputs, and so on.

    None, if they are cut in another way: aihwkit's mapped convolutions are cut between channels.
    """
    module = tile_module(theirs)
    array = [[module]] if isinstance(module, TileModule) else module.array
    tiles = [array[j][i] for i in range(len(array[0])) for j in range(len(array))]
    ours = [(outs.stop - outs.start, ins.stop - ins.start) for _, _, outs, ins in layer.blocks.pieces()]
    shapes = [tuple(tile.tile.get_weights().shape) for tile in tiles]
    return tiles if shapes == ours else None


def _take_values(layer: AnalogLayer, theirs: Any) -> None:
    """Take the network's weights and the largest range, where tiles are cut in another way: scales follow anew."""
    array = layer.tile_array
    _refuse_devices(array)
    if is_programmed(theirs):
        raise ValueError(
            "`model` must not be programmed where aihwkit cuts a layer into other tiles than we do, but is. "
            "Take the model as it was before."
        )
    layer.set_weights(*theirs.get_weights())
    if array.input_range is not None:
        array.input_range.fill_(max(tile.input_range.abs().item() for tile in theirs.analog_tiles()))
        array.input_range_updates.fill_(float(first_tile(theirs).input_range_update_idx))


def _refuse_devices(array: TileArray) -> None:
    """Refuse devices that are trained in place on other tiles.

    Raises:
        ValueError: If they are.
    """
    if array.in_situ is not None:
        raise ValueError(
            "`model` must have devices that are trained in place on the same tiles here and in aihwkit, but aihwkit "
            "cuts a mapped convolution between channels. Choose a `mapping.max_input_size` that holds the kernel."
        )


def _hidden_of(array: TileArray, tiles: list[Any]) -> "OrderedDict[str, Tensor]":
    """Return hidden parameters of aihwkit's tiles; cells that they have not stay as ours are."""
    found = array.get_hidden_parameters()
    for index, tile in enumerate(tiles):
        theirs = tile.get_hidden_parameters()
        if theirs.keys() != found.keys():
            raise ValueError(
                f"`model` must have devices with the hidden parameters {sorted(found)}, but aihwkit's have "
                f"{sorted(theirs)}. Use the configuration that it was trained with."
            )
        for name, values in theirs.items():
            _of_one(found[name], index)[: values.shape[0], : values.shape[1]] = values
    return found


def _of_one(values: Tensor, index: int) -> Tensor:
    return values if values.dim() == 2 else values[index]


def _padded(scales: Tensor | None, like: Tensor) -> Tensor:
    """Return scales, a number or one for each output that there is, for all bit lines of a tile; 1 for others."""
    padded = torch.ones_like(like)
    if scales is not None:
        flat = scales.detach().flatten()
        padded[: len(flat) if len(flat) > 1 else None] = flat
    return padded
