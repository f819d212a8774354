"""What holds for every test: commands that set numbers of threads leave no trace in the process."""

import os

# numba reads this when it is imported, and refuses every other value later, whichever test comes first.
os.environ.setdefault("NUMBA_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "2"))

import numba
import pytest
import torch


@pytest.fixture(autouse=True)
def _keep_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    of_torch, of_numba = torch.get_num_threads(), numba.get_num_threads()
    yield
    torch.set_num_threads(of_torch)
    numba.set_num_threads(of_numba)
