"""Runs in several processes: started by xbar and by torchrun, killed, and continued by any number of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.source import REPOSITORY
from helpers.spread_training import without_exchanges

pytestmark = pytest.mark.slow  # every process imports everything

WORDS = [
    "train", "--train-images", "400", "--test-images", "40", "--epochs", "4", "--batch-size", "20", "--chips", "1",
    "--times", "1s", "--threads", "1",
]  # fmt: skip
TWO = ("--processes", "2")
FILES = ("model.safetensors", "result.json")


def start(out, *words, launcher=()):
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "experiments.cli", *WORDS, "--out", str(out), *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, status=0):
    said, complained = process.communicate(timeout=1200)
    assert process.returncode == status, complained
    return said, complained


def files(out):
    """Return what a run has written, without what its processes have sent each other."""
    (folder,) = out.iterdir()
    ledger, _ = without_exchanges(json.loads((folder / "ledger.json").read_text())["training"])
    return {"ledger": ledger, **{name: (folder / name).read_bytes() for name in FILES}}


@pytest.fixture(scope="module")
def of_one_process(tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    finish(start(out))
    return files(out)


BY_IMAGES = ("--mode", "in-situ", "--device", "pcm", "--spread", "images", "--batch-size", "27")
"""Batches that do not divide, the last one of 22 images."""


@pytest.fixture(scope="module")
def by_images(tmp_path_factory):
    """Return what two processes write that nobody kills."""
    out = tmp_path_factory.mktemp("images")
    said, _ = finish(start(out, *BY_IMAGES, *TWO))
    assert "2 processes, by images: each computes its part of every batch" in said
    return files(out)


def wait_for_a_checkpoint(process, out):
    while not list(out.glob("*/checkpoint.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def workers(process):
    """Return the process ids of the processes that train: those whose parent is the one that was started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and "spawn_main" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return sorted(found)


@pytest.mark.parametrize(("way", "expected"), [((), "of_one_process"), (BY_IMAGES, "by_images")])
def test_killing_any_process_ends_the_job_and_the_run_goes_on(tmp_path, request, way, expected):
    """Ten kills, of one process and the other in turn, then to the end: the files are those of a run without.

    By tiles these are the files of one process.
    """
    expected = request.getfixturevalue(expected)
    for number in range(10):
        process = start(tmp_path, *way, *TWO, "--checkpoint-seconds", "0")
        wait_for_a_checkpoint(process, tmp_path)
        while len(pids := workers(process)) < 2:
            time.sleep(0.01)
        time.sleep(0.8 * number)  # while it starts, while it reads, while it trains
        os.kill(pids[number % 2], signal.SIGKILL)
        _, complained = finish(process, status=2)
        assert f"xbar: process {number % 2} of 2 has ended before its work was done" in complained
        assert "Repeat the command: the run goes on from its last checkpoint.\n" in complained
        assert "Traceback" not in complained
        assert not workers(process)
    said, _ = finish(start(tmp_path, *way, *TWO))
    assert "Continuing" in said
    assert files(tmp_path) == expected


def test_asked_to_stop_all_processes_stop_after_the_same_step(tmp_path, of_one_process):
    process = start(tmp_path, *TWO, "--checkpoint-seconds", "0")
    wait_for_a_checkpoint(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    _, complained = finish(process, status=128 + signal.SIGTERM)
    assert complained.startswith("Stopped; everything is saved. Continue with: xbar resume ")
    finish(start(tmp_path, "--processes", "1"))  # goes on in one process
    assert files(tmp_path) == of_one_process


def test_torchrun_gives_the_same_files_and_one_answer(tmp_path, of_one_process):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    said, _ = finish(start(tmp_path, "--json", launcher=launcher))
    assert files(tmp_path) == of_one_process
    assert json.loads(said) == json.loads(of_one_process["result.json"])


def test_what_a_process_refuses_is_said_in_one_sentence(tmp_path):
    _, complained = finish(start(tmp_path, "--model", "cnn_digits", "--spread", "tiles", *TWO), status=2)
    assert complained.startswith("xbar: `model` must have a layer that can be spread by tile, but has none (")
    assert complained.count("\n") == 1
