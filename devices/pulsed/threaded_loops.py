"""Compiled loops over devices that share their work among threads, and do it alone where there are no threads.

OpenMP, which numba's threads come from, does not survive a fork: the first parallel loop in a forked child (a worker
of a `DataLoader`, a process of `multiprocessing`) ends it on the spot, and its parent waits for ever. So every loop
is compiled twice, for threads and without them; only what is used is compiled. Both give the same numbers, because
the streams of random numbers belong to rows of devices, not to threads.
"""

import functools
import inspect
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba

_threads_were_lost = False


def threaded(**options: Any) -> Callable[[Any], Any]:
    """Compile a function with `prange` for threads, and once more for one thread.

    Args:
        options: numba's, for both.
    """

    def compile_twice(function: Any) -> Any:
        function = inspect.unwrap(function)  # numba cannot compile what a test may have put around it
        in_threads = numba.njit(cache=True, parallel=True, **options)(function)
        # Under a name of its own: numba's cache on disk tells functions apart by name, not by options.
        twin = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_alone")
        twin.__qualname__, twin.__module__ = f"{function.__qualname__}_alone", function.__module__
        alone = numba.njit(cache=True, **options)(twin)

        @functools.wraps(function)
        def call(*args: Any) -> Any:
            return (in_threads if has_threads() else alone)(*args)

        return call

    return compile_twice


def has_threads() -> bool:
    """Tell whether this process may share a loop among several threads."""
    if _threads_were_lost or numba.config.NUMBA_NUM_THREADS == 1:
        return False
    return bool(numba.get_num_threads() > 1)


def _after_fork() -> None:
    global _threads_were_lost
    try:
        numba.threading_layer()
    except ValueError:  # the parent had started no threads, so that the child can start its own
        return
    _threads_were_lost = True


os.register_at_fork(after_in_child=_after_fork)
