"""Every study hands on the learning rate itself, never one relative to another."""

import pytest

from experiments.runs.options.defaults import resolve
from experiments.runs.rates.learning_rates import learning_rate
from experiments.runs.rates.tuned import TunedRate, TunedRates, say_other_length
from experiments.studies.compare_devices.config import CompareDevicesConfig
from experiments.studies.compare_devices.points import Point as ComparedPoint
from experiments.studies.compare_devices.points import wish_of as compared_wish
from experiments.studies.paper.config import PaperConfig
from experiments.studies.paper.points import points_of
from experiments.studies.paper.points import wish_of as paper_wish
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.points import Point as SharingPoint
from experiments.studies.sharing_cost.points import wish_of as sharing_wish

DIGITS, MNIST, COLOURS = (1, 8, 8), (1, 28, 28), (3, 32, 32)


def paper_rates(device, shape):
    config = PaperConfig(in_situ=(device,), modes=("in-situ",), vcps=(), hardware_vcps=()).resolved()
    return {point.network: resolve(paper_wish(point, config, shape), shape).lr for point in points_of(config)}


@pytest.mark.parametrize(
    ("device", "shape", "own", "shared"),
    [
        ("ecram", DIGITS, 1.0, 0.3),
        ("ecram", MNIST, 1.0, 0.3),
        ("ecram", COLOURS, 0.3, 0.09),  # a third of the rate for larger images
        ("tiki-taka-reram-sb", DIGITS, 3.0, 0.9),  # three times that of plain SGD
    ],
)
def test_the_paper_trains_at_the_rate_that_suits_device_images_and_sharing(device, shape, own, shared):
    assert paper_rates(device, shape) == pytest.approx({"fcn": own, "cnn": shared})


@pytest.mark.parametrize("device", ["ecram", "pcm", "tiki-taka-reram-sb"])
@pytest.mark.parametrize("shape", [DIGITS, COLOURS])
def test_all_studies_agree(device, shape):
    rates = paper_rates(device, shape)
    sharing, compared = SharingCostConfig().resolved(), CompareDevicesConfig().resolved()
    for network, scheme in (("fcn", "free"), ("cnn", "time_multiplexed")):
        assert (
            sharing_wish(SharingPoint(device, "in-situ", scheme, 0), sharing, shape, 10).lr == rates[network]
        )
        point = ComparedPoint(device, "in-situ", network, 0)
        assert compared_wish(point, compared, shape).lr == rates[network]


def test_short_trainings_take_larger_steps():
    assert learning_rate("in-situ", "ecram", MNIST, "time_multiplexed", is_short=True) == 1.0
    assert (
        learning_rate("in-situ", "ecram", MNIST, "replicated(tiles=16, sync_every=10)", is_short=True) == 0.1
    )
    assert learning_rate("write-verify", "pcm", COLOURS, "replicated") == pytest.approx(0.09)


@pytest.mark.parametrize(("shape", "rate"), [(DIGITS, 5e-3), (MNIST, 4e-3), (COLOURS, 1e-3)])
@pytest.mark.parametrize("mode", ["digital", "hwa"])
def test_adam_has_one_rate_for_all_schemes(mode, shape, rate):
    assert learning_rate(mode, "pcm", shape, "time_multiplexed") == rate


def rate(**changes):
    known = {
        "data": "digits", "model": "cnn_digits", "placement": "time_multiplexed", "mode": "in-situ",
        "device": "ecram", "lr": 0.21, "batch_size": 32, "validation_accuracy": 0.9, "validation_images": 144,
        "epochs": 20, "train_images": 1294, "trials": 4, "stopped": 2, "lowest": 0.03, "highest": 10.0,
        "is_at_end": False, "did_learn": True,
    }  # fmt: skip
    return TunedRate(**{**known, **changes})


def test_studies_take_tuned_rates(tmp_path, capsys):
    free = rate(model="fcn_digits", placement="free", lr=0.83, batch_size=16)
    rates = TunedRates(
        command="", commit="", method="", seed=100, rates=(rate(), free, rate(mode="hwa", device="pcm"))
    )
    file = tmp_path / "tuned.toml"
    file.write_text(rates.to_toml())
    assert TunedRates.read(file) == rates
    for scheme, network, of_scheme in (("time_multiplexed", "cnn", rate()), ("free", "fcn", free)):
        sharing = SharingCostConfig(tuned=file).resolved()
        compared = CompareDevicesConfig(tuned=file).resolved()
        wishes = (
            sharing_wish(SharingPoint("ecram", "in-situ", scheme, 0), sharing, DIGITS, 10),
            compared_wish(ComparedPoint("ecram", "in-situ", network, 0), compared, DIGITS),
        )
        assert {(wish.lr, wish.batch_size, wish.tuned) for wish in wishes} == {
            (of_scheme.lr, of_scheme.batch_size, None)
        }
    compared = CompareDevicesConfig(tuned=file).resolved()
    assert compared_wish(ComparedPoint("pcm", "hwa", "cnn", 0), compared, DIGITS).lr == 0.21
    say_other_length(file, 20, 1294)
    assert capsys.readouterr().out == ""
    say_other_length(file, 2, 1294)
    assert "was found for 20 epochs of 1,294 images, not 2 of 1,294" in capsys.readouterr().out


def test_a_study_is_named_by_what_is_in_its_file_of_rates(tmp_path):
    def folder(file, *rates):
        tuned = TunedRates(command="", commit="", method="", seed=100, rates=rates)
        (tmp_path / file).write_text(tuned.to_toml())
        return SharingCostConfig(tuned=tmp_path / file).resolved().out

    assert folder("a", rate()) == folder("b", rate())
    assert folder("a", rate()) != folder("b", rate(lr=0.3))
    assert SharingCostConfig(tune=2).resolved().out != SharingCostConfig().resolved().out
