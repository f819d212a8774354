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


def run(threads: int, **env: str) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(threads)],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=240,
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
