"""`xbar paper` from end to end: runs, scores, answers, figures, page; nothing is computed twice."""

import csv
import itertools
import json
from pathlib import Path

import pytest

from crossbar import age_chip, load_model, load_profile, price, program_chip, seed_noise
from devices import derive_seed, get
from experiments.cli import main
from experiments.runs.emergent_sharing import expected_at_start, sharing_of
from experiments.runs.ledger_file import RunEvents
from experiments.runs.options.config import TrainConfig
from experiments.runs.rates.learning_rates import learning_rate
from experiments.runs.rates.tuned import TunedRate, TunedRates
from experiments.runs.run_data import images_of
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from experiments.runs.training import loss_and_accuracy
from experiments.studies.paper.config import PaperConfig
from experiments.studies.paper.points import points_of, settings_of, wish_of
from experiments.studies.paper.scores import scores_of_chips, train_and_score
from helpers.studies import lines_of_tables, page_of_version_1

TINY = [
    *("paper", "--train-images", "96", "--hardware-images", "64", "--test-images", "20"),
    *(
        "--epochs",
        "3",
        "--hardware-epochs",
        "2",
        "--batch-size",
        "32",
        "--vcps",
        "0.5",
        "--hardware-vcps",
        "0.5",
        "--jobs",
        "1",
        "--chips",
        "2",
    ),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    runs = tmp_path_factory.mktemp("paper")
    assert main([*TINY, "--runs", str(runs), "--out", str(runs / "study")]) == 0
    return runs


def test_all_that_was_asked_for_is_there(study):
    content = json.loads((study / "study" / "paper.json").read_text())
    points = [row["point"] for row in content["rows"]]
    # Places of learning x (strengths x networks + absent inputs), and floating point as briefly as on hardware.
    assert len(points) == 3 * (2 * 2 + 1) + 2 * 2
    assert content["failed"] == {}
    assert [len(sentences) for sentences in content["answers"].values()] == [4, 4, 4, 4]
    for row in content["rows"]:
        point = row["point"]
        is_long = point["setting"]["mode"] == "digital" and not point["setting"]["is_control"]
        assert len(row["history"]) == (3 if is_long else 2)
        assert {"training", "validation"} == set(row["fit"])
        assert {"validation_translation", "validation_quadrant-swap"} <= set(row["history"][-1])
        if point["network"] == "fcn" and not point["vcp"]:
            # 8 x 8 images, 3 x 3 kernels: 36 locations. 144 entries each leave 1 % to chance.
            assert row["start"]["local1"]["euclidean 1"] == pytest.approx(expected_at_start(36), rel=0.03)
        looks = {"digital": 0, "hwa": 2, "in-situ": 1}[point["setting"]["mode"]]  # ecram does not age
        assert [len(chip) for chip in row["chips"]] == [looks] * (2 if looks else 0)
        assert (row["energy_per_epoch"] is not None) == (point["setting"]["mode"] == "in-situ")


def test_images_trained_on_are_told_from_others(study):
    rows = json.loads((study / "study" / "paper.json").read_text())["rows"]
    in_software = [row for row in rows if row["point"]["setting"]["mode"] == "digital"]
    for row in in_software:
        assert row["fit"]["validation"] == row["history"][-1]["validation_accuracy"]
        if row["start"] and not row["point"]["vcp"]:
            assert row["start"] == in_software[0]["start"]  # one seed, one initial network
            assert row["start"] != row["trained"]
    assert any(row["fit"]["training"] != row["fit"]["validation"] for row in in_software)


def test_chips_are_read_as_programmed_and_a_year_later(study):
    rows = json.loads((study / "study" / "paper.json").read_text())["rows"]
    row = next(row for row in rows if row["point"]["setting"]["mode"] == "hwa")
    folder = RunFolder(Path(row["run"]))
    config = folder.read_config()
    validation = images_of(config).validation
    model = load_model(folder.model_file, make_model(config)).eval()
    for chip, looks in enumerate(row["chips"]):
        assert [look["time"] for look in looks] == [1.0, 365 * 86400.0]
        seed = derive_seed(config.seed, "chip", chip)
        program_chip(model, get("pcm").noise_model(), seed=seed, compensation="global")
        for look in looks:
            age_chip(model, look["time"], seed=seed)
            assert sharing_of(model) == look["sharing"]
            seed_noise(model, config.seed, "paper", chip, repr(look["time"]), "plain")
            assert loss_and_accuracy(model, validation)[1] == look["scores"]["plain"]


def test_what_learned_in_situ_is_one_chip_in_all_readings(tmp_path):
    wish = TrainConfig(
        mode="in-situ", device="pcm", model="fcn_digits", train_images=32, test_images=10, epochs=1, chips=2,
        scores=True, out=tmp_path, threads=1,
    )  # fmt: skip
    train_and_score(wish)
    (folder,) = [RunFolder(path) for path in tmp_path.iterdir()]
    first, second = scores_of_chips(folder)["chips"]
    assert [look["time"] for look in first] == [None, 1.0, 365 * 86400.0]
    assert first[0]["sharing"] == second[0]["sharing"]
    model = load_model(folder.model_file, make_model(folder.read_config())).eval()
    for chip, looks in enumerate((first, second)):
        program_chip(model, get("pcm").noise_model(), seed=derive_seed(0, "chip", 0), compensation="global")
        age_chip(model, 1.0, seed=derive_seed(0, "chip", chip))
        assert sharing_of(model) == looks[1]["sharing"]


def test_epochs_cost_what_the_ledger_says(study):
    for row in json.loads((study / "study" / "paper.json").read_text())["rows"]:
        if row["energy_per_epoch"] is not None:
            events = RunEvents.read(Path(row["run"]) / "ledger.json")
            bill = price(events.training, load_profile("rpu-ecram"))
            assert 2 * row["energy_per_epoch"] == pytest.approx(sum(bill.energy_by_component().values()))
            assert 2 * row["work_per_epoch"] == pytest.approx(bill.with_digital - bill.energy("static"))


def test_absent_inputs_cost_less(study):
    rows = json.loads((study / "study" / "paper.json").read_text())["rows"]
    for mode in ("hwa", "in-situ"):
        energies = {
            row["point"]["vcp"]: row["energy_per_image"]
            for row in rows
            if row["point"]["setting"]["mode"] == mode
            and row["point"]["network"] == "fcn"
            and row["point"]["strength"] == 0.2
        }
        assert energies[0.5] < energies[0.0]


def test_it_can_be_read(study):
    out = study / "study"
    for name in ("overfitting", "translation", "price", "emergence", "validations"):
        assert (out / f"{name}.png").stat().st_size > 10_000
    page = (out / "paper.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/png;base64,") == 5
    assert "accuracies ± standard deviation. Digital control: floating point with" in page
    text = (out / "paper.md").read_text()
    assert "1. Is weight sharing necessary to prevent overfitting?" in text
    assert "published" in text.lower()
    rows = list(csv.DictReader((out / "paper.csv").read_text().splitlines()))
    assert {"validation_accuracy", "local1 euclidean 1", "energy_per_epoch_uJ"} <= {
        row["what"] for row in rows
    }


@pytest.mark.parametrize("width", [360, 1280])  # a telephone, a laptop
def test_its_page_fits_the_screen(width, study, in_chromium):
    needed, shown, pictures = in_chromium((study / "study" / "paper.html").read_text(), width)
    assert needed <= shown == width
    assert pictures == 5


def test_what_earlier_versions_left_is_still_shown(study, tmp_path):
    page = page_of_version_1(study / "study", "paper", tmp_path)

    def unmarked(text):  # and without the prices, which only networks that learned have
        return [[cell.replace(", did not learn", "") for cell in line[:4]] for line in lines_of_tables(text)]

    assert len(unmarked(page)) > 19
    assert unmarked(page) == unmarked((study / "study" / "paper.html").read_text())
    assert "did not say which networks had learned" in page


def test_nothing_is_computed_twice(study, capsys):
    before = {file: file.stat().st_mtime_ns for file in study.glob("*/*.safetensors")}
    assert len(before) == 19
    (damaged,) = list(study.glob("fcn_digits-digital*/paper.json"))[:1]
    damaged.unlink()  # as if it had been stopped between training and scoring
    assert main([*TINY, "--runs", str(study), "--out", str(study / "study")]) == 0
    assert "19 runs, 18 of them finished" in capsys.readouterr().out
    assert damaged.exists()
    assert {file: file.stat().st_mtime_ns for file in study.glob("*/*.safetensors")} == before


def test_scales_say_what_is_asked_for():
    smoke, laptop, full = (PaperConfig(scale=scale).resolved() for scale in ("smoke", "laptop", "full"))
    assert (smoke.data, laptop.data, full.data) == ("digits", "mnist", "mnist")
    assert (full.epochs, full.batch_size, full.lr) == (250, 256, 1e-3)  # Ott et al. (2020)
    assert full.strengths == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
    assert len(settings_of(laptop)) == 5  # digital, digital control, hardware-aware, two in situ
    assert len(points_of(laptop)) == (4 * 2 + 3) + 2 * 2 + 3 * (2 * 2 + 1)
    assert len(settings_of(full)) == 4  # all equally long
    without = PaperConfig(vcps=(), hardware_vcps=()).resolved()
    assert len(points_of(without)) == 3 * 2 * 2
    assert len(points_of(smoke)) == 3 * (2 * 2 + 2)
    assert PaperConfig(scale="laptop", epochs=3).resolved().epochs == 3


def test_hardware_and_its_control_get_fewer_images():
    laptop = PaperConfig(scale="laptop").resolved()
    asked = {
        (str(point.setting), wish.train_images, wish.epochs)
        for point in points_of(laptop)
        for wish in [wish_of(point, laptop, (1, 28, 28))]
    }
    places = ("digital control", "hardware-aware, pcm", "in situ, ecram", "in situ, reram-sb")
    assert asked == {("digital", None, 6), *((place, 20_000, 4) for place in places)}
    rates = {
        wish_of(point, laptop, (1, 28, 28)).lr
        for point in points_of(laptop)
        if point.setting.mode == "digital" or point.setting.mode == "hwa"
    }
    assert rates == {2e-3}
    few = PaperConfig(train_images=500).resolved()  # where hardware's number is left open, it is the same
    assert {wish_of(point, few, (1, 8, 8)).train_images for point in points_of(few)} == {500}


def test_tiles_are_those_that_are_priced():
    wishes = {}
    config = PaperConfig().resolved()
    for point in points_of(config):
        wishes[point.setting.device] = wish_of(point, config, (1, 8, 8)).tile_size
    assert wishes == {"none": None, "pcm": 256, "ecram": 256}


def test_seeds_take_the_folds_in_turn_and_a_shared_kernel_its_own_rate():
    full = PaperConfig(scale="full", seeds=(0, 1, 4, 5)).resolved()
    folds = {point.seed: wish_of(point, full, (1, 28, 28)).fold for point in points_of(full)}
    assert folds == {0: "1/5", 1: "2/5", 4: "5/5", 5: "1/5"}
    smoke = PaperConfig(in_situ=("reram-sb",), modes=("in-situ",)).resolved()
    for point, shape in itertools.product(points_of(smoke), ((1, 8, 8), (1, 28, 28))):
        scheme = "free" if point.network == "fcn" else "time_multiplexed"
        assert wish_of(point, smoke, shape).lr == learning_rate("in-situ", "reram-sb", shape, scheme)


def test_a_placement_is_a_network_of_its_own():
    asked = PaperConfig(networks=("cnn", "replicated(tiles=4)"), modes=("in-situ",)).resolved()
    found = {
        point.network: (wish.model, wish.placement, wish.lr)
        for point in points_of(asked)
        for wish in [wish_of(point, asked, (1, 8, 8))]
    }
    rate = learning_rate("in-situ", "ecram", (1, 8, 8), "replicated(tiles=4)")
    assert found == {
        "cnn": ("cnn_digits", None, rate),
        "replicated(tiles=4)": ("cnn_digits", "replicated(tiles=4)", rate),
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strengths", "2"], "`strengths` must lie in [0, 1], but one is 2.0"),
        (["--seeds", "1", "1"], "`seeds` must name each entry once, but names 1 twice"),
        (["--epochs", "0"], "`epochs` must be 1 or more, but is 0."),
        (["--augment", "none"], "`augment` must be a transformation, but is 'none'"),
        (["--in-situ", "nothing"], "nothing"),
        (["--vcps", "1"], "`vcps` must lie in"),
        (["--hardware-vcps", "0"], "`hardware_vcps` must lie in"),
        (["--networks", "nothing"], "network nothing: `placement` must be one of blocks, free"),
    ],
)
def test_wrong_wishes_get_a_sentence(words, sentence, tmp_path, capsys):
    assert main(["paper", *words, "--runs", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_hardware_takes_the_rates_of_a_search(tmp_path):
    file = tmp_path / "tuned.toml"
    rate = TunedRate(
        data="digits", model="fcn_digits", placement="free", mode="in-situ", device="ecram", lr=0.123, batch_size=32,
        validation_accuracy=0.9, validation_images=144, epochs=12, train_images=1294, trials=4, stopped=2,
        lowest=0.03, highest=10.0, is_at_end=False, did_learn=True,
    )  # fmt: skip
    file.write_text(
        TunedRates(command="xbar tune", commit="-", method="-", seed=100, rates=(rate,)).to_toml(),
        encoding="utf-8",
    )
    config = PaperConfig(tuned=file, modes=("digital", "in-situ"), networks=("fcn",)).resolved()
    wishes = {str(p.setting): wish_of(p, config, (1, 8, 8)) for p in points_of(config)}
    assert (wishes["in situ, ecram"].lr, wishes["in situ, ecram"].batch_size) == (0.123, 32)
    assert (wishes["digital"].lr, wishes["digital"].batch_size) == (5e-3, 64)
    shared = PaperConfig(tuned=file, modes=("in-situ",), networks=("cnn",)).resolved()
    with pytest.raises(ValueError, match="tuned"):
        wish_of(points_of(shared)[0], shared, (1, 8, 8))
