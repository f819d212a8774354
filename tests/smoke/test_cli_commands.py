"""The command line from end to end, tiny: what it prints, leaves on the disk, and answers to errors."""

import json
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from devices import catalogue, get
from experiments.cli import main
from experiments.runs.run_folder import RunFolder
from helpers.words import without

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = [
    *("train", "--train-images", "100", "--test-images", "40", "--batch-size", "32", "--epochs", "2"),
    *("--chips", "2", "--times", "1s,1d", "--threads", "1"),
]


def train(out, *more):
    """Run a tiny training; return its folder."""
    words = without(TINY, "--chips", "--times") if "none" in more else TINY
    assert main([*words, "--out", str(out), *more]) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run; tests must leave it as it is."""
    return train(tmp_path_factory.mktemp("finished"))


def test_train_leaves_a_whole_run_folder_and_prints_a_table(tmp_path, capsys):
    folder = train(tmp_path / "runs")
    files = {path.name for path in folder.iterdir()}
    assert files == {
        "config.json", "environment.json", "log.jsonl", "model.safetensors", "result.json", "lock",
        "ledger.json", "accuracy_over_time.png", "learning_curve.png", "manifest.json",
        "curve.jsonl",
    }  # fmt: skip
    assert folder.name.startswith("fcn_digits-hwa-pcm-")
    result = json.loads((folder / "result.json").read_text())
    assert result["times"] == [1, 86400]
    assert {name: np.shape(values) for name, values in result["accuracy"].items()} == {
        "none": (2, 2),
        "global": (2, 2),
    }
    assert json.loads((folder / "config.json").read_text())["placement"] == "free"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"] == "2.10.0"
    assert [json.loads(line)["epoch"] for line in (folder / "log.jsonl").read_text().splitlines()] == [1, 2]
    for figure in ("accuracy_over_time.png", "learning_curve.png"):
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert re.search(r"^digital, the same weights +\d+\.\d %$", printed, re.MULTILINE)
    assert re.search(r"^  1 day( +\d+\.\d ± \d+\.\d %){2}$", printed, re.MULTILINE)
    assert str(folder / "accuracy_over_time.png") in printed


def test_a_finished_run_is_shown_and_repeated_only_by_force(tmp_path, capsys):
    folder = train(tmp_path / "runs", "--mode", "digital", "--device", "none")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    first = capsys.readouterr().out
    assert train(tmp_path / "runs", "--mode", "digital", "--device", "none") == folder
    second = capsys.readouterr().out
    assert "--force would repeat it" in second
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    table = first[first.index("fcn_digits (free)") :]
    assert table == second[second.index("fcn_digits (free)") :]
    assert main(["resume", str(folder)]) == 0
    assert "is finished" in capsys.readouterr().out
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    weights = load_file(folder / "model.safetensors")
    train(tmp_path / "runs", "--mode", "digital", "--device", "none", "--force")
    assert (folder / "model.safetensors").stat().st_mtime_ns > before
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_evaluate_writes_beside_the_run_and_trains_nothing(tmp_path, capsys):
    folder = train(tmp_path / "runs")
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    assert main(["evaluate", str(folder), "--device", "reram-cmo", "--chips", "1", "--threads", "1"]) == 0
    assert "1 reram-cmo chip after" in capsys.readouterr().out
    assert (
        main(["evaluate", str(folder), "--times", "1h", "--compensation", "per_tile", "--threads", "1"]) == 0
    )
    new = sorted(path.name for path in folder.iterdir() if path.name not in {*kept, "manifest.json"})
    assert [re.sub(r"[0-9a-f]{8}", "*", name) for name in new] == [
        "evaluation-pcm-*.json", "evaluation-pcm-*.png",
        "evaluation-reram-cmo-*.json", "evaluation-reram-cmo-*.png",
        "ledger-pcm-*.json", "ledger-reram-cmo-*.json",
    ]  # fmt: skip
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in kept} == kept
    other = json.loads((folder / new[0]).read_text())
    assert other["times"] == [3600]
    assert {name: len(chips) for name, chips in other["accuracy"].items()} == {"none": 2, "per_tile": 2}


def test_a_report_advises_only_what_the_mode_accepts(finished, capsys):
    assert main(["report", str(finished)]) == 0
    assert "--record-every" not in capsys.readouterr().out
    (finished / "report.html").unlink()


def test_evaluating_as_in_the_run_gives_the_runs_numbers(finished, tmp_path):
    assert main(["evaluate", str(finished), "--threads", "1"]) == 0
    (file,) = finished.glob("evaluation-pcm-*.json")
    assert json.loads(file.read_text()) == json.loads((finished / "result.json").read_text())
    for path in (*finished.glob("evaluation-*"), *finished.glob("ledger-*")):
        path.unlink()


def test_the_digital_reference_is_reported_on_request(tmp_path, capsys):
    arguments = [*TINY, "--out", str(tmp_path), "--chips", "1", "--times", "1s"]
    assert main([*arguments, "--reference"]) == 0
    first = capsys.readouterr().out
    assert re.search(r"^digital, trained digitally +\d+\.\d %$", first, re.MULTILINE)
    reference, run = sorted(tmp_path.iterdir())
    assert [path.name.rpartition("-")[0] for path in (reference, run)] == [
        "fcn_digits-digital-none", "fcn_digits-hwa-pcm",
    ]  # fmt: skip
    alone = json.loads((reference / "result.json").read_text())["digital_accuracy"]
    assert re.search(rf"^digital, trained digitally +{100 * alone:.1f} %$", first, re.MULTILINE)
    assert main(["resume", str(run)]) == 0
    table = first[first.index("fcn_digits (free)") :]
    assert table in capsys.readouterr().out


def test_devices_are_listed(capsys):
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^pcm +\S", printed, re.MULTILINE)
    assert "Default times: 1 second, 1 day.\n" in printed  # reram-wan2022 was measured then only
    written, _, learning = printed.partition("To learn by pulses")
    models = [get(name) for name in catalogue()]
    for model in models:
        assert bool(re.search(rf"^{model.name}  \S", written, re.MULTILINE)) == (model.kind != "training")
        line = rf"^  {model.name} +{re.escape(model.technology)} +[\d,]+  batched$"
        assert bool(re.search(line, learning, re.MULTILINE)) == (model.kind != "inference")
    for algorithm in {model.algorithm for model in models} - {None}:
        assert f"\n{algorithm}\n" in learning
    assert max(map(len, printed.splitlines())) <= 110


@pytest.mark.parametrize(("name", "states"), [("reram-sb", "1,000"), ("ttv2-ecram", "1,000"), ("pcm", "200")])
def test_a_device_is_described_and_drawn(capsys, tmp_path, name, states):
    """States: the bounds of aihwkit's presets are 2 apart, with steps of 0.002 and, for pcm, of 0.01."""
    sheets = tmp_path / "sheets"
    assert main(["devices", name, "--out", str(sheets)]) == 0
    assert sorted(path.name for path in sheets.iterdir()) == [f"{name}.csv", f"{name}.png"]
    assert (sheets / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (sheets / f"{name}.csv").read_text().startswith("name,value,spread,unit,note\n")
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name}: {get(name).technology}\n")
    assert f"Algorithm: {get(name).algorithm}. aihwkit's name: {get(name).aihwkit_name}." in printed
    assert f"States: {states} " in printed
    assert "Backend: batched." in printed
    assert ("Ages after training." in printed) == (name == "pcm")
    assert ("Conductance range: 0 to 25 µS." in printed) == (name == "pcm")
    assert ("Measured for 1 day; later times are marked as extrapolated." in printed) == (name == "pcm")
    assert f"Figure: {sheets / name}.png\n" in printed


def test_what_runs_on_aihwkit_only_is_listed_with_the_reason(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "experiments.commands.device_list.why_not_batched", lambda config: "`x` is not honoured."
    )
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  ecram +\S.* 1,000  aihwkit$", printed, re.MULTILINE)
    assert "\necram: `x` is not honoured.\n" in printed
    assert main(["devices", "ecram", "--out", str(tmp_path)]) == 0
    assert "Backend: aihwkit, slowly: `x` is not honoured." in capsys.readouterr().out


def bad_pixels(folder):
    images = np.zeros((20, 1, 8, 8))
    images[3, 0, 2, 2] = np.nan
    np.savez(folder / "bad.npz", images=images, labels=np.arange(20) % 10)
    return str(folder / "bad.npz")


def wrong_shape(folder):
    np.savez(folder / "wide.npz", images=np.zeros((20, 1, 8, 9)), labels=np.arange(20) % 10)
    return str(folder / "wide.npz")


ERRORS = {
    "no command": (lambda d: ["tain"], r"`command` must be .*train, .*, but is 'tain'\. Did you mean train\?"),
    "unknown device": (lambda d: ["devices", "ecrem"], r"`name` must be in the catalogue .*'ecrem'.*ecram.*"),
    "device": (lambda d: ["train", "--device", "pmc"], r".*'pmc'.*"),
    "model": (lambda d: ["train", "--model", "lenet"], r"`model` must be one of .*, but is 'lenet'\. .*"),
    "placement": (lambda d: ["train", "--placement", "fre"], r".*fre.*"),
    "data folder": (
        lambda d: ["train", "--data", "mnist", "--data-dir", str(d / "none")],
        r"`data_dir` must be a folder with mnist .*/none has no .*--data-dir, or add --download\.",
    ),
    "NaN": (lambda d: ["train", "--data", bad_pixels(d)], r"`images` must be finite .* in 1 of 1280 .*"),
    "shape": (lambda d: ["train", "--data", wrong_shape(d)], r"`data` must have .* has \(1, 8, 9\)\..*"),
    "epochs": (lambda d: ["train", "--epochs", "0"], r"`epochs` must be 1 or more, but is 0\. Give .*"),
    "times": (lambda d: ["train", "--times", "soon"], r"`times` must be positive numbers .*'soon'\. Write.*"),
    "unmeasured": (
        lambda d: ["train", "--device", "reram-wan2022", "--times", "1y"],
        r"`time` must be one of the measured times .*",
    ),
    "no run": (lambda d: ["resume", str(d / "none")], r"`run` must be a run folder, but there is no .*"),
    "not a run": (lambda d: ["evaluate", str(d)], r"`run` must be a run folder, but .* no config\.json\..*"),
    "out is a file": (lambda d: [*TINY, "--out", __file__], r".*Not a directory.*"),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_errors_are_one_sentence_and_exit_code_2(tmp_path, capfd, what):
    arguments, sentence = ERRORS[what]
    assert main(arguments(tmp_path)) == 2
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert re.fullmatch(rf"xbar: {sentence}\n", printed), printed


def test_debug_shows_where_an_error_came_from():
    with pytest.raises(ValueError, match=r"`model` must be one of"):
        main(["train", "--model", "lenet", "--debug"])


@pytest.mark.parametrize("file", ["checkpoint.safetensors", "model.safetensors", "config.json"])
@pytest.mark.parametrize("how", ["truncated", "garbage", "pickle", "empty", "stranger"])
def test_damaged_files_of_a_run_are_named(finished, tmp_path, capfd, file, how):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.json", "environment.json", "log.jsonl", "model.safetensors"):
        (folder / name).write_bytes((finished / name).read_bytes())
    if file == "checkpoint.safetensors":
        (folder / "model.safetensors").rename(folder / file)
    path = folder / file
    if how == "stranger":
        save_file({"x": torch.zeros(3)}, path)
    else:
        contents = {
            "truncated": path.read_bytes()[:-40],
            "pickle": pickle.dumps([1]),
            "garbage": b"\x80" * 300,
        }
        path.write_bytes(contents.get(how, b""))
    assert main(["resume", str(folder)]) == 2
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("xbar: `")
    assert "run" in printed


LONGER = [*TINY, "--epochs", "15", "--chips", "1"]


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """A run whose process can be killed long before its end: 60 steps."""
    return train(tmp_path_factory.mktemp("longer"), *LONGER[len(TINY) :])


def start(out):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *LONGER, "--out", str(out), "--checkpoint-seconds", "0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        *(pytest.param(polite, marks=pytest.mark.slow) for polite in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_killed_processes_resume_to_the_same_numbers(tmp_path, longer, number, capsys):
    """Ends a real process as soon as it has left a checkpoint, at whatever step that finds it."""
    process = start(tmp_path)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("*/checkpoint.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    (folder,) = tmp_path.iterdir()
    assert not (folder / "result.json").exists()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert said == f"Stopped; everything is saved. Continue with: xbar resume {folder}\n"
    assert main(["resume", str(folder)]) == 0
    assert f"Continuing {folder}" in capsys.readouterr().out
    assert (folder / "result.json").read_text() == (longer / "result.json").read_text()
    weights, expected = load_file(folder / "model.safetensors"), load_file(longer / "model.safetensors")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_two_processes_do_not_share_a_folder(tmp_path, capfd):
    folder = train(tmp_path / "runs", "--mode", "digital", "--device", "none")
    with RunFolder(folder).lock():
        words = without(TINY, "--chips", "--times")
        assert main([*words, "--out", str(tmp_path / "runs"), "--mode", "digital", "--device", "none"]) == 2
    assert "`run` must not be in use, but another process is at work" in capfd.readouterr().err


def test_help_answers_without_torch():
    """The promise is 5 s; without torch and aihwkit it is a fraction of one."""
    code = (
        "import sys; from experiments.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "xbar train --data mnist" in done.stdout
    for flag in ("--data-dir", "--placement", "--mode", "--times", "--checkpoint-seconds"):
        assert flag in done.stdout


def test_overview(capsys):
    assert main(["--help"]) == 0
    assert main([]) == 2
    printed = capsys.readouterr().out
    for command in ("train", "resume", "evaluate", "report", "devices", "bench"):
        assert re.search(rf"^  {command} +\w", printed, re.MULTILINE)


def test_an_option_without_effect_is_refused(capfd):
    assert main(["train", "--placement", "replicated(tiles=4,sync_every=10)", "--epochs", "1"]) == 2
    assert "`placement` must be without sync_every" in capfd.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("device", "pcmm"), ("placement", "frei")])
def test_errors_name_the_option_that_was_given(capfd, option, value):
    assert main(["train", f"--{option}", value]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"xbar: `{option}` must")
    assert value in error
