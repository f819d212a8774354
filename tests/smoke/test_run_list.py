"""The folder of runs: where it is, and what `xbar runs` says of it."""

import json
import subprocess
from pathlib import Path

import pytest

import crossbar
import devices
import models
from experiments.cli import main

TINY = ["--train-images", "64", "--test-images", "30", "--epochs", "1", "--chips", "1", "--times", "1s"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder of runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XBAR_RUNS", str(folder))
        assert main(["train", *TINY]) == 0
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        (run,) = folder.iterdir()
        assert main(["evaluate", run.name, "--times", "1h"]) == 0  # found by its name alone
    return folder


def listed(folder, capsys):
    capsys.readouterr()
    assert main(["runs", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_finished_run_is_listed_with_its_accuracy(runs, capsys):
    (entry,) = listed(runs, capsys)
    result = json.loads((runs / entry["name"] / "result.json").read_text())
    mean = result["summary"]["global"][0]["mean"]
    assert entry["result"].startswith(f"{100 * mean:.1f} %")
    assert entry["bytes"] == sum(file.stat().st_size for file in (runs / entry["name"]).rglob("*"))
    assert main(["runs", str(runs)]) == 0
    assert entry["name"] in capsys.readouterr().out


def test_what_is_unfinished_damaged_or_something_else(runs, tmp_path, capsys):
    (run,) = runs.iterdir()
    for name in ("unfinished", "damaged", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for name in ("config.json", "log.jsonl"):
        (tmp_path / "unfinished" / name).write_bytes((run / name).read_bytes())
    (tmp_path / "damaged" / "result.json").write_text("{")
    entries = {entry["name"]: entry["result"] for entry in listed(tmp_path, capsys)}
    assert entries.keys() == {"unfinished", "damaged"}
    assert entries["unfinished"] == "not finished: 1 of 1 epochs"
    assert entries["damaged"].startswith("damaged: ")


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_completion(capsys, tmp_path):
    assert main(["--completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    subprocess.run(["bash", "-n", script], check=True)
    assert "--soft-sharing" in script.read_text()
    assert main(["--completion", "nosuchshell"]) == 2
    assert "must be bash" in capsys.readouterr().err


@pytest.mark.parametrize("package", [crossbar, devices, models], ids=lambda package: package.__name__)
def test_a_package_shows_its_public_names_and_has_types(package):
    assert dir(package) == sorted(package.__all__)
    assert (Path(package.__file__).parent / "py.typed").exists()
