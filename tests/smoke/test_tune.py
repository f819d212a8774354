"""Searches for learning rates, tiny: what they write, who takes it, how they go on, and what they never see."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import experiments.runs.training as training
import experiments.studies.tune.study  # noqa: F401  before anything is patched, so that no module keeps the patch
from crossbar import tile_arrays
from devices.files import parse_toml
from experiments.cli import main
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.rates.tuned import TunedRates

TINY = [
    *("tune", "--devices", "pcm", "--mechanisms", "hwa", "--schemes", "time_multiplexed", "free"),
    *("--train-images", "40", "--epochs", "1", "--batch-sizes", "10", "15", "--trials", "4", "--jobs", "1"),
]
DIGITS = (1, 8, 8)


def tune(folder: Path, *more: str) -> Path:
    words = [*TINY, "--runs", str(folder / "runs"), "--out", str(folder / "study"), *more]
    assert main(words) == 0
    return folder / "study"


def numbers(out: Path):
    content = json.loads((out / "tune.json").read_text())
    return content["rows"], content["trials"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A search, and how many images were looked at each time; tests must leave it as it is."""
    folder, look, seen = tmp_path_factory.mktemp("tuned"), training.loss_and_accuracy, []

    def looking(model, images, *more, **others):
        seen.append(len(images))
        return look(model, images, *more, **others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "loss_and_accuracy", looking)
        out = tune(folder)
    assert set(seen) == {144}  # of the digits 144 are for validation, 359 for the test
    return folder, out


def test_what_a_search_writes(tuned):
    rows, trials = numbers(tuned[1])
    assert [(row["model"], row["placement"]) for row in rows] == [
        ("cnn_digits", "time_multiplexed"),
        ("fcn_digits", "free"),
    ]
    for row, tried in zip(rows, trials.values(), strict=True):
        assert len(tried) == 4
        assert tried[0]["lr"] == 5e-3  # the usual one of the mode, for every scheme
        assert {trial["batch_size"] for trial in tried} <= {10, 15}
        assert all(row["lowest"] <= trial["lr"] <= row["highest"] for trial in tried)
        complete = [trial for trial in tried if trial["is_complete"]]
        assert row["stopped"] == len(tried) - len(complete)
        assert row["validation_accuracy"] == max(trial["accuracy"] for trial in complete)
        assert row["lr"] in [t["lr"] for t in complete if t["accuracy"] == row["validation_accuracy"]]
    written = parse_toml((tuned[1] / "tuned.toml").read_bytes())
    assert written["rates"] == [{k: v for k, v in row.items() if v is not None} for row in rows]
    assert TunedRates.read(tuned[1] / "tuned.toml").to_toml() == (tuned[1] / "tuned.toml").read_text()
    assert not list(tuned[0].glob("runs/searches/*/trial-*"))  # only what was found is kept
    assert main(["report", str(tuned[1])]) == 0


def test_a_training_takes_what_was_found(tuned):
    rows, _ = numbers(tuned[1])
    wish = TrainConfig(mode="hwa", device="pcm", model="cnn_digits", tuned=tuned[1] / "tuned.toml")
    run = resolve(wish, DIGITS)
    assert (run.lr, run.batch_size) == (rows[0]["lr"], rows[0]["batch_size"])
    spelled = replace(wish, tuned=None, lr=rows[0]["lr"], batch_size=rows[0]["batch_size"])
    assert resolve(spelled, DIGITS) == run
    with pytest.raises(ValueError, match="`tuned` must hold a rate for digits, cnn_digits, replicated"):
        resolve(replace(wish, placement="replicated"), DIGITS)
    with pytest.raises(ValueError, match=r"`batch_size` must be \d+ with --tuned, or be left out, but is 64"):
        resolve(replace(wish, batch_size=64), DIGITS)


def test_studies_search_by_themselves_and_take_a_file(tuned, tmp_path, capsys):
    rates = {row["placement"]: row["lr"] for row in numbers(tuned[1])[0]}
    words = ["sharing-cost", *TINY[1:12], "--seeds", "0", "--chips", "1", "--test-images", "20"]
    words += ["--jobs", "1", "--runs", str(tmp_path / "runs")]
    given = [*words, "--tuned", str(tuned[1] / "tuned.toml"), "--out", str(tmp_path / "given")]
    assert main(given) == 0
    rows = json.loads((tmp_path / "given" / "sharing_cost.json").read_text())["rows"]
    assert {row["scheme"]: row["lr"] for row in rows} == rates
    assert "tuned.toml, chosen on validation images." in (tmp_path / "given" / "sharing_cost.md").read_text()
    assert main([*words, "--tune", "2", "--tuned", "x"]) == 2
    assert "`tune` must be left out with --tuned, but is 2" in capsys.readouterr().err
    assert main([*words, "--batch-size", "10", "--tune", "1", "--out", str(tmp_path / "own")]) == 0
    rows = json.loads((tmp_path / "own" / "sharing_cost.json").read_text())["rows"]
    assert {row["lr"] for row in rows} == {5e-3}  # that of the only trial
    assert (tmp_path / "own" / "tuned.toml").exists()
    assert "1 trials each (tuned.toml)" in (tmp_path / "own" / "sharing_cost.md").read_text()


def test_transfers_are_searched_where_there_are_any(tmp_path):
    words = [
        "tune",
        "--devices",
        "ecram",
        "ttv2-reram-sb",
        "--mechanisms",
        "in-situ",
        "--schemes",
        "time_multiplexed",
    ]
    words += [
        "--train-images",
        "20",
        "--epochs",
        "1",
        "--trials",
        "2",
        "--transfers",
        "4",
        "2",
        "--jobs",
        "1",
    ]
    assert main([*words, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "study")]) == 0
    rows, trials = numbers(tmp_path / "study")
    assert rows[0]["transfer_every"] is None
    assert list(trials.values())[1][0]["transfer_every"] == 4  # the first that was named
    wish = TrainConfig(mode="in-situ", device="ttv2-reram-sb", model="cnn_digits")
    run = resolve(replace(wish, tuned=tmp_path / "study" / "tuned.toml"), DIGITS)
    assert run.transfer_every == rows[1]["transfer_every"]
    cells = [array.in_situ.cells for _, array in tile_arrays(training.make_model(run))]
    assert {cell.compound.transfer_every for cell in cells} == {run.transfer_every}
    with pytest.raises(
        ValueError, match=r"`transfer_every` must be \d with --tuned, or be left out, but is 9"
    ):
        resolve(replace(wish, tuned=tmp_path / "study" / "tuned.toml", transfer_every=9), DIGITS)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"mode": "in-situ", "device": "ecram"}, "its rule transfers nothing"),
        (
            {"mode": "write-verify", "device": "ecram"},
            "no rule transfers; every device is written for itself",
        ),
        ({"mode": "hwa"}, "only learning by pulses has it"),
    ],
)
def test_an_interval_of_transfers_without_transfers_is_refused(wish, reason):
    with pytest.raises(ValueError, match=f"`transfer_every` must be left out with .*, but is 5: {reason}"):
        resolve(TrainConfig(transfer_every=5, **wish), DIGITS)


def test_a_search_that_is_stopped_ends_as_if_it_had_not_been(tuned, tmp_path, monkeypatch, capsys):
    take_step, steps = training._take_step, []

    def counting(*arguments):
        steps.append(None)
        if len(steps) == 6:  # in the middle of a training
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(*arguments)

    monkeypatch.setattr(training, "_take_step", counting)
    assert main([*TINY, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "study")]) == 130
    assert "Continue with: the same command" in capsys.readouterr().err
    assert numbers(tune(tmp_path)) == numbers(tuned[1])
    # Nor is anything tried again that was, nor with fewer trials first.
    monkeypatch.setattr(training, "_take_step", lambda *arguments: pytest.fail("trained again"))
    tune(tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--lr-range 3 0.1", "`lr_range` must be two positive numbers, the smaller first, but is 3 0.1"),
        ("--trials 0", "`trials` must be 1 or more, but is 0"),
        ("--batch-sizes 0 4", "`batch_sizes` must be 1 or more, but has 0"),
        ("--transfers 5", "`transfers` must be left out without the mechanism in-situ, but is 5"),
        ("--data-dir x", "`data_dir` must be left out with --data digits"),
        ("--devices capacitor", "`mechanisms` must fit the devices and schemes"),
        (
            "--lr-range 1e30 1e31",
            "`lr_range` must hold a rate at which pcm, hwa, time_multiplexed can",
        ),
    ],
)
def test_refusals(words, sentence, tmp_path, capsys):
    few = ["--trials", "1"] if "1e30" in words else []
    assert main([*TINY, *few, *words.split(), "--runs", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert f"xbar: {sentence}" in capsys.readouterr().err


def test_other_files_are_refused(tuned, tmp_path):
    text = (tuned[1] / "tuned.toml").read_text()
    for number, (damaged, reason) in enumerate(
        [
            ("x = ", "but .* is not"),
            ('name = "mine"', "its `format` is not"),
            (text.replace("lr = ", "rate = ", 1), "must not have the key 'rate'|must have the key 'lr'"),
            (text + text[text.index("[[rates]]") :], "two rates for the same training"),
            (text.replace("batch_size = ", "batch_size = -", 1), "must have a positive `lr`"),
        ]
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(damaged)
        with pytest.raises(
            ValueError, match=f"`tuned` must be a file that `xbar tune` has written.*({reason})"
        ):
            TunedRates.read(file)
    with pytest.raises(
        FileNotFoundError, match="`tuned` must be a file that `xbar tune` has written, but there"
    ):
        TunedRates.read(tmp_path / "none.toml")
