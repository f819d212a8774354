"""Updates take as many threads as torch has, and only the caller's for small work."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

# In an interpreter of its own: threads that were started are never stopped.
PROGRAM = """
import json, os, sys
import torch
torch.set_num_threads(int(sys.argv[1]))
import numba
from devices.aihwkit_adapter import ConstantStepDevice, UpdateParameters
from devices.pulsed import fabricate, pulsed_update

def update(tiles, out, ins, batch):
    rng = torch.Generator().manual_seed(1)
    devices = fabricate(ConstantStepDevice(), tiles, out, ins, seed=1)
    x, d = torch.randn(tiles, batch, ins, generator=rng), torch.randn(tiles, batch, out, generator=rng)
    for engine in ("exact", "aggregated"):
        pulsed_update(devices, x, d, 0.01, UpdateParameters(), rng=rng, engine=engine)
    return float(devices.weight.sum())

def has_started():
    try:
        numba.threading_layer()
    except ValueError:
        return False
    return True

sum_of_small = update(1, 20, 20, 1)
after_small = has_started()
sum_of_large = update(8, 32, 64, 16)
print(json.dumps({"small": after_small, "large": has_started(), "numba": numba.get_num_threads(),
                  "sums": [sum_of_small, sum_of_large]}))
"""


def run(threads: int, program: str = PROGRAM, **env: str) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(threads)],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=480,  # loops are compiled, twice, if nobody has done it before
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_one_thread_of_torch_is_the_callers_alone() -> None:
    answer = run(1)
    assert not answer["small"]
    assert not answer["large"]


def test_large_work_takes_torchs_threads_and_small_work_the_callers_with_the_same_numbers() -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs 2 cores")
    answer = run(2)
    assert not answer["small"]
    assert answer["large"]
    assert answer["numba"] == 2
    assert answer["sums"] == run(1)["sums"]


RULES = """
import json, sys
import torch
torch.set_num_threads(int(sys.argv[1]))
from crossbar.learning import make_cells
from crossbar.reading.noise import NoiseStream
from devices import get
from devices.pulsed import threaded_loops
threaded_loops.LEAST_WORK = 1

def update(name):
    rng = torch.Generator().manual_seed(1)
    cells = make_cells(get(name).training_config(), 3, 8, 9, seed=0)
    for step in range(3):
        x, d = torch.randn(3, 4, 9, generator=rng), torch.randn(3, 4, 8, generator=rng)
        cells.update(x, d, 0.1, noise=NoiseStream(0, step))
    return cells.weights().double().sum().item()

print(json.dumps({name: update(name) for name in ("mixed-precision-reram-sb", "pcm", "ttv2-reram-sb")}))
"""


def test_loops_of_learning_rules_share_their_work_and_give_the_same_numbers() -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs 2 cores")
    assert run(2, program=RULES) == run(1, program=RULES)
