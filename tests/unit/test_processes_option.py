"""How a training in several processes is spread, and what cannot be is refused before any is started."""

import pytest
from torch import nn

from experiments.cli import main
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.team.beginning import begin_steps
from experiments.runs.team.spreading import resolve_spread

DIGITS = (1, 8, 8)
IN_SITU = {"mode": "in-situ", "device": "ecram"}
CNN = {"model": "cnn_digits"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "digital"}, "`mode` must be left out with several processes, but is digital"),
        ({"backend": "aihwkit"}, "`backend` must be left out with several processes, but is aihwkit"),
    ],
)
def test_what_needs_one_process_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(TrainConfig(processes=2, **options), DIGITS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"mode": "write-verify"},
            "`mode` must be hwa or in-situ where tiles are spread, but is write-verify",
        ),
        ({"scores": True}, "`scores` must be left out where tiles are spread, but is True"),
        ({"soft_sharing": 2.0}, "`soft_sharing` must be left out where tiles are spread, but is 2.0"),
        ({"sleep_every": 3}, "`sleep_every` must be left out"),
        ({**IN_SITU, "record_every": 2}, "`record_every` must be left out"),
        ({"wires": "word_line=1,bit_line=1"}, "`wires` must be left out"),
        (
            {"mode": "in-situ", "device": "pcm"},
            "`device` must be no pair of one-way devices where tiles are spread",
        ),
    ],
)
def test_what_takes_all_tiles_is_refused_by_tiles_and_goes_by_images(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(TrainConfig(processes=2, spread="tiles", **options), DIGITS)
    assert resolve(TrainConfig(processes=2, **options), DIGITS).spread == "images"


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ({}, "tiles"),
        ({"spread": "images"}, "images"),
        (CNN, "images"),
        ({**CNN, "placement": "free"}, "tiles"),
        ({**CNN, "placement": "replicated(tiles=3)"}, "images"),
        ({**IN_SITU}, "tiles"),
        ({"processes": 1}, None),
    ],
)
def test_the_way_follows_the_placement(options, way):
    assert resolve(TrainConfig(**{"processes": 2, **options}), DIGITS).spread == way


def test_a_way_for_one_process_is_refused():
    with pytest.raises(ValueError, match="`spread` must be left out with one process, but is images"):
        resolve(TrainConfig(spread="images"), DIGITS)


def test_batches_with_fewer_images_than_processes_are_refused(monkeypatch):
    with pytest.raises(
        ValueError, match="`batch_size` must be 4 or more, an image for each process, but is 3"
    ):
        resolve(TrainConfig(processes=4, batch_size=3, **CNN), DIGITS)
    run = resolve(TrainConfig(processes=4, batch_size=32, **CNN), DIGITS)
    monkeypatch.setattr("crossbar.distributed.communication.processes", lambda: 4)
    monkeypatch.setattr("crossbar.distributed.communication.wait_for_all", lambda: None)
    with pytest.raises(ValueError, match=r"but with 32 of 99 images it has 3. Choose another --batch-size"):
        begin_steps(run, nn.Linear(1, 1), None, 99)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(3), nn.SyncBatchNorm(3), nn.InstanceNorm2d(3, track_running_stats=True)]
)
def test_layers_that_normalise_over_a_batch_are_refused(norm):
    wish, network = TrainConfig(processes=2), nn.Sequential(nn.Conv2d(1, 3, 3), norm)
    with pytest.raises(
        ValueError, match=f"must not normalise over the images .* but '1' is a {type(norm).__name__}"
    ):
        resolve_spread(wish, network, 2, 8)
    assert resolve_spread(wish, nn.Sequential(nn.GroupNorm(1, 3), nn.InstanceNorm2d(3)), 2, 8) == "images"


def test_number_and_way_are_no_part_of_the_name_and_unsaid_where_there_is_one():
    one, two, by_images = (
        resolve(TrainConfig(processes=number, spread=way), DIGITS)
        for number, way in ((None, None), (2, None), (2, "images"))
    )
    assert (one.processes, two.processes) == (1, 2)
    assert one.identity() == two.identity() == by_images.identity()
    assert not {"processes", "spread"} & one.to_json().keys()


def test_under_torchrun_there_are_as_many_as_it_has_started(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert resolve(TrainConfig(), DIGITS).processes == 3
    assert resolve(TrainConfig(**CNN), DIGITS).spread == "images"
    with pytest.raises(ValueError, match="`reference` must be left out under torchrun"):
        resolve(TrainConfig(reference=True), DIGITS)
    with pytest.raises(ValueError, match="`processes` must be 3, as many as torchrun has started, but is 2"):
        resolve(TrainConfig(processes=2), DIGITS)


def test_resume_is_refused_under_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["resume", "nothing"]) == 2
    assert "`resume` must not be started by torchrun" in capsys.readouterr().err


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="`processes` must be 1 or more, but is 0"):
        TrainConfig(processes=0)
