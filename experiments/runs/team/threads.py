"""How many threads torch and numba compute with."""

import numba
import torch


def use_threads(threads: int) -> None:
    """Compute with this many threads."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
