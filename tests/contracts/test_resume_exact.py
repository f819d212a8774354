"""A run that is interrupted anywhere ends in the numbers of one that is not: the same bits."""

import json
import os
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import experiments.commands.train
import experiments.runs.checkpoint
import experiments.runs.evaluation
import experiments.runs.team.training_together
import experiments.runs.training
from experiments.commands.config import ResumeConfig
from experiments.commands.resume import run_resume
from experiments.commands.train import run_train
from experiments.runs.options.config import TrainConfig
from experiments.runs.run_folder import RunFolder
from experiments.runs.watching.record import read_columns
from experiments.support.interruption import RunInterrupted

# Two epochs of four steps, the last one smaller; one chip at two times.
TINY = TrainConfig(
    train_images=100,
    test_images=40,
    batch_size=32,
    epochs=2,
    chips=1,
    times="1s,1d",
    threads=1,
    weight_noise=0.02,
    measure_every=3,
)
IN_SITU = replace(TINY, mode="in-situ", times=None, weight_noise=None, record_every=3)
KINDS = {
    "hardware-aware": TINY,
    "digital": replace(TINY, mode="digital", weight_noise=None),
    "one tile": replace(TINY, model="cnn_digits", compensation="per_column", schedule="constant"),
    "redrawn placement": replace(TINY, placement="random(tiles=5,redraw=True)"),
    "in situ": replace(IN_SITU, device="reram-sb"),
    "in situ, copies": replace(
        IN_SITU, device="ttv2-reram-es", model="cnn_digits", placement="replicated(tiles=3)"
    ),
    "in situ, one-sided": replace(IN_SITU, device="pcm", times="1s,1d"),
    "in situ, fast and slow": replace(IN_SITU, device="tiki-taka-reram-sb", model="cnn_digits"),
    "in situ, synchronised": replace(
        IN_SITU, device="ecram", model="cnn_digits", placement="replicated(tiles=3,sync_every=3)"
    ),
    "in situ, asleep": replace(IN_SITU, device="pcm", times="1s", sleep_every=3, sleep_factor=0.5),
    "write-verify": replace(IN_SITU, mode="write-verify", device="ecram", write_every=3, soft_sharing=0.1),
    "write-verify, copies": replace(
        IN_SITU,
        mode="write-verify",
        device="pcm",
        model="cnn_digits",
        placement="replicated(tiles=3)",
        times="1s",
    ),
    "hardware-aware, asleep": replace(TINY, sleep_every=3, soft_sharing=0.1),
    "in situ, digital gradient": replace(IN_SITU, device="mixed-precision-ecram", schedule="step"),
}


class PowerFailureError(Exception):
    """Stands for the end of the process at this very place."""


@pytest.fixture(autouse=True)
def _keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def outcome(folder: RunFolder):
    """Return all numbers of a finished run, events included, times of computation left out."""
    log = [json.loads(line) for line in folder.log_file.read_text().splitlines()]
    for record in log:
        del record["seconds"]
    tensors = load_file(folder.model_file)
    if folder.record_file.exists():
        record = read_columns(folder.record_file)
        tensors.update({f"record/{name}": torch.from_numpy(column) for name, column in record.items()})
    return (
        tensors,
        log,
        json.loads(folder.result_file.read_text()),
        json.loads(folder.ledger_file.read_text()),
        [json.loads(line) for line in folder.curve_file.read_text().splitlines()],
    )


def only_run(out) -> RunFolder:
    (path,) = out.iterdir()
    return RunFolder(path)


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        assert value.dtype == other[0][name].dtype
        np.testing.assert_array_equal(value, other[0][name], err_msg=name)  # NaN equals NaN
    assert one[1:] == other[1:]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Return the outcome of a whole run of a kind; each is computed once."""
    known = {}

    def get(kind):
        if kind not in known:
            out = tmp_path_factory.mktemp("whole")
            threads = torch.get_num_threads()
            run_train(replace(KINDS[kind], out=out))
            torch.set_num_threads(threads)
            known[kind] = outcome(only_run(out))
        return known[kind]

    return get


def fail_at(monkeypatch, module, name, call, *, after=False, signal_number=None):
    """Let a function end the process in its n-th call, before or after its work, or get a signal there."""
    original, calls = getattr(module, name), []

    def failing(*args, **kwargs):
        calls.append(None)
        fails = len(calls) == call
        if fails and signal_number is not None:
            os.kill(os.getpid(), signal_number)
        if fails and signal_number is None and not after:
            raise PowerFailureError
        result = original(*args, **kwargs)
        if fails and signal_number is None:
            raise PowerFailureError
        return result

    monkeypatch.setattr(module, name, failing)


@pytest.mark.parametrize("kind", KINDS)
def test_power_failures_at_random_steps(tmp_path, monkeypatch, uninterrupted, kind):
    """A failure within every second or third step or so, with a checkpoint after each step."""
    config = replace(KINDS[kind], out=tmp_path / "runs", checkpoint_seconds=0.0)
    dice, starts = random.Random(kind), 0
    while True:
        starts += 1
        with monkeypatch.context() as patch:
            fail_at(
                patch, experiments.runs.training, "_take_step", dice.randint(2, 4), after=dice.random() < 0.5
            )
            try:
                run_train(config) if starts == 1 else run_resume(
                    ResumeConfig(run=str(only_run(config.out).path))
                )
                break
            except PowerFailureError:
                continue
    assert starts >= 3
    assert_same(outcome(only_run(config.out)), uninterrupted(kind))


@pytest.mark.parametrize(
    ("module", "name", "call", "after"),
    [
        (experiments.runs.training, "_take_step", 1, False),  # nothing saved yet
        (experiments.runs.training, "_finish_epoch", 1, True),  # an epoch done, not saved
        (experiments.runs.checkpoint, "write_tensors", 1, False),
        (experiments.runs.training, "save_checkpoint", 1, True),  # saved, not in the log
        (experiments.runs.training, "save_checkpoint", 2, True),  # trained to the end, model not written
        (
            experiments.runs.team.training_together,
            "save_model",
            1,
            False,
        ),  # the events of the training written, the model not
        (experiments.runs.evaluation, "age_chip", 2, False),  # trained, evaluation under way
        (
            experiments.commands.train,
            "draw_learning_curve",
            1,
            False,
        ),  # all events written, the result not
    ],
)
def test_power_failures_at_the_seams(tmp_path, monkeypatch, uninterrupted, module, name, call, after):
    config = replace(KINDS["hardware-aware"], out=tmp_path / "runs")
    with monkeypatch.context() as patch:
        fail_at(patch, module, name, call, after=after)
        with pytest.raises(PowerFailureError):
            run_train(config)
    run_train(config)
    assert_same(outcome(only_run(config.out)), uninterrupted("hardware-aware"))


@pytest.mark.parametrize(
    ("module", "name", "call", "after"),
    [
        (experiments.runs.checkpoint, "write_tensors", 2, False),  # the record written, the checkpoint not
        (experiments.runs.training, "_take_step", 5, True),  # an update taken, not yet recorded
        (experiments.runs.evaluation, "loss_and_accuracy", 2, False),  # trained, readings under way
    ],
)
def test_power_failures_at_the_seams_in_situ(tmp_path, monkeypatch, uninterrupted, module, name, call, after):
    config = replace(KINDS["in situ"], out=tmp_path / "runs", checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        fail_at(patch, module, name, call, after=after)
        with pytest.raises(PowerFailureError):
            run_train(config)
    run_train(config)
    assert_same(outcome(only_run(config.out)), uninterrupted("in situ"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "name", "call"),
    [(experiments.runs.training, "_take_step", n) for n in (1, 4, 6)]
    + [(experiments.runs.evaluation, "age_chip", 1)],
)
def test_a_signal_stops_after_the_step_and_saves_it(
    tmp_path, monkeypatch, uninterrupted, module, name, call, number
):
    config = replace(KINDS["hardware-aware"], out=tmp_path / "runs", checkpoint_seconds=1e9)
    before = signal.getsignal(number)  # a job in the background starts with SIGINT ignored
    with monkeypatch.context() as patch:
        fail_at(patch, module, name, call, signal_number=number)
        with pytest.raises(RunInterrupted, match=r"Continue with: xbar resume .*fcn_digits-hwa-pcm-") as stop:
            run_train(config)
    assert stop.value.signal_number == number
    assert signal.getsignal(number) is before
    folder = only_run(config.out)
    if module is experiments.runs.training:
        with monkeypatch.context() as patch:
            steps = []
            original = experiments.runs.training._take_step
            patch.setattr(
                experiments.runs.training,
                "_take_step",
                lambda *args: (steps.append(None), original(*args))[1],
            )
            run_resume(ResumeConfig(run=str(folder.path)))
        assert len(steps) == 8 - call
    else:
        run_resume(ResumeConfig(run=str(folder.path)))
    assert_same(outcome(folder), uninterrupted("hardware-aware"))


def test_another_seed_is_another_run(tmp_path, uninterrupted):
    """Guards the comparison itself: runs that differ in one stream only must not compare as equal."""
    run_train(replace(KINDS["hardware-aware"], seed=1, out=tmp_path))
    with pytest.raises(AssertionError):
        assert_same(outcome(only_run(tmp_path)), uninterrupted("hardware-aware"))


def test_changed_data_are_noticed(tmp_path, monkeypatch):
    config = replace(TINY, out=tmp_path / "runs")
    with monkeypatch.context() as patch:
        fail_at(patch, experiments.runs.training, "_take_step", 6)
        with pytest.raises(PowerFailureError):
            run_train(config)
    with monkeypatch.context() as patch:
        patch.setattr(experiments.data.datasets.DataSplit, "fingerprint", lambda self: "other")
        with pytest.raises(
            ValueError, match=r"`data` must be the images .* was started with, but they have chang"
        ):
            run_train(config)
