"""What `xbar demo` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from ...support.options.open_options import OPEN_INT, OPEN_PATH
from ..options import planned, refuse_below_one, to_json


@final
@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What does exact weight sharing cost, and what happens without it? A small answer, in two minutes.

    Trains one network on scikit-learn's 8 x 8 digits three times, hardware-aware: with one kernel for each layer on
    one tile, with the same kernel copied to a tile for each location, and with a kernel of its own for each location.
    Programs each onto phase-change chips, lets them age for a year, prices an image, and puts it into one table and
    one figure, with a page for the browser.

    What is done is not repeated: it can be stopped at any time, and started again.

    Examples:
      xbar demo
      xbar demo --seed 1
    """

    seed: int = 0
    """Every random stream is derived from it."""
    chips: int = 5
    """Chips that each network is programmed onto."""
    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: as `xbar train`)"""
    no_browser: bool = False
    """Do not open the page; its path is printed anyway."""

    jobs: Annotated[int | None, OPEN_INT] = None
    """Trainings at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each training."""
    runs: Path = Path("runs")
    """Folder that holds the folders of the single runs, as for `xbar train`."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table, figure and page. (default: runs/demo- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no run could use.

        Raises:
            ValueError: If a number lies outside its range.
        """
        refuse_below_one(self, ("chips", "epochs", "jobs", "threads"))

    def resolved(self) -> "DemoPlan":
        """Return what is done, with what the defaults stand for."""
        return planned(DemoPlan, self, "demo")


@final
@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """What `xbar demo` does: a wish in which nothing is left open; the fields are those of `DemoConfig`."""

    seed: int
    chips: int
    epochs: int | None
    no_browser: bool
    jobs: int
    threads: int
    runs: Path
    out: Path

    @property
    def dask(self) -> None:
        """No cluster: three short runs."""
        return None

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
