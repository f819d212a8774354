"""Several processes that work on one run: started by torch's own launcher, here or by `torchrun`."""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

# assumed: longer than any process waits for another, which may evaluate or load images meanwhile. Whoever waits for a
# process that has ended is told so at once.
_PATIENCE: Final = timedelta(days=7)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def started_by_torchrun() -> int | None:
    """Return the number of processes if this one was started by `torchrun`, or by `launch`; else None."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else None


@contextmanager
def joined() -> Iterator[None]:
    """Work together with the other processes that the launcher has started."""
    with _silence():
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep gloo, which says whom it has met, away from the output that may be read by programs."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def launch(number: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call a function in several new processes of this machine, and return what each returned.

    Args:
        number: How many.
        work: A function of a module.
        arguments: What each is called with.

    Raises:
        ValueError: If it was raised in one of them.
        ChildProcessError: If one of them ended otherwise; the others are ended then.
        SignalException: If this process was asked to stop; the others have been, too.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        logs_specs=DefaultLogsSpecs(),
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    handlers = {one: signal.getsignal(one) for one in _SIGNALS}
    loggers = [logging.getLogger(f"torch.distributed.{name}") for name in ("elastic", "launcher")]
    levels = [one.level for one in loggers]
    for logger in loggers:  # what went wrong is said below, in one sentence
        logger.setLevel(logging.CRITICAL)
    try:
        says_elsewhere = sys.stdout is sys.stderr  # with --json
        answers = elastic_launch(config, _work_here)(says_elsewhere, work, *arguments)
    except ChildFailedError as error:
        raise _as_ours(error, number) from None
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    return [answers[rank] for rank in range(number)]


def _work_here(says_elsewhere: bool, work: Callable[..., Any], *arguments: Any) -> Any:
    if says_elsewhere:
        os.dup2(2, 1)
    return work(*arguments)


def _as_ours(error: ChildFailedError, number: int) -> Exception:
    """Return what to raise where a process failed: its own error, if that is one for the user."""
    rank, failure = error.get_first_failure()
    told: Any = failure.message  # of an exception a table, of a signal a text
    said = str(told.get("message", told) if isinstance(told, dict) else told)
    _, _, sentence = said.partition(": ")
    if sentence.startswith("`"):  # one of ours, after the name of its class
        return ValueError(sentence)
    why = " ".join(said.split()) or f"exit code {failure.exitcode}"
    return ChildProcessError(
        f"process {rank} of {number} has ended before its work was done ({why}), and the others were stopped. Repeat "
        "the command: the run goes on from its last checkpoint."
    )


__all__ = ["SignalException", "joined", "launch", "started_by_torchrun"]
