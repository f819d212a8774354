"""Every entry of the catalogue trains: on its pulses, hardware-aware, or both, and ages as far as it is known."""

import json
import math
from pathlib import Path

import pytest
from safetensors.torch import load_file

from devices import catalogue, get
from experiments.cli import main

# Four steps, after which mixed precision has summed up whole pulses, too.
TINY = [
    *("--train-images", "20", "--test-images", "10", "--batch-size", "5"),
    *("--epochs", "1", "--chips", "1", "--threads", "1"),
]


@pytest.mark.parametrize("name", catalogue("inference"))
def test_every_device_to_be_written_trains_and_says_what_is_extrapolated(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a table, a figure and a file say of a time, the catalogue says too."""
    assert main(["train", *TINY, "--device", name, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["times"]
    assert all(math.isfinite(value) for chips in result["accuracy"].values() for value in chips[0])
    assert result["extrapolated"] == [time for time in result["times"] if get(name).is_extrapolated(time)]
    assert bool(result["extrapolated"]) == (name not in ("ideal", "reram-wan2022"))
    assert ("* extrapolated" in capsys.readouterr().out) == bool(result["extrapolated"])


@pytest.mark.parametrize("name", catalogue("training"))
def test_every_device_learns_from_its_pulses(name: str, tmp_path: Path) -> None:
    """From the command line, since that of every preset of aihwkit is in the list, and some entries besides."""
    assert main(["train", *TINY, "--mode", "in-situ", "--device", name, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    state = load_file(folder / "model.safetensors")
    assert sum(int(tensor.sum()) for key, tensor in state.items() if "pulse_count" in key) > 0
    assert all(tensor.isfinite().all() for key, tensor in state.items() if key.endswith("weight"))
    assert bool(json.loads((folder / "result.json").read_text())["accuracy"]) == (name == "pcm")
