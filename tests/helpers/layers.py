"""A small network on tiles, its data, and how it is trained: what the promises of layers are tested with."""

import copy
from typing import Any

import torch
from aihwkit.optim import AnalogSGD
from torch import Tensor, nn

from crossbar import AnalogLinear, AnalogLocallyConnected2d, seed_noise

PLACEMENTS = [
    "free",
    "time_multiplexed",
    "replicated(tiles=4)",
    "blocks(rows=2,cols=3)",
    "random(tiles=5)",
    "random(tiles=5,redraw=True)",
    "interleaved(period=2)",
]
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 3, 0, 1])


def network(config: Any, placement: str = "free", seed: int = 0) -> nn.Sequential:
    """A local layer with this placement, and a dense one that is split into uneven tiles."""
    torch.manual_seed(seed)
    config = copy.deepcopy(config)
    config.mapping.weight_scaling_omega = 0.5
    small = copy.deepcopy(config)
    small.mapping.max_input_size = 25
    local = AnalogLocallyConnected2d(1, 3, 3, 8, placement=placement, rpu_config=config)
    return nn.Sequential(local, nn.Tanh(), nn.Flatten(), AnalogLinear(108, 4, rpu_config=small))


def train(
    net: nn.Module,
    steps: int,
    first: int = 0,
    *,
    optimizer_class: Any = AnalogSGD,
    learning_rate: float = 0.1,
    images: Tensor = IMAGES,
) -> list[float]:
    """Train from one step to another, whose noise is named by their numbers; return the losses."""
    optimizer = optimizer_class(net.parameters(), lr=learning_rate)
    optimizer.regroup_param_groups(net)
    losses = []
    for number in range(first, first + steps):
        seed_noise(net, 0, "train", number)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), CLASSES)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def state(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors of a network."""
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}
