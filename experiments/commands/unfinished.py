"""The page of a run that is not finished: how far it is, and what is known of it so far."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from devices.units import Seconds

from ..drawing.html_page import write_page
from ..drawing.run_tables import TRAINED
from ..drawing.sections import Picture, Section
from ..runs.options.command_line import command_of
from ..runs.run import Run
from ..runs.run_folder import RunFolder
from .report_page import PAGE, origin_sections


@final
@dataclass(frozen=True, kw_only=True)
class StateOfRun:
    """How far a run has come.

    Attributes:
        run: What it does.
        log: A record for each finished epoch.
        is_trained: Whether its training is over; what is left is its evaluation.
        is_in_use: Whether a process is at work on it now.
    """

    run: Run
    log: list[dict[str, float]]
    is_trained: bool
    is_in_use: bool

    @classmethod
    def read(cls, folder: RunFolder, *, is_in_use: bool) -> "StateOfRun":
        """Read how far a run has come.

        Raises:
            ValueError: If a file is damaged.
        """
        log = folder.read_log(is_finished=False) if folder.log_file.exists() else []
        is_trained = folder.model_file.exists()
        return cls(run=folder.read_config(), log=log, is_trained=is_trained, is_in_use=is_in_use)

    @property
    def seconds_left(self) -> Seconds | None:
        """How long the training still takes if all epochs take as long as those that are finished."""
        if not self.log:
            return None
        of_an_epoch = sum(record["seconds"] for record in self.log) / len(self.log)
        return of_an_epoch * (self.run.epochs - len(self.log))

    @property
    def sentence(self) -> str:
        """Say how far it is."""
        if self.is_trained:
            told = "Not finished: it is trained, and its test is not over"
        else:
            told = f"Not finished: {len(self.log)} of {self.run.epochs} epochs"
            if self.seconds_left is not None:
                told += f", the others take about {_duration(self.seconds_left)}"
        if self.is_in_use:
            return f"{told}. A process is at work on it now; repeat `xbar report` to see how it goes on."
        return f"{told}. Nobody is at work on it; `xbar resume` goes on."

    def to_json(self) -> dict[str, Any]:
        """Return all of it in the types of JSON."""
        return {
            "finished": False,
            "is_trained": self.is_trained,
            "is_in_use": self.is_in_use,
            "epochs_done": len(self.log),
            "epochs": self.run.epochs,
            "seconds_left": self.seconds_left,
            "log": self.log,
        }


def write_unfinished_page(folder: RunFolder, state: StateOfRun) -> Path:
    """Write the page of a run that is not finished into its folder.

    Args:
        folder: The run.
        state: How far it is.

    Returns:
        The HTML file.
    """
    sections = [Section(title="How far it is", warnings=(state.sentence,))]
    if state.log:
        title = "Loss and accuracy of training and validation, epoch by epoch"
        picture = Picture(path=folder.learning_figure, description=title)
        sections.append(Section(title=title, pictures=(picture,)))
    sections += origin_sections(folder, command_of(state.run.as_wish()))
    run = state.run
    summary = f"{run.model} ({run.placement}) on {run.data}, {TRAINED[run.mode]}, seed {run.seed}."
    path = folder.path / PAGE
    write_page(path, title=folder.path.name, summary=summary, sections=sections)
    return path


def _duration(seconds: Seconds) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
