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
import torch
from llvmlite.ir import Constant
from numba.extending import intrinsic

# A visit takes from one nanosecond to ten; waking a thread, some ten thousand.
LEAST_WORK = 50_000

_threads_were_lost = False


def threaded(work: Callable[..., int], **options: Any) -> Callable[[Any], Any]:
    """Compile a function with `prange` for threads, and once more for one thread.

    Each call takes as many threads as torch has at that moment (OMP_NUM_THREADS, `torch.set_num_threads`), and only
    the caller's where waking others takes longer than the work.

    Compiled loops call its attribute `alone`, which stays on the caller's thread.

    Args:
        work: Returns how many devices or slots a call visits, from its arguments.
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
            threads = threads_for(work(*args))
            if threads == 1:
                return alone(*args)
            numba.set_num_threads(threads)
            return in_threads(*args)

        call.alone = alone  # type: ignore[attr-defined]
        return call

    return compile_twice


@intrinsic
def borrowed(typing_context, array):  # type: ignore[no-untyped-def]
    """Return an array that somebody else keeps alive, so that compiled code does not count who refers to it.

    Counting is atomic: it takes longer than a pulse wherever an array goes into an inlined function in a loop.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        struct = context.make_array(signature.return_type)(context, builder, value=arguments[0])
        struct.meminfo = Constant(struct.meminfo.type, None)
        struct.parent = Constant(struct.parent.type, None)
        return struct._getvalue()

    return array(array), generate


def threads_for(work: int) -> int:
    """Return how many threads are to share a loop.

    Args:
        work: Devices or slots that it visits.
    """
    if _threads_were_lost or work < LEAST_WORK:
        return 1
    return int(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def _after_fork() -> None:
    global _threads_were_lost
    try:
        numba.threading_layer()
    except ValueError:  # the parent had started no threads, so that the child can start its own
        return
    _threads_were_lost = True
    # As torch's `DataLoader` does: torch's products wait for OpenMP's lost threads, too.
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork)
