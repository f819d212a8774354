"""The network of a run before its first step, and a digital one with the weights that an analog one has learned."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from crossbar import convert_to_digital, use_gradient
from crossbar.layers.analog_layer import AnalogLayer
from devices.streams import derive_seed
from models import NETWORKS, build, draw_absent_weights, draw_connections, initialise

from ...data.datasets import Facts
from ...data.user_function import as_function
from ..run import Run
from .layers import is_analog
from .own_network import build_own, digital_twin, learns_by_pulses


def is_own(model: str) -> bool:
    """Say whether a model is a function of a user's own file."""
    return as_function(model, "model") is not None


def network_of(model: str, placement: str, facts: Facts | None, seed: int) -> nn.Module:
    """Build a network by name, or by a function of one's own; as it is built, analog or digital.

    Args:
        model: The name, or the function.
        placement: Where its kernels live.
        facts: What is known of the data; of our own networks only those that read tokens ask for it.
        seed: Of what the function of one's own draws.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such network, or it does not fit the data or the placement.
    """
    if not is_own(model):
        return build(model, placement, tokens_of(facts))
    if facts is None or facts.images is None:
        raise ValueError(f"`data` must be given to build {model}, but are not known.")
    return build_own(model, placement, facts, seed)


def tokens_of(facts: Facts | None) -> tuple[int, int] | None:
    """Return how many different tokens and classes data have; None if they have none, or are not known."""
    if facts is None or facts.tokens is None or facts.classes is None:
        return None
    return facts.tokens, facts.classes


def first_network(run: Run, facts: Facts | None) -> nn.Module:
    """Build the network of a run with its initial weights and connections; of one's own, analog if it was made so.

    Trained digitally, an analog one is its digital twin.
    """
    network = network_of(run.model, run.placement, facts, run.seed)
    if not is_own(run.model):
        initialise(network, run.seed)
    elif run.mode == "digital" and is_analog(network):
        network = digital_twin(network)
    draw_connections(network, run.absent_inputs, run.seed)
    draw_absent_weights(network, run.absent_weights, run.seed, run.absent_pattern or "own")
    return network


def initial_network(run: Run, facts: Facts | None = None) -> nn.Module:
    """Build the digital network of a run with its initial weights and connections."""
    network = first_network(run, facts)
    return digital_twin(network) if is_analog(network) else network


def as_built_analog(network: nn.Module, run: Run) -> nn.Module:
    """Let a network that was made analog learn as it is, with the configurations of its own layers."""
    use_gradient(network, "exact")
    if learns_by_pulses(network):
        for layer in network.modules():
            if isinstance(layer, AnalogLayer) and layer.tile_array.in_situ is not None:
                for devices in layer.tile_array.in_situ.cells.device_arrays().values():
                    devices.count_pulses()
    return network


@contextmanager
def own_draws(run: Run, *names: str | int) -> Iterator[None]:
    """Let layers of one's own, such as dropout, draw from a stream of the run in the block."""
    if not is_own(run.model):
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(run.seed, "own layers", *names))
        yield


@torch.no_grad()
def take_off_tiles(analog: nn.Module, run: Run, facts: Facts | None = None) -> nn.Module:
    """Return the digital network with the weights that an analog one has learned."""
    if run.model not in NETWORKS:
        return convert_to_digital(analog)
    network = initial_network(run, facts)
    parts = dict(network.named_modules())
    for name, layer in analog.named_modules():
        if isinstance(layer, AnalogLayer):
            layer.fill(parts[name])
        elif name in parts:
            own = {**layer._parameters, **layer._buffers}
            for key, value in {**parts[name]._parameters, **parts[name]._buffers}.items():
                if value is not None and own.get(key) is not None:
                    value.copy_(own[key])
    return network
