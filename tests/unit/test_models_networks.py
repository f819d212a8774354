"""The paper's networks: their maps, their sizes, their first weights."""

import math

import pytest
import torch

from crossbar import LocallyConnected2d
from models import NETWORKS, build, cnn_mnist, fcn_cifar10, fcn_mnist, initialise

Z = 4.9  # two-sided, one false alarm in a million


@pytest.mark.parametrize(
    ("name", "locations"),
    [("mnist", [169, 36, 16]), ("cifar10", [196, 25, 9]), ("digits", [36, 16])],
)
def test_local_layers_have_the_papers_maps(name, locations):
    for kind in ("fcn", "cnn"):
        layers = [m for m in build(f"{kind}_{name}").modules() if isinstance(m, LocallyConnected2d)]
        assert [math.prod(layer.output_size) for layer in layers] == locations
        kernels = locations if kind == "fcn" else [1] * len(locations)
        assert [len(layer.weight) for layer in layers] == kernels


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_map_images_to_ten_scores(name):
    network = build(name)
    assert network(torch.rand(2, *NETWORKS[name].image_shape)).shape == (2, 10)


def test_parameter_counts():
    """Counted by hand from the paper's table: (inputs + 1) outputs, for each kernel."""
    dense = (16 * 128 + 1) * 1024 + 1025 * 10
    shared = (9 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    free = 169 * (9 + 1) * 32 + 36 * (9 * 32 + 1) * 64 + 16 * (9 * 64 + 1) * 128
    for network, local in ((cnn_mnist(), shared), (fcn_mnist(), free)):
        assert sum(p.numel() for p in network.parameters()) == local + dense
    assert fcn_cifar10().local1.weight.shape == (196, 64, 3, 5, 5)


def test_placement_replaces_that_of_every_local_layer():
    network = build("fcn_digits", "blocks(rows=2,cols=2)")
    assert len(network.local1.weight) == len(network.local2.weight) == 4


def test_unknown_network_is_named():
    with pytest.raises(
        ValueError, match=r"`name` must be one of .*fcn_mnist.*, but is 'lenet'\. Choose one\."
    ):
        build("lenet")


def test_initial_weights_follow_torchs_law():
    """Uniform in +-b with b = 1/sqrt(inputs): variance b²/3; the variance of a squared uniform is 4 b⁴/45."""
    network = fcn_mnist()
    initialise(network, seed=1)
    weight, bound = network.local2.weight.detach(), 1 / math.sqrt(9 * 32)
    assert weight.abs().max() <= bound
    assert abs(weight.mean()) < Z * bound / math.sqrt(3 * weight.numel())
    spread = Z * math.sqrt(4 / 45 / weight.numel()) * bound**2
    assert abs(weight.square().mean() - bound**2 / 3) < spread


def test_initial_weights_of_a_layer_depend_on_seed_and_name_only():
    first, again, other, shared = (build(name) for name in ("fcn_digits",) * 3 + ("cnn_digits",))
    for network, seed in ((first, 1), (again, 1), (other, 2), (shared, 1)):
        initialise(network, seed)
    assert torch.equal(first.dense1.weight, again.dense1.weight)
    assert torch.equal(first.dense1.weight, shared.dense1.weight)
    assert not torch.equal(first.dense1.weight, other.dense1.weight)
    assert not torch.equal(first.local1.bias[0], first.local1.bias[1])


def test_initialise_leaves_torchs_global_stream_alone():
    network = build("fcn_digits")
    before = torch.get_rng_state()
    initialise(network, 0)
    assert torch.equal(torch.get_rng_state(), before)
