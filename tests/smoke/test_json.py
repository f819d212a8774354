"""`--json`: of every command the standard output is one JSON document, and nothing else stands there."""

import json
import re
import shutil

import pytest

import devices.fitting
from experiments.bench import bench
from experiments.cli import COMMANDS, main
from experiments.commands import verify
from experiments.commands.verify_checks import Check
from experiments.studies.compare_devices import study as compare_devices
from experiments.studies.demo import study as demo
from experiments.studies.does_it_matter import study as does_it_matter
from experiments.studies.does_it_matter.effects import Effect
from experiments.studies.in_situ import study as in_situ
from experiments.studies.paper import study as paper
from experiments.studies.patterns import study as patterns
from experiments.studies.results import numbers_file
from experiments.studies.share import study as share
from experiments.studies.what_if import study as what_if
from experiments.studies.what_if.gains import Gain
from experiments.studies.wires import study as wires
from experiments.studies.wires.points import LayerError, Point
from experiments.support.json_files import write_json

TINY = ["--train-images", "64", "--test-images", "30", "--epochs", "1", "--chips", "1", "--times", "1s"]
DRIFT = f"{devices.fitting.__path__[0]}/example_drift.csv"
STUDIES = (compare_devices, demo, in_situ, paper, patterns, share)

MINE = 'name = "m"\ntechnology = "t"\nsource = "s"\n[pulses]\nlaw = "SoftBounds"\n'

# What is typed after the name of the command, and a key of what comes out.
WORDS = {
    "demo": ("--no-browser --jobs 1 --out OUT --runs OUT", "rows"),
    "train": ("TINY --out FOLDER", "digital_accuracy"),
    "resume": ("RUN", "digital_accuracy"),
    "evaluate": ("RUN --times 1h", "digital_accuracy"),
    "report": ("RUN", "digital_accuracy"),
    "does-it-matter": ("RUN", "effects"),
    "sweep": ("train TINY --over seed 0 --jobs 1 --out OUT --runs OUT", "rows"),
    "tune": (
        "--devices pcm --mechanisms hwa --schemes free --train-images 20 --epochs 1 --trials 1 --jobs 1 "
        "--out OUT --runs OUT",
        "rows",
    ),
    "what-if": ("MINE --jobs 1 --out OUT --runs OUT", "rows"),
    "sharing-cost": ("--from RUN --out OUT", "scheme"),
    "paper": ("--scale smoke --jobs 1 --out OUT --runs OUT", "rows"),
    "compare-devices": ("--jobs 1 --out OUT --runs OUT", "rows"),
    "published": ("--look --scale smoke --out OUT --runs OUT", "rows"),
    "in-situ": ("--jobs 1 --out OUT --runs OUT", "rows"),
    "share": ("--jobs 1 --out OUT --runs OUT", "rows"),
    "patterns": ("--jobs 1 --out OUT --runs OUT", "rows"),
    "retention": ("EVALUATED --out OUT", "rows"),
    "scaling": ("--sides 28 --kernels 4 --batches 1 --machines 1,2 --emulated 0 --out OUT", "rows"),
    "wires": ("RUN --ohms 3 --tile-sizes 64", "points"),
    "wires-training": ("WIRED --out OUT", "rows"),
    "verify": ("--quick --out OUT", "numbers"),
    "devices": ("", "name"),
    "import-device": ("aihwkit ReRamESPreset --out OUT/theirs.toml", "device"),
    "fit-device": (f"--drift {DRIFT} --out OUT/mine.toml", "device"),
    "runs": ("FOLDER", "name"),
    "bench": ("--only wires --out OUT", "wires"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one run that was trained, evaluated, and given wires."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *TINY, "--out", str(out)]) == 0
    (run,) = out.iterdir()
    assert main(["evaluate", str(run), "--times", "1h"]) == 0
    points = [
        {"layout": "tiles", "tile_size": 64, "ohm": 1.0, "exact": [0.5], "aihwkit": [0.5], "errors": {}}
    ]
    wires = {"chips": 1, "test_images": 30, "device": "pcm", "run": run.name, "points": points}
    (run / "wires.json").write_text(json.dumps(wires))
    return out


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch):
    """Studies that train many networks write an empty file of numbers; what measures for minutes measures nothing."""

    def run_study(study):
        print("| a | table |")
        study.config.out.mkdir(parents=True, exist_ok=True)
        write_json(numbers_file(study.name, study.config.out), {"rows": []})

    for study in STUDIES:
        monkeypatch.setattr(study, "run_study", run_study)
    check = Check("one", "arithmetic", 1.0, 0.1, "given", lambda: 1.0)
    monkeypatch.setattr(verify, "quick_checks", lambda: [check])
    monkeypatch.setattr(bench, "measure_wires", lambda *args: [])
    effect = Effect(
        what="read noise",
        part="devices",
        with_it=0.5,
        without=0.6,
        change=0.1,
        error=0.01,
        reach=0.02,
        verdict="matters",
    )
    monkeypatch.setattr(does_it_matter, "effects_of", lambda config: ([effect], "2 chips"))
    gain = Gain(
        mode="in-situ", change="as it is", device_file="m", accuracy=0.5, gain=0.0, error=0.0, reach=0.0,
        verdict=None, rate=1.0, rate_text="1", tried={}, did_learn=[True],
    )  # fmt: skip
    monkeypatch.setattr(what_if.Uses, "gains", lambda self, mode: [gain])
    monkeypatch.setattr(wires, "LARGEST_UNROLLED", 0)
    monkeypatch.setattr(wires, "voltage_maps", lambda *args, **options: [])
    monkeypatch.setattr(wires, "_measure", _measured)


def _measured(model, layout, ohm, *rest):
    errors = {"dense": LayerError(0.1, 0.2, 1.0)} if ohm else {}
    return Point(layout.name, layout.tile_size, ohm, exact=[0.5], aihwkit=[0.5], errors=errors)


def answer_of(words, capfd, code=0):
    capfd.readouterr()
    assert main([*words, "--json"]) == code
    said = capfd.readouterr()
    return json.loads(said.out), said.err


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_answers_in_json(command, folder, tmp_path, capfd):
    (run,) = folder.iterdir()
    typed, key = WORDS[command]
    mine = tmp_path / "my-device.toml"
    mine.write_text(MINE)
    names = {
        "TINY": " ".join(TINY),
        "FOLDER": folder,
        "OUT": tmp_path,
        "RUN": run,
        "EVALUATED": run,
        "WIRED": run,
        "MINE": mine,
    }
    words = re.sub(r"\b[A-Z]{3,}\b", lambda name: str(names[name[0]]), typed).split()
    answer, said = answer_of([command, *words], capfd)
    assert key in (answer[0] if isinstance(answer, list) else answer)
    assert said  # the table that people read


def test_a_doubtful_result_is_answered_too(tmp_path, capfd, monkeypatch):
    wrong = Check("one", "arithmetic", 1.0, 0.1, "given", lambda: 2.0)
    monkeypatch.setattr(verify, "quick_checks", lambda: [wrong])
    answer, said = answer_of(["verify", "--quick", "--out", str(tmp_path)], capfd, code=3)
    assert [row["holds"] for row in answer["numbers"]] == [False]
    assert "differ, first: one" in said


def test_an_error_prints_nothing_to_be_taken_for_an_answer(tmp_path, capfd):
    assert main(["report", str(tmp_path / "none"), "--json"]) == 2
    said = capfd.readouterr()
    assert not said.out
    assert "there is no folder" in said.err


def test_runs_side_by_side_and_a_device_by_name(folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("XBAR_RUNS", str(tmp_path))
    (run,) = folder.iterdir()
    other = tmp_path / "other"
    shutil.copytree(run, other)
    answer, _ = answer_of(["report", str(run), str(other)], capfd)
    assert [row["run"] for row in answer["rows"]] == [str(run), str(other)]
    answer, _ = answer_of(["devices", "ideal", "--out", str(tmp_path)], capfd)
    assert answer["figure"] == str(tmp_path / "ideal.png")
