"""Networks of one's own: what a function must return, how it is placed, and by which rules it is trained."""

import copy

import pytest
import torch
from torch import nn

from crossbar import AnalogLinear, LocallyConnected1d, LocallyConnected2d
from experiments.data.datasets import Facts
from experiments.data.user_function import as_function, label_of
from experiments.runs.networks.layers import stays_digital
from experiments.runs.networks.own_network import AS_BUILT, build_own, digital_twin
from experiments.runs.networks.rules import Rules, largest_number_of_inputs
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.rates.learning_rates import learning_rate
from helpers.own_files import write_networks
from models.placing import place_convolutions

BLOBS = Facts((2, 9, 7), images=100, classes=4)
TABLE = Facts((5,), images=100, is_regression=True)


def build(folder, name="build", placement=AS_BUILT, facts=BLOBS, seed=0):
    return build_own(f"{write_networks(folder)}:{name}", placement, facts, seed)


def test_a_function_is_handed_what_it_asks_for(tmp_path):
    network = build(tmp_path)
    assert network(torch.zeros(3, 2, 9, 7)).shape == (3, 4)
    assert build(tmp_path, "table", facts=TABLE)(torch.zeros(3, 5)).shape == (3, 1)


def test_initial_weights_follow_from_the_seed_alone(tmp_path):
    first, again, other = (build(tmp_path, seed=seed)[0].weight for seed in (1, 1, 2))
    torch.manual_seed(5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("name", "facts", "sentence"),
    [
        (
            "needs",
            BLOBS,
            r"without other arguments than input_shape, num_classes and seed, but .* needs width",
        ),
        ("nothing", BLOBS, r"`model` must return an nn\.Module, but .*:nothing returned a str"),
        (
            "stops",
            BLOBS,
            r"`model` must run, but .*:stops stopped at line \d+: NameError: name 'undefined' is not",
        ),
        (
            "absent",
            BLOBS,
            r"`model` must name a function of .*my_network\.py, but 'absent' is not in it\. It has",
        ),
        ("other_inputs", BLOBS, r"`model` must take the inputs of 2 x 9 x 7, 4 classes .*RuntimeError"),
        (
            "other_outputs",
            BLOBS,
            r"`model` must give \(2, 4\) for the inputs .* gives \(2, 7\)\. Change its last layer",
        ),
        ("small", TABLE, r"`model` must take the inputs of 5, 1 target of the data"),
        (
            "table",
            Facts((5,), images=9, has_tokens=True, classes=2),
            r"Integers are tokens to be looked up: begin",
        ),
    ],
)
def test_what_a_function_must_not_be(tmp_path, name, facts, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(tmp_path, name, facts=facts)


def test_files_that_are_missing_or_do_not_run(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`model` must name an existing file, but there is no .*gone\.py"
    ):
        build_own(f"{tmp_path}/gone.py:build", AS_BUILT, BLOBS, 0)
    (tmp_path / "broken.py").write_text("x = 1\ndef build(:\n")
    with pytest.raises(ValueError, match=r"`model` must name a file that runs, .* at line 2: SyntaxError"):
        build_own(f"{tmp_path}/broken.py:build", AS_BUILT, BLOBS, 0)
    (tmp_path / "stops.py").write_text("x = 1\n\n1 / 0\n")
    with pytest.raises(ValueError, match=r"stopped at line 3: ZeroDivisionError: division by zero"):
        build_own(f"{tmp_path}/stops.py:build", AS_BUILT, BLOBS, 0)
    with pytest.raises(ValueError, match=r"`model` must name a function in the file, .* Write x\.py:build"):
        as_function("x.py", "model")
    assert as_function("fcn_digits", "model") is None


def test_labels_and_digests_are_those_of_file_and_function(tmp_path):
    file = write_networks(tmp_path)
    assert (label_of(f"{file}:build"), label_of(f"{file}:table")) == ("my_network", "my_network.table")
    one, other = (as_function(f"{file}:{name}", "model").digest() for name in ("build", "table"))
    assert one != other
    (tmp_path / "copy").mkdir()
    copied = write_networks(tmp_path / "copy")
    assert as_function(f"{copied}:build", "model").digest() == one
    with (tmp_path / "copy" / "my_network.py").open("a") as appended:
        appended.write("\n")
    assert as_function(f"{copied}:build", "model").digest() != one


@pytest.mark.parametrize("placement", ["free", "replicated(tiles=3)", "blocks(rows=2,cols=2)"])
def test_a_placed_network_computes_at_first_what_it_did(tmp_path, placement):
    plain, placed = build(tmp_path).eval(), build(tmp_path, placement=placement).eval()
    x = torch.randn(5, 2, 9, 7)
    with torch.no_grad():
        assert torch.allclose(plain(x), placed(x), atol=1e-5)
    kinds = {name: type(layer) for name, layer in placed.named_modules() if "conv" in name or name == "0"}
    assert kinds == dict.fromkeys(("0", "2.conv1", "2.conv2"), LocallyConnected2d)
    assert placed[2].conv1.output_size == (4, 3)


def test_what_cannot_be_placed_is_said_layer_by_layer(tmp_path):
    other = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), unused := nn.Sequential(nn.Conv2d(3, 3, 3)))
    unused.forward = nn.Identity().forward
    assert place_convolutions(other, "free", BLOBS.example()) == {
        "0": "stays one kernel: a ConvTranspose2d has no locally connected counterpart",
        "1.0": "stays one kernel: a pass of an example does not reach it",
    }
    network = build(tmp_path)
    assert place_convolutions(network, "time_multiplexed", BLOBS.example()) == {}
    with pytest.raises(ValueError, match=r"layer '0': .*blocks"):
        place_convolutions(network, "blocks(rows=99,cols=1)", BLOBS.example())
    with pytest.raises(
        ValueError, match=r"`placement` must be left out .* no layer has several locations \(0 is a Linear"
    ):
        build(tmp_path, "table", "free", TABLE)
    twice = nn.Sequential(layer := nn.Conv2d(1, 1, 3, padding="same"), nn.AvgPool2d(2), layer)
    assert "several sizes" in place_convolutions(twice, "free", torch.zeros(1, 1, 8, 8))["0"]


def test_layers_are_placed_by_name(tmp_path):
    placed = build(tmp_path, placement="0=free,2.conv*=replicated(tiles=2)")
    copies = "replicated(tiles=2,sync_every=0)"
    specs = {n: m.placement.spec for n, m in placed.named_modules() if isinstance(m, LocallyConnected2d)}
    assert specs == {"0": "free", "2.conv1": copies, "2.conv2": copies}


def test_signals_are_placed_too(tmp_path):
    facts = Facts((1, 40), images=100, classes=3)
    plain, placed = (build(tmp_path, "signal", placement, facts).eval() for placement in (AS_BUILT, "free"))
    assert type(placed[0]) is LocallyConnected1d
    x = torch.randn(4, 1, 40)
    assert torch.allclose(plain(x), placed(x), atol=1e-5)


def test_padding_that_keeps_the_size_is_kept():
    conv = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same", dilation=2))
    placed = copy.deepcopy(conv)
    place_convolutions(placed, "free", torch.zeros(1, 1, 8, 6))
    x = torch.randn(3, 1, 8, 6)
    assert torch.allclose(conv(x), placed(x), atol=1e-6)


def test_layers_without_tiles_stay_digital(tmp_path):
    assert stays_digital(build(tmp_path)) == []
    network = build(
        tmp_path, "tokens", facts=Facts((10,), images=9, classes=3, target_shape=(10,), has_tokens=True)
    )
    assert "table" in stays_digital(network)
    assert "out" not in stays_digital(network)


def test_analog_networks_have_a_digital_twin(tmp_path):
    network = build(tmp_path, "analog")
    twin = digital_twin(network)
    assert isinstance(network[1], AnalogLinear)
    assert type(twin[1]) is nn.Linear
    assert torch.allclose(twin[1].weight, network[1].get_weights()[0])
    rule = resolve(TrainConfig(model=f"{write_networks(tmp_path)}:analog"), BLOBS).lr
    assert rule == Rules.of(twin, BLOBS).adam
    with pytest.raises(ValueError, match=r"`placement` must be left out for a network with analog layers"):
        build(tmp_path, "analog", "free")
    wish = TrainConfig(model=f"{write_networks(tmp_path)}:analog", mode="in-situ", device="ecram")
    with pytest.raises(ValueError, match=r"`mode` must be hwa or digital, as its devices do not learn"):
        resolve(wish, BLOBS)
    wish = TrainConfig(model=f"{write_networks(tmp_path)}:analog", tile_size=64)
    with pytest.raises(ValueError, match=r"`tile_size` must be left out .*analog already"):
        resolve(wish, BLOBS)


def test_the_rules_say_what_they_do():
    network = nn.Sequential(nn.Conv2d(16, 8, 3), nn.Flatten(), nn.Linear(100, 4))
    assert largest_number_of_inputs(network) == 144
    few, many = (Rules.of(network, Facts((1, 8, 8), images=n, classes=4)) for n in (100, 50_000))
    assert (few.batch_size, few.epochs, many.batch_size, many.epochs) == (8, 60, 64, 4)
    assert Rules.of(nn.Linear(2500, 4), BLOBS).adam == pytest.approx(0.1 / 50)
    assert Rules.of(nn.Linear(10**6, 4), BLOBS).adam == 5e-4
    assert Rules.of(nn.Linear(1, 4), BLOBS).adam == 5e-3
    attention = nn.TransformerEncoderLayer(100, 2, 400)
    assert Rules.of(attention, BLOBS).adam == pytest.approx(0.2 * 0.1 / 20)
    assert largest_number_of_inputs(LocallyConnected2d(3, 5, 3, 8)) == 27
    assert largest_number_of_inputs(nn.Embedding(9, 500)) == 1


def test_the_rules_come_near_to_what_was_found_by_trial():
    """Within a factor of three of the tuned rates of the digits and of MNIST, by Adam and in situ."""
    for shape, inputs in (((1, 8, 8), 512), ((1, 28, 28), 2048)):
        rule = Rules.of(nn.Linear(inputs, 10), Facts(shape, images=1000, classes=10)).adam
        for mode, device in (("hwa", "pcm"), ("in-situ", "ecram")):
            tuned = learning_rate(mode, device, shape)
            assert 1 / 3 < learning_rate(mode, device, shape, adam=rule) / tuned < 3


def test_a_wish_is_filled_by_the_rules_and_stays_what_it_is(tmp_path):
    wish = TrainConfig(model=f"{write_networks(tmp_path)}:build")
    run = resolve(wish, BLOBS)
    assert (run.batch_size, run.epochs, run.lr, run.placement) == (8, 60, 5e-3, AS_BUILT)
    assert (run.loss, run.metric) == ("cross-entropy", "accuracy")
    assert resolve(run.as_wish(), BLOBS) == run
    with pytest.raises(ValueError, match=r"`augment` must be left out for inputs that are no images"):
        resolve(TrainConfig(model=f"{write_networks(tmp_path)}:table", augment="noise", strength=0.1), TABLE)
    with pytest.raises(
        ValueError, match=r"`model` must have an output for every class of 'digits', .* 12 classes"
    ):
        resolve(TrainConfig(), Facts((1, 8, 8), images=9, classes=12))
