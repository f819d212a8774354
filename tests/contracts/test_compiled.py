"""For torch.compile a hardware-aware layer is one graph, compiled once, with the same numbers if nothing is drawn."""

import copy
import os

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from crossbar import AnalogLinear, AnalogLocallyConnected2d
from crossbar.aihwkit.adapter import InferenceRPUConfig

LAYERS = {
    "dense": (lambda config: AnalogLinear(12, 5, rpu_config=config), (4, 12)),
    "local": (lambda config: AnalogLocallyConnected2d(1, 3, 3, 8, rpu_config=config), (4, 1, 8, 8)),
}


def without_noise():
    """Quantised and bounded, with ranges that learn, noise management and bound management; nothing is drawn."""
    config = InferenceRPUConfig()
    config.forward.out_noise = 0.0
    config.pre_post.input_range.enable = True
    return config


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("XBAR_CHECK_SHAPES", "1") != "0",
    reason="torch.compile cannot see through checks of shapes: XBAR_CHECK_SHAPES=0",
)
@pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning"
)  # what dynamo does itself
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_compiles_once_into_one_graph_with_the_same_numbers(name):
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = make(without_noise()).train()
    twin, counter = copy.deepcopy(layer), CompileCounter()
    compiled = torch.compile(twin, fullgraph=True, backend=counter)
    for _ in range(3):
        x = torch.rand(shape)
        y, same = layer(x), compiled(x)
        assert torch.equal(y, same)
        y.square().sum().backward()
        same.square().sum().backward()
        for mine, other in zip(layer.parameters(), twin.parameters(), strict=True):
            if mine.requires_grad:
                assert torch.equal(mine.grad, other.grad)
            else:  # aihwkit's context, which is no number
                assert mine.grad is None is other.grad
        for model in (layer, twin):
            torch.optim.SGD(model.parameters(), lr=0.01).step()
            model.zero_grad()
    assert counter.frame_count == 1
