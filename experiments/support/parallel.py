"""Do the pieces of a study, several at a time; stop without losing anything.

joblib does them: one after another in this process, in several processes of this machine, or on the workers of a Dask
cluster that see the same folders. OpenMP and numba fix their threads when they are loaded, and a forked process
inherits a runtime that may hang; so joblib starts its processes anew, with the number of threads in their environment
before anything is imported.

A worker on another machine cannot be sent a signal. So what stops a study is a file beside its runs, which the work
looks for wherever it may stop.
"""

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import joblib

from .environment import describe_environment
from .interruption import Interruption, RunInterrupted, stopped_by
from .progress_bar import progress_bar

Task = TypeVar("Task")

_STOPPED: Final = ""
_SECONDS_TO_CONNECT: Final = 10
# torch, its random streams and the standard output belong to a whole process, and a worker of Dask may have threads.
_ONE_AT_A_TIME: Final = threading.Lock()


def do_all(
    work: Callable[[Task], object],
    tasks: Mapping[str, Task],
    *,
    total: int,
    jobs: int,
    threads: int,
    folder: Path,
    dask: str | None = None,
    finished: int | None = None,
    unit: str = "run",
) -> dict[str, str]:
    """Do what is not done yet, and show how far it is.

    Args:
        work: What to do with each task: a function of a module, which stops where an `Interruption` asks it to, and
            leaves files from which it goes on when it is repeated. Its output is not shown.
        tasks: What to do, by the name that the progress bar shows.
        total: Number of tasks of the study, with those that are finished.
        jobs: Tasks at the same time.
        threads: Threads of each.
        folder: Where the runs of the study are.
        dask: Address of a Dask scheduler, whose workers do the tasks in place of `jobs` processes.
        finished: How many of all were finished before; all that are not among the tasks, if not told.
        unit: What the progress bar counts.

    Returns:
        For each task that failed, its name and why; the others are finished.

    Raises:
        RunInterrupted: If the user stopped it; all tasks can be continued then.
        ImportError: If Dask is asked for, but not installed.
        OSError: If the cluster cannot be used, or a process broke down.
    """
    failed: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    stop_file = folder.absolute() / f".stop-{uuid4().hex}"
    with (
        _deleted_at_the_end(stop_file),
        Interruption("the same command; finished runs are not repeated", stop_file.touch) as interruption,
        progress_bar(
            total=total, initial=total - len(tasks) if finished is None else finished, unit=unit
        ) as bar,
        _workers(jobs, threads, dask, folder),
    ):
        calls = (joblib.delayed(_do)(work, name, task, stop_file) for name, task in tasks.items())
        parallel = joblib.Parallel(
            n_jobs=jobs if dask is None else -1, batch_size=1, return_as="generator_unordered"
        )
        try:
            for name, trouble in _outcomes(parallel, calls):
                if trouble == _STOPPED:
                    continue
                if trouble is not None:
                    failed[name] = trouble
                    bar.write(f"{name}: {trouble}")
                bar.set_postfix_str(name, refresh=False)
                bar.update()
        except BrokenProcessPool as error:
            # Ctrl-C reaches a process that is still being started, and ends it: nothing was begun there.
            interruption.stop_if_requested()
            raise ChildProcessError(
                "`jobs` must fit the memory of this machine, but one of the processes broke down. "
                "Repeat the command with a smaller --jobs; finished runs are not repeated."
            ) from error
        if stop_file.exists():
            raise RunInterrupted(interruption.signal_number or signal.SIGINT, interruption.how_to_continue)
    return failed


def _outcomes(parallel: "joblib.Parallel", calls: Iterable[Any]) -> Iterator[tuple[str, str | None]]:
    """Return the name of each task that ends, and None, what went wrong, or `_STOPPED`."""
    return iter(parallel(calls))


def _do(work: Callable[[Task], object], name: str, task: Task, stop_file: Path) -> tuple[str, str | None]:
    """Do one task quietly."""
    with _ONE_AT_A_TIME, stopped_by(stop_file):
        if stop_file.exists():
            return name, _STOPPED
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                work(task)
        except (RunInterrupted, KeyboardInterrupt):
            stop_file.touch()
            return name, _STOPPED
        except (ValueError, OSError) as error:
            return name, " ".join(str(error).split())
    return name, None


@contextlib.contextmanager
def _deleted_at_the_end(file: Path) -> Iterator[None]:
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _workers(jobs: int, threads: int, dask: str | None, folder: Path) -> Iterator[None]:
    """Let joblib's calls in the block go to processes of this machine or, with an address, to a cluster."""
    if dask is not None:
        with _client(dask, folder) as client, joblib.parallel_config("dask", client=client):
            yield
    elif jobs == 1:
        yield
    else:
        with joblib.parallel_config("loky", inner_max_num_threads=threads, initializer=_start_worker):
            yield


def _client(address: str, folder: Path) -> Any:
    """Connect to a cluster.

    Raises:
        ImportError: If Dask is not installed.
        OSError: If there is no cluster, it has no workers, or they do not see the folder or have other versions.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            f"`dask` must be left out unless Dask is installed, but is {address!r}. Install it with "
            "`pip install 'crossbar-emulator[cluster]'`."
        ) from None
    try:
        client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(
            f"`dask` must be the address of a running scheduler, but none answers at {address!r} ({error}). "
            "Start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`."
        ) from None
    try:
        sees_folder = client.run(_work_from, Path.cwd(), folder.absolute())
        if not sees_folder:
            raise OSError(
                f"`dask` must be a scheduler with workers, but that at {address} has none. "
                f"Start some with `dask worker {address} --nthreads 1`."
            )
        _refuse_other_versions(client.run(_versions))
        blind = [worker for worker, sees in sees_folder.items() if not sees]
        if blind:
            raise OSError(
                f"`dask` must have workers that see this folder, but {folder.absolute()} does not exist on "
                f"{', '.join(blind)}. Put --runs on a disk that all machines share."
            )
    except BaseException:
        client.close()
        raise
    return client


def _versions() -> dict[str, str]:
    """Return the versions on which numbers depend, of Python and packages, and the commit."""
    here = describe_environment(1)
    packages: Any = here["packages"]
    return {"Python": str(here["python"]), "commit": str(here["commit"]), **packages}


def _refuse_other_versions(of_workers: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse workers with other versions than those of this process, whose numbers would be others, too.

    Raises:
        OSError: If there is one.
    """
    here = _versions()
    for worker, there in of_workers.items():
        other = [name for name in here if there.get(name) != here[name]]
        if other:
            name = other[0]
            raise OSError(
                f"`dask` must have workers with the versions of here, but {worker} has {name} {there.get(name)} in "
                f"place of {here[name]}. Install the same there, and start the workers again."
            )


def _work_from(current: Path, folder: Path) -> bool:
    """Let a worker read relative paths as the user meant them; say whether it sees the folder of the runs."""
    if not (current.is_dir() and folder.is_dir()):
        return False
    os.chdir(current)
    return True


def _start_worker() -> None:
    """Leave signals of the terminal to the parent; end when the parent has ended."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # files are whole at any time, so nothing is left to do
