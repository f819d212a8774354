"""What `xbar sweep` can be asked for: the words of another command, and lists of its options."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Final, final

import tyro

from ...runs.options.config import available_threads
from ...support.options.command_table import COMMANDS, Command
from ...support.options.idle_options import refuse_given, refuse_given_jobs
from ...support.options.open_options import OPEN_INT, OPEN_NAME, OPEN_PATH
from ...support.options.parsing import load
from ...support.runs_folder import runs_folder
from ..options import refuse_below_one, to_json

_LIST: Final = tyro.conf.arg(metavar="OPTION VALUE [VALUE ...]", help_behavior_hint="")
_WORDS: Final = tyro.conf.arg(metavar="COMMAND [OPTIONS]", help_behavior_hint="")
_WITH_ONE_VALUE: Final = ("--jobs", "--threads", "--dask", "--runs", "--out")
SWEPT: Final = {command.name: command for command in COMMANDS if command.is_swept}


@final
@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Do a command for lists of its options: one run for each combination of their values.

    The command stands first, with its own options, as it is typed after xbar; then a list after each --over: the
    name of an option of that command, without dashes, and its values. All are checked before the first run starts.
    A switch such as --scores takes true and false; an option with several values takes each list in quotes, --over
    devices 'pcm ecram' pcm; what stands without dashes is named as in its help, --over run RUN RUN. The options below
    belong to the sweep, wherever they stand.

    Trainings and evaluations are ordinary ones: `xbar runs`, `xbar report` and `xbar evaluate` find them, and those
    that are finished are not repeated, also by another sweep. Studies write their own folders, one for each
    combination. A run that fails does not end the others. At the end a table has a line for each run, and means over
    the seeds where --over seed is given; of each option that takes numbers a figure shows what came out against it.

    Examples:
      xbar sweep train --epochs 10 --over lr 0.001 0.005 0.02 --over seed 0 1 2
      xbar sweep train --mode in-situ --over lr 0.1 0.3 1 --over device ecram reram-es --over seed 0 1 2 --jobs 2
      xbar sweep train --over placement free 'replicated(tiles=4)' --over tile-size 16 64 256 --plan
      xbar sweep evaluate RUN --over device pcm reram-cmo pcm-hermes --over times 1h 1y
      xbar sweep sharing-cost --quick --over profile hermes-pcm isaac-reram
    """

    command: Annotated[tuple[str, ...], tyro.conf.Positional, _WORDS]
    """The command, and those of its options that all runs have in common; `xbar COMMAND --help` explains them."""
    over: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, _LIST] = ()
    """An option and its values; give it again for each further option."""
    jobs: Annotated[int | None, OPEN_INT] = None
    """Trainings at the same time, each in a process of its own; of a study its own runs. Evaluations go one after
    another. (default: OMP_NUM_THREADS, or all cores)"""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads of each training, or of an evaluation. (default: 1 for trainings and studies, all cores for
    evaluations)"""
    dask: Annotated[str | None, OPEN_NAME] = None
    """Address of a Dask scheduler, as for `xbar sharing-cost`: trainings run on its workers in place of --jobs."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the run folders."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table, figures and page. (default: runs/sweep- and a hash of what was asked for)"""
    plan: bool = False
    """Only list the runs and which of them are finished, and stop."""

    @staticmethod
    def gather(words: Sequence[str]) -> list[str]:
        """Sort the words of a command line: the sweep's own options first, the other command after two dashes.

        Example:
            >>> SweepConfig.gather(["train", "--over", "lr", "0.1", "1", "--epochs", "2", "--jobs=2"])
            ['--over', 'lr', '0.1', '1', '--jobs=2', '--', 'train', '--epochs', '2']
        """
        own: list[str] = []
        others: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word in ("-h", "--help"):
                return ["--help"]
            target = own if word.partition("=")[0] in (*_WITH_ONE_VALUE, "--over", "--plan") else others
            target.append(word)
            if word in _WITH_ONE_VALUE and rest:
                own.append(rest.pop(0))
            while word == "--over" and rest and not rest[0].startswith("--"):
                own.append(rest.pop(0))
        return [*own, "--", *others]

    def __post_init__(self) -> None:
        """Refuse what is no command that can be swept, and lists that are none.

        Raises:
            ValueError: If so.
        """
        name = self.command[0] if self.command else ""
        if name not in SWEPT:
            what = f"is {name!r}" if name else "is left out"
            raise ValueError(
                f"`command` must be one whose results its options decide about, but {what}. These can be swept: "
                f"{', '.join(SWEPT)}."
            )
        if not self.over:
            raise ValueError(
                "`over` must name an option and its values, but is left out. Write --over seed 0 1 2, or "
                f"`xbar {name}` for one run."
            )
        for words in self.over:
            if len(words) < 2:
                given = " ".join(words)
                raise ValueError(
                    f"`over` must be followed by an option and its values, but by {given!r} only. "
                    f"Write them apart: --over {given.replace('=', ' ').replace(',', ' ') or 'lr 0.1 1'}."
                )
        refuse_below_one(self, ("jobs", "threads"))

    @property
    def swept(self) -> Command:
        """The command that is swept."""
        return SWEPT[self.command[0]]

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option.
        """
        refuse_given_jobs(self)
        for name in ("jobs", "dask"):
            if not self._hands_on(name):
                reason = "its runs are done one after another. Leave it out"
                refuse_given(self, (name,), f"with {self.swept.name}", reason)

    def _hands_on(self, name: str) -> bool:
        """Say whether trainings of a sweep have an option of this name, or the command itself."""
        options = {option.name for option in fields(load(self.swept.config))}
        return self.swept.name == "train" or name in options

    def resolved(self) -> "SweepPlan":
        """Return what is done, with what the defaults stand for."""
        several = self._hands_on("jobs")
        return SweepPlan(
            command=self.swept.name,
            words=self.command[1:],
            over=self.over,
            jobs=(self.jobs or available_threads()) if several else 1,
            threads=self.threads or (1 if several else available_threads()),
            dask=self.dask,
            runs=self.runs,
            out=self.out,
            plan=self.plan,
        )


@final
@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What `xbar sweep` does; the fields are those of `SweepConfig`, whose help says what they mean.

    Attributes:
        command: Name of the command.
        words: What stands after it.
    """

    command: str
    words: tuple[str, ...]
    over: tuple[tuple[str, ...], ...]
    jobs: int
    threads: int
    dask: str | None
    runs: Path
    out: Path | None
    plan: bool

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
