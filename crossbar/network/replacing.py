"""Re-placing: the kernels of a trained network on other tiles, to compare hardware rather than trainings."""

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..layer_patterns import by_layer, parse_choices
from ..layers.analog_locally_connected import AnalogLocallyConnected
from ..layers.layer_table import LOCALLY_CONNECTED
from ..layers.placed_layer import PlacedLayer
from ..placement.channel_groups import for_each_group
from ..placement.mean_of_copies import mean_of_copies
from ..placement.placement import Placement, placement
from ..tiles.tile_array import TileArray
from .named_refusals import naming, refuse_foreign_layers


def replace_placement(
    model: nn.Module, placement: str | Mapping[str, str], input_size: tuple[int, ...]
) -> nn.Module:
    """Deploy the trained kernels of every layer with locations on tiles of another placement.

    A placement fits where all locations that share a kernel in it were served by one trained kernel: a convolution's
    can go everywhere, also to one tile of its own for each location; those of blocks to smaller blocks inside them.
    Weights, digital scales, biases and input ranges are carried over (of several tiles' ranges, the largest). The
    devices are others: nothing is programmed, and devices that learn in place stand at the trained weights where
    their bounds allow it.

    Args:
        model: The trained analog model; it stays as it is.
        placement: Name with options, for example "replicated(tiles=16)"; or for layers by name pattern, of which the
            first that fits counts, for example `{"conv1": "replicated(tiles=8)"}`: others stay where they are.
        input_size: Shape of one input, without batch, for example (1, 28, 28).

    Returns:
        The model with the other placement.

    Raises:
        ValueError: If no layer has locations, the placement does not fit one of them (names the layer and a tile), or
            a pattern fits no layer.

    Example:
        >>> from crossbar import AnalogConv2d
        >>> free = replace_placement(nn.Sequential(AnalogConv2d(1, 2, 3)), "free", (1, 8, 8))
        >>> free[0].get_weights()[0].shape
        torch.Size([36, 2, 1, 3, 3])
    """
    return place_anew(deepcopy(model), placement, input_size)


def place_anew(
    model: nn.Module, placement: str | Mapping[str, str], input_size: tuple[int, ...]
) -> nn.Module:
    """Do what `replace_placement` does, in place; a model that is a single layer is returned as another object."""
    refuse_foreign_layers(model, "placed anew")
    sizes = _map_sizes(model, input_size)
    if not sizes:
        raise ValueError(
            "`model` must have an analog convolution or locally connected layer, but has none. Convert it "
            "first, with `convert_to_analog`."
        )
    asked = parse_choices(placement, argument="placement") if isinstance(placement, str) else placement
    wanted: dict[str, str | None] = by_layer(asked, list(sizes), argument="placement", otherwise=None)
    for name, size in sizes.items():
        layer, spec = model.get_submodule(name), wanted[name]
        if spec is None:
            continue
        assert isinstance(layer, PlacedLayer)
        placed = _deploy(name, layer, spec, size)
        parent, _, child = name.rpartition(".")
        if not name:
            return placed
        setattr(model.get_submodule(parent), child, placed)
    return model


def _deploy(name: str, layer: PlacedLayer, wanted: str, input_size: tuple[int, ...]) -> PlacedLayer:
    """Return a layer with another placement and the kernels of this one."""
    map_size = input_size if layer.is_transposed else layer.geometry.resized(input_size).output_size
    try:
        target = placement(wanted, map_size)
    except ValueError as error:
        raise ValueError(
            f"`placement` must fit the output map of layer {name!r}, {map_size}: {error}"
        ) from error
    if layer.has_analog_bias:
        raise ValueError(
            f"`mapping.digital_bias` must be True where layer {name!r} is placed anew, but is False: the bias on its "
            "tile cannot follow. Convert the digital model with `digital_bias=True`."
        )
    source = layer.placement
    if source.output_size != map_size:  # a convolution on one tile, whatever the size of its images
        source = placement(source.name, map_size)
    kernels = _trained_kernels(name, source, target)
    array = layer.tile_array
    options = layer.settings()
    if layer.connections is not None:
        options["connections"] = layer.connections
    if layer.populated is not None:
        if len(layer.populated) != source.kernels:
            raise ValueError(
                f"`placement` must stay where copies of a kernel lack different devices, as in layer {name!r}, but "
                f"is {wanted!r}. Convert the digital network with the other placement."
            )
        options["populated"] = layer.populated[kernels]
    with naming(name):
        placed: PlacedLayer = _class_for(layer, target)(
            **options,
            input_size=input_size,
            bias=layer.bias is not None,
            placement=target,
            rpu_config=array.rpu_config,
            backend=array.backend,
            seed=int(torch.randint(2**62, ())),
        ).to(array.weight.device)
    with torch.no_grad():
        trained = layer.bias_of_kernels
        if trained is not None and placed.bias is not None:
            placed.bias.copy_(trained[kernels].reshape(placed.bias.shape))
        parts = layer.blocks.per_kernel * layer.groups  # of a kernel: its groups, and the tiles of each
        _carry_weights(array, placed.tile_array, for_each_group(kernels, parts))
        _carry_ranges(array, placed.tile_array, parts, source, target)
    placed.tile_array.compensation = array.compensation
    if array.wires is not None:
        placed.tile_array.use_wires(array.wires.resistances, every=array.wires.every)
    return placed.train(layer.training)


def _class_for(layer: PlacedLayer, target: Placement) -> Any:
    """Return what a layer becomes: a convolution remains one as long as it has one kernel."""
    if isinstance(layer, AnalogLocallyConnected) or (target.kernels > 1 and not layer.is_transposed):
        return LOCALLY_CONNECTED[layer.dimensions]
    return type(layer)


def _trained_kernels(name: str, source: Placement, target: Placement) -> Tensor:
    """Return which trained kernel each kernel of the target is, (kernels,).

    Raises:
        ValueError: If a kernel of the target would have to be several trained ones.
    """
    trained = source.kernel_of_location
    if source.kernels == 1:
        return torch.zeros(target.kernels, dtype=torch.long)
    if source.redraw or target.redraw:
        which = source if source.redraw else target
        raise ValueError(
            f"`placement` must give every tile of layer {name!r} the locations of one trained kernel, but with "
            f"{which.spec!r} every tile, tile 0 for one, serves all locations by turns, and {source.kernels} kernels "
            "were trained. Keep the placement of the training."
        )
    kernels = torch.zeros(target.kernels, dtype=torch.long)
    kernels[target.kernel_of_location] = trained
    misfits = kernels[target.kernel_of_location] != trained
    if misfits.any():
        kernel = int(target.kernel_of_location[misfits][0])
        tile = int(target.tile_of_location[misfits][0])
        served = trained[target.kernel_of_location == kernel].unique().tolist()
        raise ValueError(
            f"`placement` must give every tile of layer {name!r} the locations of one trained kernel, but with "
            f"{target.spec!r} tile {tile} is to hold one kernel for locations of {len(served)}, trained kernels "
            f"{', '.join(map(str, served[:4]))}{', ...' if len(served) > 4 else ''}. Choose a placement that divides "
            f"{source.spec!r}."
        )
    return kernels


def _carry_weights(old: TileArray, new: TileArray, kernels: Tensor) -> None:
    """Copy weights and digital scales, kernel by kernel, in units of the largest conductance."""
    old.settle()
    index = kernels.to(old.weight.device)
    weight = old.weight.detach()
    if old.in_situ is not None and old.kernel_of_tile is not None:
        weight = mean_of_copies(weight, old.kernel_of_tile, old.kernels, old.tile_population())
    new.set_kernels(weight[index], omega=0.0)  # as they are: the scales are carried over, too
    new.mapping_scales.copy_(old.mapping_scales[index])
    if new.out_scaling_alpha is not None and old.out_scaling_alpha is not None:
        new.out_scaling_alpha.copy_(old.out_scaling_alpha[index])


def _carry_ranges(old: TileArray, new: TileArray, parts: int, source: Placement, target: Placement) -> None:
    """Give every tile the largest input range of the tiles that served its locations."""
    for name in ("input_range", "input_range_updates"):
        before, after = getattr(old, name), getattr(new, name)
        if before is None:
            continue
        of_location = before.detach().abs().reshape(-1, parts)[source.tile_of_location.to(before.device)]
        index = target.tile_of_location.to(before.device)[:, None].expand_as(of_location)
        largest = of_location.new_zeros(target.tiles, parts)
        largest.scatter_reduce_(0, index, of_location, "amax", include_self=False)
        after.copy_(largest.flatten())


@torch.no_grad()
def _map_sizes(model: nn.Module, input_size: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Send one empty input through the model and note the sizes that each layer with locations sees."""
    sizes: dict[str, tuple[int, ...]] = {}
    handles = [
        layer.register_forward_pre_hook(partial(_note_size, sizes, name))
        for name, layer in model.named_modules()
        if isinstance(layer, PlacedLayer)
    ]
    was_training = model.training
    try:
        model.eval()(torch.zeros(1, *input_size))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return sizes


def _note_size(
    sizes: dict[str, tuple[int, ...]], name: str, layer: PlacedLayer, inputs: tuple[Tensor, ...]
) -> None:
    sizes[name] = tuple(inputs[0].shape[-layer.dimensions :])
