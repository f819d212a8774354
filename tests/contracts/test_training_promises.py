"""What training and evaluation promise about their numbers, whatever the network."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossbar import LocallyConnected2d, convert_to_analog, program_chip, seed_noise, tile_arrays
from devices import get
from experiments.data.datasets import load_data
from experiments.runs.evaluation import evaluate, take_off_tiles
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from experiments.runs.training import learning_rate, loss_and_accuracy, train
from experiments.support.interruption import Interruption
from models import build, initialise

DATA = load_data("digits", seed=0, train_images=100, test_images=60)


def config_of(**wishes):
    return resolve(TrainConfig(batch_size=32, threads=1, **wishes), (1, 8, 8))


def trained(config, tmp_path):
    folder = RunFolder(tmp_path)
    return train(config, DATA, folder, Interruption("nothing"), fingerprint="")


def test_a_digital_training_is_adam_on_the_mean_loss_of_shuffled_batches(tmp_path):
    """The same steps written out: with all images in one batch their order cannot matter but for rounding."""
    config = replace(config_of(mode="digital", epochs=3, lr=1e-3, schedule="constant"), batch_size=100)
    expected = build("fcn_digits")
    initialise(expected, config.seed)
    adam = torch.optim.Adam(expected.parameters(), lr=1e-3)
    for _ in range(3):
        adam.zero_grad()
        cross_entropy(expected(DATA.train.pixels), DATA.train.labels).backward()
        adam.step()
    model = trained(config, tmp_path)
    for name, value in model.state_dict().items():
        # Adam divides by the root of the mean square, so a rounding of a tiny gradient can move a whole step;
        # over three steps of 1e-3 all but such weights agree far better than a step.
        close = (value - expected.state_dict()[name]).abs() < 1e-4
        assert close.float().mean() > 0.999, name


def test_the_log_holds_means_over_images(tmp_path):
    """With a learning rate too small to move a float32 weight, every epoch has the loss of the first weights.

    The last batch has 4 images, not 32: a mean over batches would differ.
    """
    config = config_of(mode="digital", epochs=2, lr=1e-30)
    model = trained(config, tmp_path)
    for record in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines()):
        for prefix, images in (("", DATA.train), ("validation_", DATA.validation)):
            loss, accuracy = loss_and_accuracy(model, images)
            assert record[prefix + "loss"] == pytest.approx(loss, rel=1e-6)  # float32, ten times its rounding
            assert record[prefix + "accuracy"] == accuracy


def test_every_image_is_seen_once_in_each_epoch_in_another_order(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "experiments.runs.training._take_step",
        lambda run, model, optimizer, batch, among: (seen.append(batch.pixels), (1.0, 0))[1],
    )
    trained(config_of(mode="digital", epochs=2), tmp_path)
    orders = [torch.cat(seen[:4]), torch.cat(seen[4:])]
    everything = DATA.train.pixels.flatten(1).unique(dim=0)
    for order in orders:
        assert len(order) == 100
        assert torch.equal(order.flatten(1).unique(dim=0), everything)
    assert not torch.equal(*orders)


def test_training_learns_the_digits(tmp_path):
    """A guess is right once in ten: 60 images with 39 or more right by guessing happen once in 10^20."""
    result, _ = evaluate(
        config_of(mode="digital", device="none"),
        trained(config_of(mode="digital", epochs=25), tmp_path),
        DATA,
        Interruption(""),
    )
    assert result.digital_accuracy >= 0.65
    assert result.accuracy == {}


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(
        ValueError, match=r"`lr` must be small enough to train, but with 1e\+30 the loss became"
    ):
        trained(config_of(mode="digital", epochs=3, lr=1e30), tmp_path)


def test_cosine_schedule():
    config = config_of(lr=2.0)
    rates = [learning_rate(config, step, 8) for step in range(8)]
    assert rates == pytest.approx([1 + math.cos(math.pi * step / 8) for step in range(8)])
    assert {learning_rate(replace(config, schedule="constant"), step, 8) for step in range(8)} == {2.0}


def test_weights_taken_off_the_tiles_are_those_put_on():
    """Mapping divides and multiplies by a scale: two roundings of float32."""
    config = config_of(placement="blocks(rows=2,cols=2)")
    network = build("fcn_digits", config.placement)
    initialise(network, config.seed)
    back = take_off_tiles(make_model(config), config)
    for (name, value), other in zip(network.state_dict().items(), back.state_dict().values(), strict=True):
        assert torch.allclose(value, other, rtol=2.5e-7, atol=0), name
    assert isinstance(back.local1, LocallyConnected2d)


@pytest.fixture(scope="module")
def model():
    """A network that knows something, so that noise can cost accuracy."""
    config = config_of(mode="digital")
    network = make_model(config)
    adam = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(40):
        adam.zero_grad()
        cross_entropy(network(DATA.train.pixels), DATA.train.labels).backward()
        adam.step()
    return network.eval()


def chips_of(model, **wishes):
    return evaluate(config_of(mode="digital", **wishes), model, DATA, Interruption("")).result.accuracy


def test_a_chip_is_named_by_its_number_and_a_reading_by_its_time(model):
    """More chips, fewer times, another compensation: what is common stays as it is."""
    whole = chips_of(model, chips=3, times="1s,1d,1y")
    assert whole == chips_of(model, chips=3, times="1s,1d,1y")
    fewer = chips_of(model, chips=2, times="1s,1d,1y")
    assert {name: chips[:2] for name, chips in whole.items()} == fewer
    late = chips_of(model, chips=3, times="1y")
    assert {name: [chip[-1:] for chip in chips] for name, chips in whole.items()} == late
    column = chips_of(model, chips=3, times="1s,1d,1y", compensation="per_column")
    assert list(column) == ["none", "per_column"]
    assert column["none"] == whole["none"]
    alone = chips_of(model, chips=1, times="1y", compensation="none")
    assert alone == {"none": [whole["none"][0][-1:]]}


def test_a_chip_is_the_same_devices_with_and_without_compensation(model, monkeypatch):
    """Looks at the written devices themselves: those of a chip are one set, of other chips and seeds others."""
    written = []

    def programming(analog, *args, **kwargs):
        program_chip(analog, *args, **kwargs)
        (array, *_) = (array for _, array in tile_arrays(analog))
        written.append(torch.cat([value.flatten() for value in array.programmed.state().values()]))

    monkeypatch.setattr("experiments.runs.evaluation.program_chip", programming)
    for seed in (0, 1):
        chips_of(model, chips=2, times="1d", seed=seed)
    chips = [written[i : i + 2] for i in range(0, 8, 2)]
    for without, compensated in chips:
        assert torch.equal(without, compensated)
    for i, (one, _) in enumerate(chips):
        assert not any(torch.equal(one, other) for other, _ in chips[:i])


def test_evaluation_erases_its_chips_and_leaves_the_weights(tmp_path):
    config = config_of(chips=1, times="1d")
    model = make_model(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(config, model, DATA, Interruption(""))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    fresh = convert_to_analog(build("fcn_digits"), get("pcm").rpu_config())
    fresh.load_state_dict(model.state_dict())
    fresh.eval()
    outputs = []
    for network in (model, fresh):
        seed_noise(network, 0, "check")
        outputs.append(network(DATA.test.pixels))
    assert torch.equal(*outputs)
