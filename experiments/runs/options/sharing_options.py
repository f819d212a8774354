"""Options that make kernels more equal: synchronised copies, soft sharing, sleep; refused where without effect."""

import re
from dataclasses import replace
from typing import Final

from torch import nn

from crossbar import LocallyConnected2d
from crossbar.layers.locally_connected import LocallyConnected
from devices.pulsed import WriteVerify
from devices.units import Dimensionless

from .config import TrainConfig
from .refusals import is_given, without_effect

# All the way: after a sleep phase the kernels of all locations are as equal as they can be written.
_SLEEP_FACTOR: Final[Dimensionless] = 1.0


def resolve_sharing(config: TrainConfig, placement: str, network: nn.Module) -> TrainConfig:
    """Check the placement and whatever else shares weights, and fill in what was left open.

    Args:
        config: What the user asked for.
        placement: Where the kernels of the network's local layers live.
        network: The network, placed so.

    Raises:
        ValueError: If an option has no effect.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, LocallyConnected2d)]
    _check_synchronisation(config, placement, layers)
    shares_all = all(layer.placement.kernels == 1 for layer in layers)
    for name in ("soft_sharing", "sleep_every"):
        if is_given(config, name) and shares_all:
            raise ValueError(
                f"`{name}` must be left out with --placement {placement}, but is {getattr(config, name)}: one kernel "
                "for all locations cannot become more equal. Choose a placement with several, such as free."
            )
    if is_given(config, "soft_sharing") and config.mode == "in-situ":
        raise without_effect(
            "soft_sharing",
            config,
            "pulses come from the outer product alone. Use --sleep-every, or another mode",
        )
    if is_given(config, "sleep_factor") and not config.sleep_every:
        raise without_effect("sleep_factor", config, "nothing sleeps. Give --sleep-every too")
    if config.sleep_every and config.sleep_factor is None:
        config = replace(config, sleep_factor=_SLEEP_FACTOR)
    return _resolve_rewriting(config, layers) if config.mode == "in-situ" else config


def resolve_absent(config: TrainConfig, placement: str, network: nn.Module) -> TrainConfig:
    """Check what the network lacks, and fill in whose pattern it is.

    Args:
        config: What the user asked for.
        placement: Where the kernels of the network's local layers live.
        network: The network, placed so.

    Raises:
        ValueError: If kernels that lack inputs are shared, no layer could lack weights, or an option has no effect.
    """
    if config.absent_inputs and placement != "free":
        raise ValueError(
            f"`absent_inputs` must be 0 with the placement {placement!r}, but is {config.absent_inputs}: kernels "
            "that are shared between locations have the same inputs everywhere. Use an FCN, placement free, or "
            "--absent-weights."
        )
    if not config.absent_weights:
        if config.absent_pattern is not None:
            raise ValueError(
                f"`absent_pattern` must be left out without --absent-weights, but is {config.absent_pattern!r}: "
                "nothing is absent. Give --absent-weights 0.3 too."
            )
        return config
    if not any(isinstance(layer, LocallyConnected) for layer in network.modules()):
        raise ValueError(
            f"`absent_weights` must be 0 for a network without locally connected layers, but is "
            f"{config.absent_weights}. Choose a --placement of its convolutions, such as free."
        )
    return replace(config, absent_pattern=config.absent_pattern or "own")


def without_synchronisation(placement: str) -> str:
    """Return the same placement without synchronised copies.

    Example:
        >>> without_synchronisation("replicated(tiles=4,sync_every=10)")
        'replicated(tiles=4,sync_every=0)'
    """
    return re.sub(r"(\bsync_every\s*=\s*)\d+", r"\g<1>0", placement)


def _resolve_rewriting(config: TrainConfig, layers: list[LocallyConnected2d]) -> TrainConfig:
    """Fill in the tolerance of the writes that a training in situ makes beside its updates, if it makes any."""
    if config.sleep_every or any(layer.placement.sync_every for layer in layers):
        return replace(config, write_tolerance=config.write_tolerance or WriteVerify().tolerance)
    if is_given(config, "write_tolerance"):
        reason = (
            "nothing is written in situ unless copies are synchronised or sleep: 'replicated(sync_every=10)'"
        )
        raise without_effect("write_tolerance", config, reason)
    return config


def _check_synchronisation(config: TrainConfig, placement: str, layers: list[LocallyConnected2d]) -> None:
    if config.mode == "in-situ" or not any(layer.placement.sync_every for layer in layers):
        return
    reason = "while a network is trained in software, its copies are one kernel and need no synchronisation"
    if config.mode == "write-verify":
        reason = (
            "write-verify writes all copies to one target at every write, which keeps them equal by itself"
        )
    raise ValueError(
        f"`placement` must be without sync_every with --mode {config.mode}, but is {placement!r}: {reason}. "
        "Leave it out, or use --mode in-situ."
    )
