"""`xbar fit-device` and what comes after: a device file that every command takes, and that a run keeps."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from devices import get, read_device_file
from devices.fitting import PredictedTrace, PredictiveCheck, PulseTrace
from experiments.cli import main
from experiments.drawing.measured_response import read_response, response_csv, traces_of

TRAIN = [
    "train",
    "--epochs",
    "1",
    "--train-images",
    "64",
    "--test-images",
    "64",
    "--chips",
    "1",
    "--threads",
    "1",
]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["fit-device", "example", "--out", "mine.toml"]) == 0
    out = capsys.readouterr().out
    assert "The data do not decide between SoftBounds and PowStep" in out
    assert "xbar train --device mine.toml" in out
    assert (tmp_path / "mine.png").stat().st_size > 10_000
    return tmp_path / "mine.toml"


def test_a_fitted_device_is_trained_on_kept_and_evaluated(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "mine.toml"]) == 0
    assert "xbar train --mode in-situ --device mine.toml" in capsys.readouterr().out
    assert main([*TRAIN, "--device", "mine.toml"]) == 0
    assert main([*TRAIN, "--device", "mine.toml", "--mode", "in-situ"]) == 0
    run, in_situ = (
        sorted(Path("runs").glob("fcn_digits-hwa-*")),
        sorted(Path("runs").glob("fcn_digits-in-situ-*")),
    )
    assert len(run) == len(in_situ) == 1
    assert (run[0] / "device.toml").read_bytes() == device.read_bytes()
    assert json.loads((run[0] / "result.json").read_text())["device"] == "example"
    # The run has its own copy.
    device.unlink()
    assert main(["evaluate", str(run[0]), "--times", "1s,1h"]) == 0
    assert main(["resume", str(in_situ[0])]) == 0
    assert main(["report", str(run[0])]) == 0


def test_the_law_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit-device", "example", "--law", "PowStep"]) == 0
    assert "do not decide" not in capsys.readouterr().out
    assert (
        read_device_file("example.toml").training_config().device.bindings_class
        == "PowStepResistiveDeviceParameter"
    )
    assert main(["fit-device", "--drift", "drift.csv", "--law", "PowStep"]) == 2
    assert "law" in capsys.readouterr().err


def test_a_doubtful_fit_is_written_and_ends_with_a_status_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing passes if no point at all may lie outside, and more than all inside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_module("devices.fitting.predictive_check"), "MOST_OUTSIDE", -1.0)
    assert main(["fit-device", "example", "--out", "mine.toml"]) == 3
    shown = capsys.readouterr()
    assert "mine.toml is written, but its devices do not do what was measured" in shown.err
    assert "device 1, pulses" in shown.out
    assert "No law does what was measured" in shown.out
    assert main(["devices", "mine.toml"]) == 0


def test_what_is_in_the_file_names_the_run(device: Path) -> None:
    assert main([*TRAIN, "--device", "mine.toml"]) == 0
    other = device.with_name("elsewhere.toml")
    other.write_bytes(device.read_bytes())
    assert main([*TRAIN, "--device", "elsewhere.toml"]) == 0
    assert len(list(Path("runs").iterdir())) == 1
    device.write_text(device.read_text().replace("exponent = ", "exponent = 1"))
    assert main([*TRAIN, "--device", "mine.toml"]) == 0
    assert len(list(Path("runs").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "`measured` must be a CSV file, but none is given"),
        (["nowhere.csv"], "there is no file nowhere.csv"),
        (["example", "--out", "my.txt"], "`out` must end in .toml"),
        (["example", "--reference-time", "-1"], "`reference_time` must be above 0 s"),
    ],
)
def test_wrong_wishes_get_a_sentence(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit-device", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_device_file_gets_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--device", "nowhere.toml"]) == 2
    assert (
        "`device` must be a name or a device file, but there is no file nowhere.toml"
        in capsys.readouterr().err
    )


def test_drift_writes_and_reads_make_a_device_to_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(0)
    Path("drift.csv").write_text("Cell;Time [h];G (nS)\n" + "".join(
        f"{cell};{hours};{(5000 + 500 * cell) * (hours * 180 + 1) ** -0.05:.1f}\n".replace(".", ",")
        for cell in range(4) for hours in (0.1, 1, 10, 100)
    ))  # fmt: skip
    Path("writes.csv").write_text(
        "target,reached\n" + "".join(f"{5},{5 + dice.normal():.4f}\n" for _ in range(40))
    )
    Path("reads.csv").write_text(
        "device,conductance\n" + "".join(f"1,{5 + dice.normal() / 10:.4f}\n" for _ in range(40))
    )
    words = [
        "fit-device",
        "--drift",
        "drift.csv",
        "--writes",
        "writes.csv",
        "--reads",
        "reads.csv",
        "--out",
        "my.toml",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "drift.csv: separated by semicolons; decimal comma" in out
    assert "Programming error of 40 writes" in out
    assert "Noise of a reading, of 40 readings" in out
    device = get("my.toml")
    assert device.kind == "inference"
    assert device.noise_model().drift_nu_mean == pytest.approx(0.05, rel=0.2)
    assert device.short_term_noise == pytest.approx(2**0.5 * 0.1 / device.g_max, rel=0.5)
    assert main([*words, "--columns", "time=wafer"]) == 2
    assert "none has time=wafer" in capsys.readouterr().err
    assert main(["fit-device", "--writes", "writes.csv"]) == 0
    assert get("writes.toml").is_extrapolated(1.0)
    assert Path("writes.png").stat().st_size > 5_000


def test_the_numbers_of_the_figure_are_those_of_the_check(tmp_path: Path) -> None:
    trace = PulseTrace("a,1", np.array([1.0, -1.0]), np.array([2.0, 3.0]), np.array([3.0, 2.5]))
    own = PredictedTrace(
        trace=trace, low=np.array([2.0, 2.0]), middle=np.array([2.75, 2.5]), high=np.array([4.0, 3.0]),
        inside=np.array([True, True]), scatter=(0.1, 0.0, 1.0), reached=(0.5, 0.0, 1.0),
    )  # fmt: skip
    traces = traces_of(PredictiveCheck(traces=(own,), copies=2))
    text = response_csv(traces)
    assert text.splitlines()[1:] == [
        "device,number,pulse,before,measured,low,middle,high,residual",
        '"a,1",1,1,2,3,2,2.75,4,0.25',
        '"a,1",2,-1,3,2.5,2,2.5,3,0',
    ]
    file = tmp_path / "my_response.csv"
    file.write_text(text)
    (read,) = read_response(file)
    assert read.device == "a,1"
    for name in ("pulses", "before", "after", "low", "middle", "high"):
        np.testing.assert_array_equal(getattr(read, name), getattr(traces[0], name))
    file.write_text(text.replace("2.75", "x"))
    with pytest.raises(ValueError, match=r"`device` must have an undamaged measurement .* but .*my_res"):
        read_response(file)
