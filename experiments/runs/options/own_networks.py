"""The network that a wish asks for, and what cannot be asked of networks that are analog already."""

from dataclasses import replace
from typing import Final

from torch import nn

from ...data.datasets import Facts
from ..networks.first_network import is_own, network_of
from ..networks.layers import is_analog
from ..networks.own_network import learns_by_pulses
from .config import LEARNS_ON_DEVICES, TrainConfig
from .refusals import is_given, speaking_of, without_effect

# What the configurations of an analog network's own layers decide.
_OF_ITS_LAYERS: Final = (
    "tile_size",
    "weight_noise",
    "weight_scaling",
    "engine",
    "transfer_every",
    "wires",
    "wires_every",
)


def wished_network(wish: TrainConfig, model: str, placement: str, facts: Facts) -> nn.Module:
    """Build the network that a wish asks for, to see whether it can be trained so.

    Args:
        wish: What the user asked for.
        model: The network's name, or a function of one's own.
        placement: Where the kernels of its local layers live.
        facts: What is known of the data.

    Raises:
        FileNotFoundError: If the user's file is missing.
        ValueError: If the network or the placement does not exist, or they do not fit each other or the data, or an
            analog network is asked for something that its layers decide.
    """
    with speaking_of("placement"):
        network = network_of(model, placement, facts, wish.seed)
    if is_own(model) and is_analog(network) and wish.mode != "digital":
        _refuse_of_analog(wish, network)
    return network


def as_its_layers_say(wish: TrainConfig) -> TrainConfig:
    """Return the wish for a network that is analog already, open in all that its own configuration decides."""
    return replace(
        wish,
        tile_size=None,
        weight_noise=None,
        weight_scaling=None,
        engine=None,
        transfer_every=None,
        wires=None,
        wires_every=None,
    )


def _refuse_of_analog(wish: TrainConfig, network: nn.Module) -> None:
    learns = learns_by_pulses(network)
    if learns != (wish.mode in LEARNS_ON_DEVICES) or wish.mode == "write-verify":
        needed = (
            "in-situ, as its devices learn by pulses"
            if learns
            else "hwa or digital, as its devices do not learn"
        )
        raise ValueError(
            f"`mode` must be {needed}, for the network of {wish.model}, which is analog already, but is "
            f"{wish.mode!r}. Change it, or let the function return a digital network."
        )
    for name in _OF_ITS_LAYERS:
        if is_given(wish, name):
            raise without_effect(
                name, wish, "the network is analog already, and its own configuration decides. Set it there"
            )
