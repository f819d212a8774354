"""Sizes of layers, as events are counted by them."""

from typing import Any

import torch
from torch import Tensor, nn

from ...cost.events import LayerShape
from ...layers.analog_convolution import PlacedLayer
from ...layers.analog_layer import AnalogLayer
from ...layers.locally_connected import LocallyConnected2d
from ...placement.connections import present_inputs


def shape_of(layer: nn.Module) -> LayerShape:
    """Return the sizes of an analog or digital layer.

    Raises:
        TypeError: If it is no layer with weights that we know.
    """
    if isinstance(layer, AnalogLayer):
        blocks, array = layer.blocks, layer.tile_array
        tiles = array.tiles // blocks.per_kernel
        devices = 1 if array.in_situ is None else len(array.in_situ.cells.device_arrays())
        sizes: dict[str, Any] = {
            "kernels": array.kernels // blocks.per_kernel,
            "tiles": tiles,
            "in_size": blocks.in_size,
            "out_size": blocks.out_size,
            "grid": blocks.grid,
            "tile_shape": blocks.tile_shape,
            "devices_per_weight": devices,
        }
        if not isinstance(layer, PlacedLayer):
            return LayerShape(in_channels=blocks.in_size, **sizes)
        return LayerShape(**_on_a_map(layer), **sizes, width=layer.grouping.width)
    if isinstance(layer, LocallyConnected2d):
        kernels, out_size = layer.weight.shape[:2]
        sizes = {
            "kernels": kernels,
            "tiles": kernels,
            "in_size": layer.geometry.patch_size,
            "out_size": out_size,
        }
        width = layer.grouping.width
        return LayerShape(**_on_a_map(layer), **sizes, **_digital(sizes), width=width)
    if isinstance(layer, nn.Linear | nn.Conv2d):
        sizes = {"in_size": layer.weight[0].numel(), "out_size": len(layer.weight)}
        return LayerShape(in_channels=layer.weight.shape[1], placement="digital", **sizes, **_digital(sizes))
    raise TypeError(
        f"`layer` must be an analog or digital layer with weights, but is {type(layer).__name__}."
    )


def inputs_of(layer: nn.Module, shape: LayerShape, vectors: int) -> int:
    """Return how many inputs that many vectors have; those that are absent have no word line."""
    connections = getattr(layer, "connections", None)
    if connections is None:
        return vectors * shape.in_size
    assert isinstance(layer, LocallyConnected2d | PlacedLayer)
    return vectors // shape.locations * int(present_inputs(connections.cpu(), layer.geometry).sum())


def tile_sizes(layer: AnalogLayer) -> tuple[Tensor, Tensor]:
    """Return outputs and inputs of every physical tile, (tiles,) each."""
    outs, ins = (torch.tensor(starts).diff() for starts in (layer.blocks.out_starts, layer.blocks.in_starts))
    tiles = layer.tile_array.tiles // layer.blocks.per_kernel
    sizes = ins.expand(tiles, -1)
    if isinstance(layer, PlacedLayer) and layer.connections is not None:
        present = present_inputs(layer.connections.cpu(), layer.geometry)
        sizes = torch.stack([part.sum(dim=1) for part in present.split(ins.tolist(), dim=1)], dim=1)
    return outs.repeat_interleave(len(ins)).repeat(tiles), sizes.repeat(1, len(outs)).flatten()


def _digital(sizes: dict[str, Any]) -> dict[str, Any]:
    shape = sizes["out_size"], sizes["in_size"]
    return {"is_analog": False, "devices_per_weight": 0, "tile_shape": shape}


def _on_a_map(layer: "PlacedLayer | LocallyConnected2d") -> dict[str, Any]:
    g = layer.geometry
    return {
        "locations": g.locations,
        "kernel_size": g.kernel_size,
        "in_channels": g.in_channels,
        "stride": g.stride,
        "map_size": g.output_size,
        "placement": layer.placement.spec,
    }
