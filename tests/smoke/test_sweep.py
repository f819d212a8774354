"""`xbar sweep`: short trainings and what is made of them, nothing done twice, runs that fail, other commands."""

import csv
import json
import shutil
from pathlib import Path

import pytest

import experiments.runs.training as training
import experiments.studies.sweep.runs as sweep_runs
from experiments.cli import main
from experiments.runs.result import Result
from experiments.support.statistics import mean_and_std

TINY = ["--train-images", "200", "--test-images", "100", "--epochs", "2", "--chips", "2", "--times", "1s,1d"]
DIGITAL = ["train", "--mode", "digital", "--device", "none", "--train-images", "40", "--epochs", "1"]


def sweep(folder, *words):
    assert main(["sweep", *words, "--runs", str(folder), "--out", str(folder / "swept"), "--jobs", "1"]) == 0
    return json.loads((folder / "swept" / "sweep.json").read_text())


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep over rates and seeds; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("runs")
    sweep(folder, "train", *TINY, "--over", "lr", "0.01", "0.03", "--over", "seed", "0", "1")
    return folder


def test_what_a_sweep_writes(swept):
    content = json.loads((swept / "swept" / "sweep.json").read_text())
    rows = content["rows"]
    assert [row["values"] for row in rows] == [
        {"lr": lr, "seed": seed} for lr in ("0.01", "0.03") for seed in ("0", "1")
    ]
    for row in rows:
        result = Result.from_json(json.loads(Path(row["answer"]).read_text()))
        assert row["as trained"] == result.digital_accuracy
        assert row["after the last age"] == row["after 1 day"] == result.mean_and_std("global")[-1][0]
        assert result.seed == int(row["values"]["seed"])
    assert content["command"].startswith("xbar sweep train --train-images 200 ")
    assert content["command"].endswith("--over lr 0.01 0.03 --over seed 0 1")
    with (swept / "swept" / "sweep.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["as trained"]) for line in lines] == [row["as trained"] for row in rows]
    assert {file.name for file in (swept / "swept").iterdir()} == {
        "manifest.json", "sweep.csv", "sweep.html", "sweep.json", "sweep.md", "sweep_lr.png",
    }  # fmt: skip


def test_means_and_deviations_are_those_of_the_seeds(swept):
    content = json.loads((swept / "swept" / "sweep.json").read_text())
    means = next(part["table"] for part in content["sections"] if part["title"] == "Means over the seeds")
    assert means["header"][:4] == ["lr", "seeds", "as trained", "after 1 second"]
    for line in means["rows"]:
        values = [row["as trained"] for row in content["rows"] if row["values"]["lr"] == line[0]]
        mean, std = mean_and_std(values)
        assert line[2] == f"{100 * mean:.1f} ± {100 * std:.1f} %"


def test_its_runs_are_ordinary_runs_and_its_folder_that_of_a_study(swept, capsys):
    assert main(["runs", str(swept)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("fcn_digits-hwa-pcm-") == 4
    assert "study: xbar train, over lr, seed" in printed
    assert main(["report", str(swept / "swept")]) == 0
    (swept / "swept" / "report.html").unlink()


@pytest.mark.parametrize("typed", [["--over", "lr", "0.01", "0.03"], ["--over", "lr", "0.03", "1e-2"]])
def test_a_finished_run_is_not_repeated_also_by_another_sweep(swept, typed, tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    shutil.copytree(swept, runs, ignore=shutil.ignore_patterns("swept"))
    monkeypatch.setattr(training, "train", None)
    monkeypatch.setattr(sweep_runs, "load", _only_configurations(sweep_runs.load))
    sweep(runs, "train", *TINY, *typed, "--over", "seed", "1", "0")
    assert "4 runs, 4 of them finished" in capsys.readouterr().out


def _only_configurations(load):
    def loading(place):
        assert "run_train" not in place
        return load(place)

    return loading


def test_the_plan_is_told_and_nothing_done(tmp_path, capsys):
    words = [
        "sweep",
        *DIGITAL,
        "--over",
        "seed",
        "0",
        "1",
        "--plan",
        "--runs",
        str(tmp_path / "runs"),
        "--json",
    ]
    assert main(words) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(one["values"], one["is_finished"]) for one in plan] == [
        ({"seed": "0"}, False),
        ({"seed": "1"}, False),
    ]
    assert not (tmp_path / "runs").exists()


def test_a_run_that_fails_does_not_end_the_others(tmp_path, capsys):
    network = tmp_path / "mine.py"
    network.write_text(
        "from torch import nn\n"
        "class Breaks(nn.Module):\n"
        "    def __init__(self, seed):\n"
        "        super().__init__()\n"
        "        self.seed, self.layer = seed, nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        if self.seed == 1 and self.training and len(x) > 9:\n"
        "            raise RuntimeError('a network of ones own that breaks off')\n"
        "        return self.layer(x.flatten(1))\n"
        "def build(seed):\n"
        "    return Breaks(seed)\n"
    )
    words = [*DIGITAL, "--batch-size", "10", "--model", f"{network}:build", "--over", "seed", "0", "1", "2"]
    content = sweep(tmp_path / "runs", *words)
    assert [row["values"]["seed"] for row in content["rows"]] == ["0", "2"]
    assert list(content["failed"]) == ["seed 1"]
    assert "a network of ones own that breaks off" in content["failed"]["seed 1"]
    assert "seed 1: RuntimeError: a network of ones own that breaks off" in capsys.readouterr().out


def test_evaluations_of_a_run(swept, tmp_path, capsys):
    runs = tmp_path / "runs"
    shutil.copytree(swept, runs, ignore=shutil.ignore_patterns("swept"))
    run = str(next(runs.glob("fcn_digits-*")))
    words = [
        "sweep",
        "evaluate",
        run,
        "--chips",
        "1",
        "--times",
        "1h",
        "--over",
        "device",
        "pcm",
        "reram-cmo",
    ]
    words += ["--runs", str(runs), "--json"]
    assert main(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["values"] for row in first["rows"]] == [{"device": "pcm"}, {"device": "reram-cmo"}]
    for row in first["rows"]:
        assert row["answer"].startswith(f"{run}/evaluation-{row['values']['device']}-")
        assert "after 1 hour" in row
    assert main(words) == 0
    again = capsys.readouterr()
    assert "2 runs, 2 of them finished" in again.err
    assert json.loads(again.out)["rows"] == first["rows"]


def test_a_study_has_its_own_folder_for_each_combination(tmp_path, capsys):
    small = ["scaling", "--kernels", "4", "--batches", "1", "--machines", "1,2", "--emulated", "0"]
    words = ["sweep", *small, "--over", "sides", "28", "56", "--runs", str(tmp_path), "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert [row["values"] for row in content["rows"]] == [{"sides": "28"}, {"sides": "56"}]
    assert all(row["summary"] for row in content["rows"])
    with next(tmp_path.glob("sweep-*/sweep.csv")).open() as file:
        lines = list(csv.DictReader(file))
    assert {line["sides"] for line in lines} == {"28", "56"}
    assert len(list(tmp_path.glob("sweep-*/runs/*/scaling.json"))) == 2
    assert main(words) == 0
    assert "2 runs, 2 of them finished" in capsys.readouterr().err
