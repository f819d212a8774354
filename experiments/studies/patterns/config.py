"""What `xbar patterns` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, final

from ...runs.options.config import Mode
from ...support.options.idle_options import refuse_given_jobs
from ...support.options.open_options import OPEN_INT, OPEN_NAME, OPEN_PATH
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json


@final
@dataclass(frozen=True, kw_only=True)
class PatternsConfig:
    """Is it the weights that are hard to share, or the patterns of connections?

    Every location of the digits' network has a tile of its own, and every tile lacks a share of its devices. Kernels
    are one in all tiles (weights shared) or free, and tiles lack the same devices (patterns shared) or each its own:
    four networks on the same hardware. Each learns digitally, hardware-aware, in situ and by write-verify. Writes
    patterns.md, .csv, .json, .html and a figure: accuracy, and the residual between copies, against the share.

    Finished runs are not repeated: it can be stopped at any time, enlarged, and started again.

    Examples:
      xbar patterns --epochs 15 --seeds 0
      xbar patterns --modes digital --shares 0 0.5 --seeds 0 1 2
    """

    modes: tuple[Mode, ...] = ("digital", "hwa", "in-situ", "write-verify")
    """Where networks learn."""
    shares: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9)
    """Shares of the weights of every local layer that are absent."""
    programmed: str = "pcm"
    """Memory cell that networks trained hardware-aware are programmed onto."""
    learning: str = "ecram"
    """Memory cell that learns in situ and by write-verify."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs."""
    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: as `xbar train`)"""
    train_images: Annotated[int | None, OPEN_INT] = None
    """Train on this many images only. (default: all)"""
    test_images: Annotated[int | None, OPEN_INT] = None
    """Test on this many images only. (default: all)"""

    jobs: Annotated[int | None, OPEN_INT] = None
    """Runs at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each run."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work of a run takes beside weights and devices, as for `xbar train`; of runs that
    are put on tiles."""
    dask: Annotated[str | None, OPEN_NAME] = None
    """Address of a Dask scheduler, whose workers do the runs in place of --jobs processes."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the folders of the single runs, as for `xbar train`."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table, figure and page. (default: runs/patterns- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        refuse_doubles(self, ("modes", "shares", "seeds"))
        refuse_below_one(self, ("epochs", "train_images", "test_images", "jobs", "threads"))
        for share in self.shares:
            if not 0 <= share < 1:
                raise ValueError(f"`shares` must lie in [0, 1), but one is {share}. Give 0.3 for 30 %.")

    def refuse_idle(self) -> None:
        """Refuse a number of processes beside the workers of a cluster.

        Raises:
            ValueError: If both are given.
        """
        refuse_given_jobs(self)

    def resolved(self) -> "PatternsPlan":
        """Return what is done, with what the defaults stand for."""
        return planned(PatternsPlan, self, "patterns")


@final
@dataclass(frozen=True, kw_only=True)
class PatternsPlan:
    """What `xbar patterns` does: a wish in which nothing is left open.

    The fields are those of `PatternsConfig`, whose help says what they mean. None is still an answer: as `xbar
    train`, all images, no cluster.
    """

    modes: tuple[Mode, ...]
    shares: tuple[float, ...]
    programmed: str
    learning: str
    seeds: tuple[int, ...]
    epochs: int | None
    train_images: int | None
    test_images: int | None
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
