"""The curve of a training: measuring changes nothing, and the events of a point are those of the steps before it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experiments.commands.train import run_train
from experiments.runs.ledger_file import RunEvents
from experiments.runs.options.config import TrainConfig
from experiments.runs.run_folder import RunFolder
from experiments.runs.watching.curve import read_curve

# Two epochs of three steps.
TINY = TrainConfig(
    model="cnn_digits", train_images=60, test_images=10, batch_size=20, epochs=2, chips=1, threads=1
)
KINDS = {
    "in situ": replace(
        TINY, mode="in-situ", device="ecram", placement="replicated(tiles=2,sync_every=2)", record_every=2
    ),
    "write-verify": replace(TINY, mode="write-verify", device="ecram"),
    "hardware-aware": replace(TINY, placement="random(tiles=3,redraw=True)", times="1s"),
}


def trained(wish: TrainConfig, out: Path) -> RunFolder:
    run_train(replace(wish, out=out))
    (path,) = out.iterdir()
    return RunFolder(path)


@pytest.mark.parametrize("kind", KINDS)
def test_measuring_changes_nothing(kind, tmp_path):
    wish = KINDS[kind]
    usual, measured = (trained(replace(wish, measure_every=every), tmp_path / str(every)) for every in (0, 2))
    weights, others = load_file(usual.model_file), load_file(measured.model_file)
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert usual.ledger_file.read_bytes() == measured.ledger_file.read_bytes()
    ends, curve = read_curve(usual.curve_file), read_curve(measured.curve_file)
    assert [one.step for one in ends] == [3, 6]
    assert [one.step for one in curve] == [2, 3, 4, 6]
    assert [one for one in curve if one.step % 3 == 0] == ends
    log = measured.read_log()
    assert [one.accuracy for one in ends] == [record["validation_accuracy"] for record in log]
    if kind == "hardware-aware":
        assert {one.events for one in curve} == {None}
        return
    ledgers = [one.ledger for one in curve]
    assert {ledger.images for ledger in ledgers if ledger is not None} == {
        0
    }  # none of those that were measured on
    assert [ledger.steps for ledger in ledgers if ledger is not None] == [2, 3, 4, 6]
    assert ledgers[-1] == RunEvents.read(measured.ledger_file).training
    assert [ledger.training_images for ledger in ledgers if ledger is not None] == [40, 60, 80, 120]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text.replace('"step": 6', '"step": 3'), "its steps do not ascend"),
        (lambda text: text[:-20], "Unterminated string"),
        (lambda text: text.replace('"mvms"', '"wonders"'), "known phases and events"),
    ],
)
def test_a_damaged_curve_is_refused(damage, reason, curve_file, tmp_path):
    file = tmp_path / "curve.jsonl"
    file.write_text(damage(curve_file.read_text()))
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged curve\.jsonl") as error:
        read_curve(file)
    assert reason in str(error.value)


@pytest.fixture(scope="module")
def curve_file(tmp_path_factory):
    wish = replace(KINDS["in situ"], measure_every=2)
    return trained(wish, tmp_path_factory.mktemp("curve") / "runs").curve_file
