"""Training spread over processes: each holds the tiles of its locations, and none of the others."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...distributed import communication
from ...distributed.locations_of_process import LocationsOfProcess
from ...layers.placed_layer import PlacedLayer
from ...tiles.lasting import lasting
from ...tiles.tile_array import TileArray
from ..chip import tile_arrays
from ..named_refusals import layer_name, naming
from .shares import Share, say_how_many, shares_of, tiles_of


@lasting
def spread_tiles(model: nn.Module, optimizer: Optimizer | None = None) -> tuple[str, ...]:
    """Keep, of every layer whose locations have kernels of their own, the tiles of this process's locations only.

    For a model that is alike in all processes of `torch.distributed`: built with the same seeds, or loaded from the
    same file. A layer with placement "free" is divided into near-equal ranges of locations, one for each process.
    Forward the processes exchange its output map, backward the gradient of its input map; weights, devices, their
    records and their gradients never leave their process. All other layers are computed in every process alike, so
    that the model sees the same images everywhere and gives the same outputs.

    Every number is that of one process, to the last bit: random numbers are drawn by tile. Hardware-aware training
    takes any of torch's optimizers that look at each weight alone; devices learn in place by plain SGD, vector cells,
    Tiki-Taka and mixed precision. Give torch's own generator the same seed everywhere, if the model draws from it.

    Args:
        model: A model with analog layers; changed in place.
        optimizer: One that knows the model's parameters already: of its memory, too, each process keeps its part.

    Returns:
        The names of the layers that are spread.

    Raises:
        RuntimeError: If `torch.distributed` has not been started.
        ValueError: If no layer can be spread, or one would be computed differently in every process.

    Example:
        Started by `torchrun --nproc-per-node 4 train.py`::

            torch.distributed.init_process_group("gloo")
            model = convert_to_analog(network, rpu_config)
            spread_tiles(model)
            ...                                  # train as ever, on the same batches everywhere
            gather_tiles(model)                  # every process holds all tiles again
    """
    number = communication.processes()
    if number == 1 and not torch.distributed.is_initialized():
        raise RuntimeError(
            "tiles are spread over the processes of `torch.distributed`, which has not been started: call "
            'torch.distributed.init_process_group("gloo") first'
        )
    reasons = {}
    for name, layer in _analog_layers(model):
        reasons[name] = _why_whole(layer, number)
    spread = tuple(name for name, reason in reasons.items() if reason is None)
    if not spread:
        said = (
            "; ".join(f"{name or '(model)'}: {reason}" for name, reason in reasons.items())
            or "none is analog"
        )
        raise ValueError(f"`model` must have a layer that can be spread by tile, but has none ({said}).")
    for name, array in tile_arrays(model):
        with naming(layer_name(name)):
            _refuse(array)
    for name in spread:
        layer = model.get_submodule(name)
        assert isinstance(layer, PlacedLayer)
        locations = LocationsOfProcess(communication.shares(layer.geometry.locations, number))
        _keep_part(layer, locations, optimizer)
    return spread


@lasting
def gather_tiles(model: nn.Module, optimizer: Optimizer | None = None) -> None:
    """Bring all tiles back into every process, as before `spread_tiles`. All processes call it together.

    Args:
        model: A model that is spread; one that is not stays as it is.
        optimizer: As given to `spread_tiles`.
    """
    for _, layer in _analog_layers(model):
        if isinstance(layer, PlacedLayer) and layer.spread is not None:
            _bring_together(layer, optimizer)


def state_in_shares(
    model: nn.Module, optimizer: Optimizer | None = None
) -> tuple[dict[str, Tensor], dict[str, Share]]:
    """Return what this process would save of a model, and of which tensors it holds a share only.

    Args:
        model: A model, spread or not.
        optimizer: The optimizer of its parameters.

    Returns:
        Tensors, those of the model under "model/" and their name, those that the optimizer remembers of a parameter
        under "optimizer/", what they are and the parameter's name; and the shares under the same names.
    """
    of_layers = {
        f"{owner}.{share.name}" if owner else share.name: share
        for owner, layer in _analog_layers(model)
        if isinstance(layer, PlacedLayer) and layer.spread is not None
        for share in shares_of(layer, layer.spread)
    }
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    shares = {f"model/{name}": share for name, share in of_layers.items() if f"model/{name}" in tensors}
    for name, parameter in model.named_parameters():
        memory = {} if optimizer is None else optimizer.state.get(parameter, {})
        for key, value in memory.items():
            tensors[f"optimizer/{key}/{name}"] = value
            if name in of_layers and value.shape == parameter.shape:
                shares[f"optimizer/{key}/{name}"] = of_layers[name]
    return tensors, shares


def _analog_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, _ in tile_arrays(model):
        owner = layer_name(name)
        yield owner, model.get_submodule(owner)


def _why_whole(layer: nn.Module, processes: int) -> str | None:
    """Return why every process has to hold all tiles of a layer; None if they can be spread."""
    if not isinstance(layer, PlacedLayer) or layer.is_transposed:
        return f"{type(layer).__name__} has no locations with tiles of their own"
    if layer.spread is not None:
        return "it is spread already"
    if layer.placement.name != "free":
        return f"its placement is {layer.placement.spec!r}, not 'free'"
    if layer.geometry.locations < processes:
        return f"it has {layer.geometry.locations} locations, fewer than there are processes"
    cells = layer.tile_array.cells
    if cells is not None and not cells.draws_by_tile:
        return f"{type(cells).__name__} draw as many random numbers as their devices ask for"
    if layer.tile_array.wires is not None:
        return "its wires have resistance"
    if layer.tile_array.quantised is not None:
        return "its outputs are quantised by ranges that all of them have in common"
    if layer.tile_array.in_situ is not None and layer.tile_array.weight.device.type != "cpu":
        return "devices are trained in place on a GPU"
    return None


def _refuse(array: TileArray) -> None:
    if array.backend == "aihwkit" or array.memory.multiplier is not None:
        raise ValueError(
            "`backend` must be 'batched' in several processes, but is 'aihwkit', whose noise cannot be seeded: every "
            "process would compute something else. Use `use_backend`."
        )
    if array.is_programmed:
        raise ValueError(
            "`model` must not hold a programmed chip to be spread, but does. Call `erase_chip`, and program after "
            "`gather_tiles`."
        )
    if array.on_update is not None:
        raise ValueError(
            "`on_update` must be None where tiles are spread, but is set: it sees all tiles. Remove it."
        )


def _keep_part(layer: PlacedLayer, locations: LocationsOfProcess, optimizer: Optimizer | None) -> None:
    array = layer.tile_array
    array.settle()
    tiles = tiles_of(layer, locations)
    for share in shares_of(layer, locations):
        _replace(layer, share.name, share.own, optimizer)
    say_how_many(array, tiles.tiles)
    layer.biases = (locations.own.stop - locations.own.start, layer.biases[1])
    layer.spread, array.noise = locations, array.noise.of_part(tiles)
    _begin_anew(array)


def _bring_together(layer: PlacedLayer, optimizer: Optimizer | None) -> None:
    array, locations = layer.tile_array, layer.spread
    assert locations is not None
    array.settle()
    tiles = tiles_of(layer, locations)
    for share in shares_of(layer, locations):
        _replace(layer, share.name, share.gather, optimizer)
    say_how_many(array, tiles.of_all)
    layer.biases = (layer.placement.kernels, layer.biases[1])
    layer.spread, array.noise = None, array.noise.of_part(None)
    _begin_anew(array)


def _replace(
    layer: PlacedLayer, name: str, change: Callable[[Tensor], Tensor], optimizer: Optimizer | None
) -> None:
    """Change a tensor of a layer, in size too, and what an optimizer remembers of it."""
    owner, _, last = name.rpartition(".")
    module = layer.get_submodule(owner)
    if last in module._buffers:
        module._buffers[last] = change(getattr(module, last)).clone()
        return
    parameter = module._parameters[last]
    assert parameter is not None
    memory = {} if optimizer is None else optimizer.state.get(parameter, {})
    for key, value in sorted(memory.items()):
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            memory[key] = change(value).clone()
    parameter.data, parameter.grad = change(parameter.data).clone(), None


def _begin_anew(array: TileArray) -> None:
    array.populated = array.populated
    array.passes.forget()
    if array.in_situ is not None:
        array.show_devices()
    array.keep_settled()
