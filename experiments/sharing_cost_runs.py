"""Train the runs of a study, several at a time, each in a process of its own; stop without losing anything.

OpenMP and numba fix their threads when they are loaded, and a forked process inherits a runtime that may hang. So
workers are started anew, with the number of threads in their environment before anything is imported.
"""

import contextlib
import io
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import Any, Final

from tqdm import tqdm

from devices.units import Seconds

from .commands import run_train
from .config import TrainConfig
from .interruption import Interruption, RunInterrupted

# A request that falls between two runs is not heard, so it is repeated.
_ASK_AGAIN_AFTER: Final[Seconds] = 10.0
_THREADS_OF_LIBRARIES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_STOPPED: Final = ""


def train_all(wishes: Mapping[str, TrainConfig], total: int, jobs: int, threads: int) -> dict[str, str]:
    """Train what is not trained yet.

    Args:
        wishes: What to train, by the name that the progress bar shows.
        total: Number of runs of the study, with those that are finished.
        jobs: Runs at the same time.
        threads: Threads of each.

    Returns:
        For each run that failed, its name and why; the others are finished.

    Raises:
        RunInterrupted: If the user stopped it; all runs can be continued then.
    """
    failed: dict[str, str] = {}
    with (
        Interruption("the same command; finished runs are not repeated") as interruption,
        tqdm(total=total, initial=total - len(wishes), unit="run", dynamic_ncols=True) as bar,
    ):
        if jobs == 1:
            outcomes: Iterable[tuple[str, str | None]] = _one_by_one(wishes, interruption, bar)
        else:
            outcomes = _side_by_side(wishes, jobs, threads, interruption, bar)
        for name, trouble in outcomes:
            if trouble is not None:
                failed[name] = trouble
                bar.write(f"{name}: {trouble}")
            bar.update()
    return failed


def _train_one(wish: TrainConfig) -> str | None:
    """Train one network quietly; return None, what went wrong, or `_STOPPED`."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_train(wish)
    except (RunInterrupted, KeyboardInterrupt):
        return _STOPPED
    except (ValueError, OSError) as error:
        return " ".join(str(error).split())
    return None


def _one_by_one(
    wishes: Mapping[str, TrainConfig], interruption: Interruption, bar: "tqdm[Any]"
) -> Iterable[tuple[str, str | None]]:
    for name, wish in wishes.items():
        bar.set_description(name)
        outcome = _train_one(wish)
        if outcome == _STOPPED:
            raise RunInterrupted(interruption.signal_number or signal.SIGINT, interruption.how_to_continue)
        yield name, outcome
        interruption.stop_if_requested()


def _side_by_side(
    wishes: Mapping[str, TrainConfig], jobs: int, threads: int, interruption: Interruption, bar: "tqdm[Any]"
) -> Iterable[tuple[str, str | None]]:
    waiting = list(wishes.items())[::-1]
    running: dict[Future[str | None], str] = {}
    asked = 0.0
    with _threads_in_environment(threads):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(wishes)) or 1, context, _start_worker) as pool:
            while running or (waiting and interruption.signal_number is None):
                while waiting and len(running) < jobs and interruption.signal_number is None:
                    name, wish = waiting.pop()
                    running[pool.submit(_train_one, wish)] = name
                    bar.set_description(" | ".join(running.values()))
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                if interruption.signal_number is not None and time.monotonic() - asked > _ASK_AGAIN_AFTER:
                    asked = time.monotonic()
                    for process in multiprocessing.active_children():
                        if process.pid is not None:
                            os.kill(process.pid, signal.SIGINT)
                for future in done:
                    name = running.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        # Ctrl-C reaches a process that is still being started, and ends it: nothing was begun there.
                        interruption.stop_if_requested()
                        raise
                    if outcome != _STOPPED:
                        yield name, outcome
    interruption.stop_if_requested()


@contextlib.contextmanager
def _threads_in_environment(threads: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREADS_OF_LIBRARIES}
    os.environ.update(dict.fromkeys(_THREADS_OF_LIBRARIES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Leave signals of the terminal to the parent, which passes on one; end when the parent has ended."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between two runs; a run listens for itself
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)  # files are whole at any time, so nothing is left to do
