"""A network that starts with what another one has learned: kernels are means over the locations that they serve."""

import pytest
import torch
from torch import nn

from experiments.runs.networks.start_from import take_weights
from models import build, draw_absent_weights, draw_connections, initialise
from models.placing import place_convolutions


def network(placement, seed=0, name="fcn_digits"):
    made = build(name, placement)
    initialise(made, seed)
    return made


def test_one_tile_starts_as_the_mean_over_all_locations():
    apart, one = network("free", 1), network("time_multiplexed", 2)
    take_weights(one, apart)
    for layer in ("local1", "local2"):
        torch.testing.assert_close(
            one.get_submodule(layer).weight[0], apart.get_submodule(layer).weight.mean(0)
        )
        torch.testing.assert_close(one.get_submodule(layer).bias[0], apart.get_submodule(layer).bias.mean(0))
    assert torch.equal(one.dense1.weight, apart.dense1.weight)
    assert torch.equal(one.dense2.bias, apart.dense2.bias)


def test_a_mean_over_blocks_is_that_of_the_locations_of_each_block():
    apart, blocks = network("free", 1), network("blocks(rows=2,cols=2)", 2)
    take_weights(blocks, apart)
    served = apart.local1.weight.reshape(6, 6, *apart.local1.weight.shape[1:])
    torch.testing.assert_close(blocks.local1.weight[0], served[:3, :3].mean((0, 1)))
    torch.testing.assert_close(blocks.local1.weight[3], served[3:, 3:].mean((0, 1)))


@pytest.mark.parametrize("placement", ["free", "blocks(rows=2,cols=2)", "replicated", "random(tiles=4)"])
def test_what_was_one_kernel_computes_the_same_anywhere(placement):
    one, other = network("time_multiplexed", 1), network(placement, 2)
    take_weights(other, one)
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        other(x), one(x), rtol=0, atol=1e-6
    )  # sums of 144 products of order 0.1 in float32


def test_convolutions_of_ones_own_take_kernels_and_give_them():
    def own(placement):
        made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2))
        return (
            made
            if placement is None
            else (place_convolutions(made, placement, torch.zeros(1, 1, 8, 8)), made)[1]
        )

    convolution, free = own(None), own("free")
    x = torch.rand(2, 1, 8, 8)
    take_weights(free, convolution)
    torch.testing.assert_close(free(x), convolution(x), rtol=0, atol=1e-6)
    with torch.no_grad():
        free[0].weight.add_(torch.rand_like(free[0].weight))
    take_weights(convolution, free)
    torch.testing.assert_close(convolution[0].weight, free[0].weight.mean(0))


def test_another_network_is_refused_by_the_layer_that_differs():
    with pytest.raises(ValueError, match=r"same network.*'local1'"):
        take_weights(network("free"), network("free", name="fcn_mnist"))
    with pytest.raises(ValueError, match="no layer 'local1'"):
        take_weights(network("free"), nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize("draw", [draw_absent_weights, draw_connections])
def test_what_is_absent_stays_so(draw):
    lacking = network("free", 1)
    draw(lacking, 0.5, 0)
    absent = lacking.local1.weight == 0
    assert absent.float().mean() > 0.4
    take_weights(lacking, network("free", 2))
    assert torch.equal(lacking.local1.weight == 0, absent)
