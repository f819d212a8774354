"""A forked child (a worker of a `DataLoader`, a process of `multiprocessing`) trains devices like its parent."""

import json
import os
import subprocess
import sys

import pytest

# In an interpreter of its own, since threads that the tests before have started would decide.
PROGRAM = """
import json, multiprocessing, sys
import torch
from crossbar import AnalogLinear
from crossbar.aihwkit.adapter import AnalogSGD
from aihwkit.simulator.presets import GokmenVlasovPreset
from devices.pulsed import threaded_loops

rounds = int(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))  # which updates follow
threaded_loops.LEAST_WORK = 0  # threads also for these few devices

def trained_weight():
    return [trained_by(engine) for engine in ("exact", "aggregated")]

def trained_by(engine):
    torch.manual_seed(0)
    layer = AnalogLinear(20, 10, rpu_config=GokmenVlasovPreset())
    layer.tile_array.in_situ.engine = engine
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    optimizer.regroup_param_groups(layer)
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.randn(8, 20)).square().sum().backward()
        optimizer.step()
    return layer.get_weights()[0].tolist()

def child(queue):
    queue.put(trained_weight())

before = [trained_weight() for _ in range(rounds)]
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=child, args=(queue,))
process.start()
process.join(300)  # it may have to compile first
if process.is_alive():
    process.kill()
print(json.dumps({"code": process.exitcode, "same": process.exitcode == 0 and queue.get() == trained_weight()}))
"""


@pytest.mark.parametrize(("threads", "rounds"), [(1, 1), (2, 1), (2, 0)])
def test_a_child_learns_what_its_parent_learns(threads, rounds):
    """Also if the parent has not trained yet, and so has not started its threads."""
    if threads > (os.cpu_count() or 1):
        pytest.skip(f"needs {threads} cores")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(rounds), str(threads)],
        env={**os.environ, "NUMBA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {"code": 0, "same": True}, done.stderr
