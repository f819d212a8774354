"""A training in several processes: each holds the tiles of its locations, the first one writes the files."""

from pathlib import Path

from torch import nn

from crossbar import save_model
from crossbar.distributed import communication

from ...data.datasets import DataSplit
from ...support.interruption import Interruption, RunInterrupted
from ..run import Run
from ..run_data import images_of
from ..run_folder import RunFolder
from ..training import train
from .launching import SignalException, joined, launch
from .memory import use_memory
from .threads import use_threads


def train_in_processes(run: Run, folder: RunFolder, interruption: Interruption, fingerprint: str) -> None:
    """Start the processes of a run, and wait until they have trained its network and written it to the folder.

    Args:
        run: The run.
        folder: Where it lies; this process has locked it.
        interruption: How to continue after a stop.
        fingerprint: That of the data.

    Raises:
        RunInterrupted: If the training was asked to stop; its checkpoint is saved then.
        ValueError: If the run cannot be trained, or not in several processes.
        ChildProcessError: If one of them was killed.
    """
    try:
        stopped_by = launch(run.processes, _train_here, run, folder.path, fingerprint)
    except SignalException as stop:
        raise RunInterrupted(int(stop.sigval), interruption.how_to_continue) from None
    if stopped_by[0] is not None:
        raise RunInterrupted(stopped_by[0], interruption.how_to_continue)


def _train_here(run: Run, path: Path, fingerprint: str) -> int | None:
    """Do the part of one process; return the signal that stopped it, or None."""
    use_threads(run.threads)
    folder = RunFolder(path)
    with joined(), use_memory(run.memory), Interruption("", is_patient=True) as interruption:
        try:
            keep(train(run, images_of(run), folder, interruption, fingerprint=fingerprint), folder)
        except RunInterrupted as stop:
            return stop.signal_number
    return None


def keep(model: nn.Module, folder: RunFolder) -> None:
    """Write a trained network to the folder, in the first of the processes; its checkpoint is not needed any more."""
    if communication.rank() == 0:
        save_model(model, folder.model_file)
        folder.delete_checkpoint()


def follow(run: Run, folder: RunFolder, data: DataSplit) -> None:
    """Take part in what the first process of several does: train with it, if there is something to train."""
    use_threads(run.threads)
    with use_memory(run.memory), Interruption("", is_patient=True) as interruption:
        if begin_together(trains=False):
            train(run, data, folder, interruption, fingerprint=data.fingerprint())


def begin_together(*, trains: bool) -> bool:
    """Tell the other processes, or hear from the first, whether there is something to train."""
    return communication.any_process(trains)
