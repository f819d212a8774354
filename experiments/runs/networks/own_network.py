"""Networks of users' own files: made, tried with an example, and placed."""

from typing import Any, Final

import torch
from torch import nn

from crossbar import convert_to_digital, tile_arrays
from devices.streams import derive_seed
from models.placing import place_convolutions

from ...data.datasets import Facts
from ...data.user_function import UserFunction, as_function
from .layers import is_analog

AS_BUILT: Final = "as built"
"""The placement of a network of one's own that is left as its function made it."""
_OFFER: Final = "input_shape, num_classes and seed"


def build_own(spec: str, placement: str, facts: Facts, seed: int) -> nn.Module:
    """Make the network of a user's function, with its own initial weights, and its convolutions as placed.

    Args:
        spec: The function, as in "my_network.py:build".
        placement: Where the kernels of its convolutions live, or `AS_BUILT`.
        facts: What is known of the data.
        seed: Of the run; weights that the function draws from torch's global stream follow from it.

    Returns:
        The network; analog layers that it has stay.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not run, has no such function, or it returns no network that takes the inputs and
            gives the outputs that the data need; or if the placement does not fit.
    """
    function = as_function(spec, "model")
    assert function is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        network = _called(function, facts, seed)
        _check(network, function, facts)
        if placement != AS_BUILT:
            _refuse_analog(network, placement)
            if _places_nothing(network):
                raise ValueError(
                    f"`placement` must be left out for {function}, but is {placement!r}: no layer has several "
                    f"locations ({_kinds(network)}). Leave it out."
                )
            place_convolutions(network, placement, facts.example())
    return network


def digital_twin(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose analog layers are digital ones with the same weights."""
    return convert_to_digital(network)


def digital_of(network: nn.Module) -> nn.Module:
    """Return a digital network as it is, and of an analog one its digital twin."""
    return digital_twin(network) if is_analog(network) else network


def learns_by_pulses(network: nn.Module) -> bool:
    """Say whether the devices of an analog network learn in place."""
    return any(array.in_situ is not None for _, array in tile_arrays(network))


def _called(function: UserFunction, facts: Facts, seed: int) -> nn.Module:
    shape, outputs = facts.image_shape, facts.outputs
    offered: dict[str, Any] = dict.fromkeys(("input_shape", "input_size"), shape)
    offered |= dict.fromkeys(("num_classes", "classes", "num_outputs", "outputs"), outputs)
    network = function.call({**offered, "seed": seed}, _OFFER)
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"`model` must return an nn.Module, but {function} returned a {type(network).__name__}. Return the "
            "network."
        )
    if not any(True for _ in network.parameters()) and not is_analog(network):
        raise ValueError(f"`model` must have weights, but the network of {function} has none. Add layers.")
    return network


@torch.no_grad()
def _check(network: nn.Module, function: UserFunction, facts: Facts) -> None:
    """Send a batch of zeros through a network, and look at what comes out."""
    example = facts.example()
    was_training = network.training
    try:
        outputs = network.eval()(example)
    except Exception as error:
        advice = "Change the network or the data"
        if facts.has_tokens:
            advice = (
                "Integers are tokens to be looked up: begin with an embedding, or save numbers as float32"
            )
        raise ValueError(
            f"`model` must take the {facts} of the data, but {function} stopped on a batch of "
            f"{tuple(example.shape)}: {type(error).__name__}: {' '.join(str(error).split())[:300]}. {advice}."
        ) from error
    finally:
        network.train(was_training)
    batch = len(example)
    if facts.classes is None:
        fits = isinstance(outputs, torch.Tensor) and len(outputs) == batch
        fits = fits and outputs[0].numel() == facts.outputs
        wanted: tuple[int, ...] = (batch, *(facts.target_shape or (1,)))
    else:
        wanted = (batch, *facts.target_shape, facts.classes)
        fits = isinstance(outputs, torch.Tensor) and tuple(outputs.shape) == wanted
    if not fits:
        gives = (
            f"{tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else f"a {type(outputs).__name__}"
        )
        raise ValueError(
            f"`model` must give {wanted} for the {facts} of the data, a batch of {batch}, but {function} gives "
            f"{gives}. Change its last layer; `num_classes` is handed over if the function asks for it."
        )


def _refuse_analog(network: nn.Module, placement: str) -> None:
    if is_analog(network):
        raise ValueError(
            f"`placement` must be left out for a network with analog layers, but is {placement!r}: they are placed "
            "already. Give their placement where they are made."
        )


def _places_nothing(network: nn.Module) -> bool:
    return not any(isinstance(layer, nn.modules.conv._ConvNd) for layer in network.modules())


def _kinds(network: nn.Module) -> str:
    """Name the layers with weights of a network."""
    found = [
        f"{name} is a {type(layer).__name__}"
        for name, layer in network.named_modules()
        if any(p.dim() > 1 for p in layer.parameters(recurse=False))
    ]
    return ", ".join([*found[:4], *(["..."] if len(found) > 4 else [])])
