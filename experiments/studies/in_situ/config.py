"""What `xbar in-situ` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, final

from ...support.options.idle_options import refuse_given_jobs
from ...support.options.open_options import OPEN_INT, OPEN_NAME, OPEN_PATH
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json

DEVICES: Final = (
    "idealized",
    "ecram",
    "capacitor",
    "reram-sb",
    "tiki-taka-reram-sb",
    "mixed-precision-reram-sb",
    "pcm",
)


@final
@dataclass(frozen=True, kw_only=True)
class InSituConfig:
    """How well do shared and unshared kernels learn by pulses, on which device?

    Trains the networks of the digits in situ on every device, with a kernel for each location (free), with copies of
    one kernel (replicated), and with one kernel on one tile (time-multiplexed), by the defaults of `xbar train`; and
    digitally, for comparison. Writes in_situ.md, .csv, .json, .html and a figure.

    Finished runs are not repeated: it can be stopped at any time, enlarged, and started again.

    Examples:
      xbar in-situ --epochs 15
      xbar in-situ --devices ecram capacitor --seeds 0
    """

    devices: tuple[str, ...] = DEVICES
    """Memory cells that learn, by name (`xbar devices`) or device file."""
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
    """Folder for table, figure and page. (default: runs/in-situ- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        refuse_doubles(self, ("devices", "seeds"))
        refuse_below_one(self, ("epochs", "train_images", "test_images", "jobs", "threads"))

    def refuse_idle(self) -> None:
        """Refuse a number of processes beside the workers of a cluster.

        Raises:
            ValueError: If both are given.
        """
        refuse_given_jobs(self)

    def resolved(self) -> "InSituPlan":
        """Return what is done, with what the defaults stand for."""
        return planned(InSituPlan, self, "in-situ")


@final
@dataclass(frozen=True, kw_only=True)
class InSituPlan:
    """What `xbar in-situ` does: a wish in which nothing is left open.

    The fields are those of `InSituConfig`, whose help says what they mean. None is still an answer: as `xbar
    train`, all images, no cluster.
    """

    devices: tuple[str, ...]
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
