"""`xbar resume`: go on with an interrupted run."""

from dataclasses import replace

from ..runs.options.defaults import resolve
from ..runs.run_data import images_of
from ..runs.run_folder import RunFolder
from ..runs.team.launching import started_by_torchrun
from ..support.answer import Answer
from ..support.options.idle_options import refuse_moved_digits
from .config import ResumeConfig
from .train import run_with_reference


def run_resume(config: ResumeConfig) -> Answer:
    """Continue an interrupted run with its own configuration and number of threads.

    Returns:
        The file of the accuracies.

    Raises:
        ValueError: If the run's files are damaged, or its data have changed.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it.
    """
    if started_by_torchrun() is not None:
        raise ValueError(
            "`resume` must not be started by torchrun, but is. Repeat `train` there, which goes on, too."
        )
    folder = RunFolder.existing(config.run)
    started = folder.read_config()
    folder.admit_own_files(trust=config.trust)
    refuse_moved_digits(config.data_dir, started.data)
    data_dir = config.data_dir or started.data_dir
    started = replace(started, force=False, out=folder.path.parent, data_dir=data_dir)
    data = images_of(started)
    # Resolved anew, so that what a run cannot be, or its images no longer are, is refused in a sentence.
    return run_with_reference(resolve(started.as_wish(), data.facts), folder, data)
