"""Sizes of layers, as events are counted by them."""

from typing import Any

from torch import Tensor, nn

from ...cost.events import LayerShape
from ...layers.analog_layer import AnalogLayer
from ...layers.attention import ScaledDotProduct
from ...layers.locally_connected import LocallyConnected
from ...layers.map_layer import MapLayer
from ...layers.placed_layer import PlacedLayer


def shape_of(layer: nn.Module) -> LayerShape:
    """Return the sizes of an analog or digital layer.

    Raises:
        TypeError: If it is no layer with weights that we know.
    """
    if isinstance(layer, AnalogLayer):
        blocks, array = layer.blocks, layer.tile_array
        tiles = array.all_tiles // blocks.per_kernel
        kernels = array.kernels if array.all_tiles == array.tiles else array.all_tiles
        devices = 1 if array.in_situ is None else len(array.in_situ.cells.device_arrays())
        sizes: dict[str, Any] = {
            "kernels": kernels // blocks.per_kernel,
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
    if isinstance(layer, LocallyConnected):
        g, kernels = layer.geometry, layer.placement.kernels * layer.geometry.groups
        sizes = {
            "kernels": kernels,
            "tiles": kernels,
            "in_size": g.patch_size // g.groups,
            "out_size": g.out_channels // g.groups,
        }
        width = layer.grouping.width
        return LayerShape(**_on_a_map(layer), **sizes, **_digital(sizes), width=width)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        sizes = {"in_size": len(layer.weight), "out_size": layer.weight[0].numel()}
        return LayerShape(in_channels=len(layer.weight), placement="digital", **sizes, **_digital(sizes))
    if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
        sizes = {"in_size": layer.weight[0].numel(), "out_size": len(layer.weight)}
        return LayerShape(in_channels=layer.weight.shape[1], placement="digital", **sizes, **_digital(sizes))
    if isinstance(layer, ScaledDotProduct):
        sizes = {"in_size": layer.head_dim, "out_size": layer.head_dim}
        return LayerShape(in_channels=layer.head_dim, placement="digital", **sizes, **_digital(sizes))
    raise TypeError(
        f"`layer` must be an analog or digital layer with weights, but is {type(layer).__name__}."
    )


def products_of(layer: nn.Module, shape: LayerShape, x: Tensor, y: Tensor) -> int:
    """Return how many products a pass of a digital layer took, from its shape."""
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return x.numel() // shape.in_size
    return y.numel() // shape.out_size


def _digital(sizes: dict[str, Any]) -> dict[str, Any]:
    shape = sizes["out_size"], sizes["in_size"]
    return {"is_analog": False, "devices_per_weight": 0, "tile_shape": shape}


def _on_a_map(layer: MapLayer) -> dict[str, Any]:
    g = layer.geometry
    is_transposed = isinstance(layer, PlacedLayer) and layer.is_transposed
    none = (1,) * g.dimensions  # of a transposed convolution, every location of the input is seen alone
    return {
        "locations": g.locations,
        "kernel_size": none if is_transposed else g.kernel_size,
        "in_channels": g.out_channels if is_transposed else g.in_channels,
        "stride": none if is_transposed else g.stride,
        "map_size": g.output_size,
        "groups": g.groups,
        "placement": layer.placement.spec,
    }
