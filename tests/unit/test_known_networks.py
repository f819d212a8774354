"""Networks that everybody knows: their published sizes, and their twins without weight sharing."""

import warnings

import pytest
import torch
from torch import nn

from crossbar import LocallyConnected2d, conversion_report, convert_to_analog
from devices import get
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from models import CATALOGUE, NETWORKS, build, initialise

KNOWN = [name for name in CATALOGUE if name not in NETWORKS]
OF_IMAGES = [name for name in KNOWN if not CATALOGUE[name].reads_tokens]


def parameters_of(name):
    return sum(p.numel() for p in build(name).parameters())


def test_sizes_are_the_published_ones():
    """He et al. 2016: 0.27 M for ResNet-20; LeNet-5 with full connections; the dense one counted by hand."""
    assert parameters_of("resnet20_cifar10") == 269_722
    assert parameters_of("lenet_mnist") == 61_706
    assert parameters_of("dense_mnist") == 784 * 256 + 256 + 256 * 128 + 128 + 1290


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_network_maps_its_images_to_ten_scores(name):
    network = build(name)
    x = torch.rand(2, *CATALOGUE[name].image_shape)
    assert network.eval()(x).shape == (2, 10)
    free = [m for m in network.modules() if isinstance(m, LocallyConnected2d)]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert bool(free) == name.endswith("_free")
    assert not (free and convolutions)


@pytest.mark.parametrize("name", ["lenet_mnist", "vit_cifar10"])
def test_all_their_products_go_onto_tiles(name):
    network = build(name)
    initialise(network, 0)
    perfect = get("ideal").rpu_config()
    perfect.forward.is_perfect = True
    perfect.pre_post.input_range.enable = False  # it clips inputs before the first calibration
    kept = [""] if name == "vit_cifar10" else []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore" if kept else "error"
        )  # the places of tokens are a parameter of the model itself
        analog = convert_to_analog(network, perfect).eval()
    places = {layer.place for layer in conversion_report(analog).layers}
    assert places - {"analog"} <= {"digital"}
    digital = [layer.name for layer in conversion_report(analog).layers if layer.place == "digital"]
    assert digital == kept
    x = torch.rand(2, *CATALOGUE[name].image_shape)
    assert torch.allclose(network.eval()(x), analog(x), atol=1e-4)


def test_a_network_that_reads_has_the_published_size():
    """Gokmen et al. 2018: 256 x 152 and 256 x 129 for 87 characters and one bias; torch has two biases in each."""
    network = build("char_lstm", tokens=(87, 87))
    assert sum(p.numel() for p in network.lstm.parameters()) == 256 * 152 + 256 * 129 + 2 * 256
    x = torch.randint(0, 87, (2, 9))
    scores = network(x)
    assert scores.shape == (2, 9, 87)
    other = torch.cat([x[:, :5], 86 - x[:, 5:]], dim=1)
    assert torch.equal(network(other)[:, :5], scores[:, :5])  # nothing is known of what comes later
    assert build("char_lstm", tokens=(9, 3))(x % 9).shape == (2, 9, 3)
    with pytest.raises(ValueError, match=r"`tokens` must be given for char_lstm, but is None"):
        build("char_lstm")
    with pytest.raises(ValueError, match=r"`tokens` must be left out for lenet_mnist, but are \(9, 9\)"):
        build("lenet_mnist", tokens=(9, 9))


@pytest.mark.parametrize("name", ["resnet20_cifar10", "vit_cifar10", "char_lstm"])
def test_initial_weights_follow_from_the_seed(name):
    tokens = (9, 9) if CATALOGUE[name].reads_tokens else None
    first, again, other = (build(name, tokens=tokens) for _ in range(3))
    for network, seed in ((first, 1), (again, 1), (other, 2)):
        initialise(network, seed)
    pairs = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert not all(torch.equal(*pair) for pair in zip(first.parameters(), other.parameters(), strict=True))


def test_they_are_trained_by_rule():
    run = resolve(TrainConfig(model="resnet20_cifar10", data="cifar10"), (3, 32, 32))
    assert (run.placement, run.batch_size, run.lr) == (
        "time_multiplexed",
        64,
        pytest.approx(0.1 / 24, rel=0.02),
    )
    with pytest.raises(ValueError, match=r"`placement` must be left out for dense_mnist.*no convolutions"):
        resolve(TrainConfig(model="dense_mnist", data="mnist", placement="free"), (1, 28, 28))
    with pytest.raises(ValueError, match=r"`model` must fit the images of 'digits', .*vgg_cifar10 expects"):
        resolve(TrainConfig(model="vgg_cifar10"), (1, 8, 8))
