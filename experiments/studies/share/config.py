"""What `xbar share` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, final

from ...runs.options.config import Mode
from ...support.options.idle_options import refuse_given_jobs
from ...support.options.open_options import OPEN_FLOAT, OPEN_INT, OPEN_NAME, OPEN_PATH
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, refuse_two_rates, to_json

Start = Literal["apart", "together"]


@final
@dataclass(frozen=True, kw_only=True)
class ShareConfig:
    """Kernels that learned apart, made one afterwards: what is lost, and what is saved?

    A network without sharing learns from images that are shifted at random, which is said to make its kernels alike
    by themselves. Then all locations get the mean of their kernels, on one tile, and it learns on for some epochs. Is
    that better than one tile that starts from nothing and learns as long? And than one tile from the start? Kernels
    may also start together: as those of one tile that has learned for an epoch. Writes share.md, .csv, .json, .html
    and a figure.

    Finished runs are not repeated: it can be stopped at any time, enlarged, and started again.

    Examples:
      xbar share --modes digital --seeds 0
      xbar share --modes in-situ --shifts 0 0.2 --retrain 1 3 10 --lr 0.5
    """

    data: str = "digits"
    """Images, as for `xbar train`: digits, mnist, fashion-mnist, cifar10."""
    data_dir: str = "data"
    """Folder of the data set."""
    download: bool = False
    """Fetch the data set into the data folder if it is missing."""
    train_images: Annotated[int | None, OPEN_INT] = None
    """Train on this many images only. (default: all)"""
    test_images: Annotated[int | None, OPEN_INT] = None
    """Test on this many images only. (default: all)"""
    modes: tuple[Mode, ...] = ("digital", "in-situ")
    """Where networks learn."""
    programmed: str = "pcm"
    """Memory cell that networks trained hardware-aware are programmed onto."""
    learning: str = "ecram"
    """Memory cell that learns in situ and by write-verify."""
    shifts: tuple[float, ...] = (0.0, 0.2, 0.4)
    """Shifts of the training images, in parts of their side."""
    starts: tuple[Start, ...] = ("apart", "together")
    """How kernels start: each drawn by itself (apart), or all as the one kernel of a tile that has learned for an
    epoch from the same images (together)."""
    soft_sharing: Annotated[float | None, OPEN_FLOAT] = None
    """Strength of a penalty on differences between neighbouring kernels while they learn apart, as for `xbar train`;
    not in situ. (default: none)"""
    retrain: tuple[int, ...] = (1, 3, 10)
    """Epochs for which the network learns on after its kernels were made one."""
    epochs: int = 20
    """Epochs for which kernels learn apart, that of a start together among them."""
    lr: Annotated[float | None, OPEN_FLOAT] = None
    """Learning rate of every run. (default: as `xbar train`)"""
    tuned: Annotated[Path | None, OPEN_PATH] = None
    """Take learning rates from this file, which `xbar tune` has written: that of free kernels while they learn apart,
    that of one tile for all else."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs."""

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
    """Folder for table, figure and page. (default: runs/share- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        refuse_doubles(self, ("modes", "shifts", "starts", "retrain", "seeds"))
        refuse_two_rates(self, ("lr", "tuned"))
        refuse_below_one(self, ("epochs", "train_images", "test_images", "jobs", "threads"))
        for shift in self.shifts:
            if not 0 <= shift <= 1:
                raise ValueError(f"`shifts` must lie in [0, 1], but one is {shift}. Give 0.2 for 20 %.")
        for epochs in self.retrain:
            if epochs < 1:
                raise ValueError(
                    f"`retrain` must be 1 epoch or more, but one is {epochs}. What is left without is told anyway."
                )
        if "together" in self.starts and self.epochs == 1:
            raise ValueError(
                "`epochs` must be 2 or more where kernels start together, but is 1: that is the epoch on one tile. "
                "Give more, or --starts apart."
            )
        if self.soft_sharing is not None and "in-situ" in self.modes:
            raise ValueError(
                f"`soft_sharing` must be left out in situ, but is {self.soft_sharing}: no penalty reaches pulses. "
                "Give other --modes."
            )

    def refuse_idle(self) -> None:
        """Refuse a number of processes beside the workers of a cluster.

        Raises:
            ValueError: If both are given.
        """
        refuse_given_jobs(self)

    def resolved(self) -> "SharePlan":
        """Return what is done, with what the defaults stand for."""
        return planned(SharePlan, self, "share")


@final
@dataclass(frozen=True, kw_only=True)
class SharePlan:
    """What `xbar share` does: a wish in which nothing is left open.

    The fields are those of `ShareConfig`, whose help says what they mean. None is still an answer: as `xbar train`,
    all images, no penalty, no cluster.
    """

    data: str
    data_dir: str
    download: bool
    train_images: int | None
    test_images: int | None
    modes: tuple[Mode, ...]
    programmed: str
    learning: str
    shifts: tuple[float, ...]
    starts: tuple[Start, ...]
    soft_sharing: float | None
    retrain: tuple[int, ...]
    epochs: int
    lr: float | None
    tuned: Path | None
    seeds: tuple[int, ...]
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
