"""A network before a study of schemes: which fit it, and what becomes of each of its layers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from models import CATALOGUE
from models.placing import FREE, ONE_TILE, place_convolutions

from ..data.datasets import Facts
from ..data.user_function import label_of
from ..runs.networks.first_network import is_own, network_of
from ..runs.networks.layers import is_analog
from ..runs.networks.own_network import AS_BUILT
from .layer_table import LayerFacts, layers_of
from .sharing_cost.config import SharingCostPlan


@final
@dataclass(frozen=True, kw_only=True)
class NetworkSeen:
    """What can be studied of a network.

    Attributes:
        config: The study, without the schemes that do not fit.
        schemes: Those that do.
        left_out: The others, and why.
        layers: Every layer with parameters.
    """

    config: SharingCostPlan
    schemes: Sequence[str]
    left_out: dict[str, str]
    layers: list[LayerFacts]


def look_at_network(model: str, facts: Facts, config: SharingCostPlan) -> NetworkSeen:
    """Try every scheme on a network.

    Args:
        model: The function that makes it, or its name.
        facts: What is known of its data.
        config: The study.

    Raises:
        ValueError: If the network is analog already, or no scheme fits.
    """
    network = network_of(model, AS_BUILT if is_own(model) else ONE_TILE, facts, config.seeds[0])
    if is_analog(network):
        raise ValueError(
            f"`model` must be digital to be placed by every scheme, but that of {model} has analog layers. Let the "
            "function return the digital network."
        )
    example, left_out = facts.example(), {}
    fitting, counts = [], []
    kept: dict[str, str] = {}
    changes = False
    for scheme in (*config.schemes, *_sweep(config)):
        trial = copy.deepcopy(network)
        try:
            remarks = place_convolutions(trial, scheme, example)
        except ValueError as error:
            left_out[scheme] = " ".join(str(error).split()).rstrip(".")
            continue
        kept |= remarks
        changes |= _differ(trial, network)
        if scheme in config.schemes:
            fitting.append(scheme)
        else:
            counts.append(scheme)
    layers = layers_of(network, example, kept)
    if not changes:
        name = label_of(model)
        why = f"no layer of {name} that schemes could place has several locations: all are the same hardware"
        if model in CATALOGUE:
            why = f"{name} cannot be placed otherwise: {CATALOGUE[model].why_not_placed}"
        same = dict.fromkeys([s for s in config.schemes if s != ONE_TILE], why)
        only = replace(config, schemes=(AS_BUILT,), tile_counts=())
        return NetworkSeen(config=only, schemes=(AS_BUILT,), left_out=same, layers=layers)
    kept_counts = [n for n in config.tile_counts if all(f"{name}(tiles={n})" in counts for name in _SWEPT)]
    config = replace(config, schemes=tuple(fitting), tile_counts=tuple(kept_counts))
    return NetworkSeen(config=config, schemes=tuple(fitting), left_out=left_out, layers=layers)


def can_be_free(model: str, facts: Facts) -> bool:
    """Say whether some layer of a network can have a kernel of its own for each location."""
    if not is_own(model):
        return CATALOGUE[model].why_not_placed is None if model in CATALOGUE else True
    network = network_of(model, AS_BUILT, facts, 0)
    if is_analog(network):
        return False
    trial = copy.deepcopy(network)
    place_convolutions(trial, FREE, facts.example())
    return _differ(trial, network)


def _differ(one: nn.Module, other: nn.Module) -> bool:
    return [type(part) for part in one.modules()] != [type(part) for part in other.modules()]


_SWEPT = ("replicated", "random")


def _sweep(config: SharingCostPlan) -> list[str]:
    counts = config.tile_counts if "in-situ" in config.mechanisms else ()
    return [f"{name}(tiles={count})" for name in _SWEPT for count in counts]
