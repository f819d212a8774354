"""`xbar does-it-matter`: what matters is told from what does not, and settings without any effect are named."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.cli import main
from experiments.data.datasets import Images
from experiments.studies.does_it_matter import study as does_it_matter
from experiments.studies.does_it_matter.outcomes import read_network

TRAIN = [
    "train", "--train-images", "256", "--test-images", "128", "--chips", "1", "--threads", "1", "--epochs", "4",
]  # fmt: skip


def train(folder: Path, *words: str) -> Path:
    assert main([*TRAIN, *words, "--out", str(folder)]) == 0
    (run,) = folder.iterdir()
    return run


def effects(run: Path) -> dict[str, str]:
    content = json.loads((run / "does_it_matter.json").read_text())
    assert (run / "does_it_matter.png").stat().st_size > 10_000
    return {f"{effect['what']}, {effect['part']}": effect["verdict"] for effect in content["effects"]}


class Scaled(nn.Module):
    """Return the pixels times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels * self.factor


def test_a_programmed_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without compensation a year of drift costs tens of points. A fault in 1e12 devices is none on a chip."""
    run = train(tmp_path, "--faults", "stuck_low=1e-12", "--compensation", "global")
    assert main(["does-it-matter", str(run), "--chips", "3", "--threshold", "0.5"]) == 0
    found = effects(run)
    assert json.loads((run / "does_it_matter.json").read_text())["threshold"] == 0.005
    assert found["faults, device"] == "NO EFFECT"
    assert found["compensation of drift (a remedy), digital"] == "matters"
    for what in ("noise of the outputs, product", "programming noise, device model", "drift, device model"):
        assert found[what] != "NO EFFECT"
    assert len(found) == 11
    out = capsys.readouterr().out
    assert "Warning: faults had no effect." in out
    assert "3 pcm chips after 1 year, 128 test images" in out
    assert " What to change first: " in out
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    verdict, *_ = re.findall(r"What matters: .* without it\)\.", out)
    assert f"<p>{verdict}" in page
    beside = page.index("What switching off each non-ideality alone changes")
    assert page.index("Does it matter?") < page.index(verdict) < beside < page.index("How to reproduce it")


def test_asked_twice_the_answer_is_the_same(tmp_path: Path) -> None:
    run = train(tmp_path, "--device", "reram-cmo", "--faults", "stuck_low=0.05")
    answers = []
    for _ in range(2):
        assert main(["does-it-matter", str(run), "--chips", "2", "--time", "1d"]) == 0
        answers.append((run / "does_it_matter.json").read_bytes())
    assert answers[0] == answers[1]
    assert effects(run)["faults, device"] != "NO EFFECT"


def test_other_outputs_with_the_same_answers_are_an_effect() -> None:
    images = Images(torch.eye(3), torch.arange(3))
    one, other = (read_network(Scaled(factor), images) for factor in (1.0, 1.0 + 2**-20))
    assert one.accuracy == other.accuracy == 1.0
    assert one.digest != other.digest


def test_a_network_that_learned_in_situ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the fifth training; then the same command goes on and repeats none."""
    run = train(tmp_path, "--mode", "in-situ", "--device", "ecram")
    done: list[Path] = []
    work = does_it_matter._train_without

    def counting(task: does_it_matter._Task) -> None:
        done.append(task.folder)
        if len(done) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        work(task)

    monkeypatch.setattr(does_it_matter, "_train_without", counting)
    command = ["does-it-matter", str(run), "--seeds", "2", "--epochs", "1", "--jobs", "1"]
    assert main(command) == 130
    assert not (run / "does_it_matter.json").exists()
    assert main(command) == 0
    assert len(done) == len(set(done)) + 1 == 2 * 16 + 1
    found = effects(run)
    assert found["imperfect resets, device"] == "NO EFFECT"
    assert found["chance and whole pulses of pulse trains, update"] != "NO EFFECT"
    assert found["noise of each pulse, device"] != "NO EFFECT"
    assert "imperfect resets had no effect: devices are never reset" in capsys.readouterr().out
    assert not list(run.glob("does_it_matter-*"))


@pytest.mark.slow
def test_a_network_whose_pairs_were_written(tmp_path: Path) -> None:
    run = train(
        tmp_path, "--model", "cnn_digits", "--mode", "write-verify", "--device", "pcm", "--epochs", "1"
    )
    assert main(["does-it-matter", str(run), "--seeds", "2", "--jobs", "1"]) == 0
    found = effects(run)
    assert "noise of each pulse, device" in found
    assert not any(name.endswith(", update") for name in found)


@pytest.mark.parametrize(
    ("train_words", "words", "message"),
    [
        (["--mode", "digital"], [], "`run` must be trained for devices"),
        ([], ["--epochs", "3"], "`epochs` must be left out, but is 3"),
        ([], ["--chips", "1"], "`chips` must be 2 or more, but is 1"),
        ([], ["--threshold", "-1"], "`threshold` must lie in [0, 100) percentage points, but is -1"),
        (["--mode", "in-situ", "--device", "ecram"], ["--time", "1d"], "`time` must be left out, but is 1d"),
        (["--device", "reram-wan2022"], ["--time", "1h"], "`time` must be one of the measured times"),
    ],
)
def test_wrong_wishes_get_a_sentence(
    train_words: list[str], words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tmp_path, *train_words, "--epochs", "1")
    assert main(["does-it-matter", str(run), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_exact_wires_are_switched_off_as_a_whole(tmp_path):
    """They take the place of the approximation, which could have no effect beside them."""
    run = train(tmp_path, "--model", "cnn_digits", "--wires", "word_line=100,bit_line=100", "--times", "1s")
    assert main(["does-it-matter", str(run), "--chips", "2"]) == 0
    found = effects(run)
    assert found["wires, device"] in ("matters", "within the spread")
    assert not any(name.startswith("IR drop") for name in found)
