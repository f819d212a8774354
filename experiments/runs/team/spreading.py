"""How a training is spread over processes, by tiles or by images: which of both, and what neither can share."""

from typing import Final

from torch import nn

from crossbar.layers.locally_connected import LocallyConnected
from crossbar.layers.placed_layer import PlacedLayer
from crossbar.network.spread.images import refuse_norms

from ..options.config import Spread, TrainConfig
from ..options.device_names import refreshes
from ..options.refusals import is_given

# What asks for all tiles of a layer after a step, or draws random numbers that nobody can repeat.
_TAKES_ALL_TILES: Final = ("record_every", "soft_sharing", "sleep_every", "wires")


def resolve_spread(wish: TrainConfig, network: nn.Module, processes: int, batch_size: int) -> Spread | None:
    """Return how a training is spread: as asked, or by tiles where they can be, and by images where they cannot.

    Args:
        wish: What the user asked for.
        network: As it is built, digital or analog.
        processes: How many there are.
        batch_size: Images of a batch.

    Returns:
        The way; None for one process.

    Raises:
        ValueError: If the way that was asked for, or neither of both, can share the training.
    """
    if processes == 1:
        if wish.spread is not None:
            raise ValueError(
                f"`spread` must be left out with one process, but is {wish.spread}: nothing is shared. Leave it out, "
                "or add --processes 2."
            )
        return None
    if wish.spread == "tiles":
        _refuse_tiles(wish)
        return "tiles"
    if wish.spread is None and _can_spread_tiles(wish, network, processes):
        return "tiles"
    _refuse_images(network, processes, batch_size)
    return "images"


def _can_spread_tiles(wish: TrainConfig, network: nn.Module, processes: int) -> bool:
    try:
        _refuse_tiles(wish)
    except ValueError:
        return False
    return bool(free_layers(network, processes))


def free_layers(network: nn.Module, processes: int) -> list[str]:
    """Return the names of the layers whose locations have kernels of their own, and are as many as processes."""
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, LocallyConnected | PlacedLayer)
        and layer.placement.name == "free"
        and layer.geometry.locations >= processes
    ]


def _refuse_tiles(wish: TrainConfig) -> None:
    asks = "its devices draw as many random numbers as they ask for"
    if wish.mode == "write-verify":
        raise _not_by_tiles("mode", "hwa or in-situ", wish.mode, asks)
    if wish.mode == "in-situ" and refreshes(wish.device):
        raise _not_by_tiles("device", "no pair of one-way devices", wish.device, asks)
    if wish.scores:
        reason = "they compare the kernels of all tiles after every epoch"
        raise _not_by_tiles("scores", "left out", wish.scores, reason)
    for name in _TAKES_ALL_TILES:
        if is_given(wish, name):
            reason = "it takes all tiles of a layer, which no process has"
            raise _not_by_tiles(name, "left out", getattr(wish, name), reason)


def _not_by_tiles(name: str, rule: str, value: object, reason: str) -> ValueError:
    return ValueError(
        f"`{name}` must be {rule} where tiles are spread, but is {value}: {reason}. Use --spread images, or one "
        "process."
    )


def _refuse_images(network: nn.Module, processes: int, batch_size: int) -> None:
    refuse_norms(network)
    if batch_size < processes:
        raise ValueError(
            f"`batch_size` must be {processes} or more, an image for each process, but is {batch_size}. Use a larger "
            "one, or fewer processes."
        )
