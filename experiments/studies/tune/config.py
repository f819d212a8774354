"""What `xbar tune` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, final

import tyro

from ...data.objective_names import Loss, Metric
from ...support.options.idle_options import refuse_given, refuse_given_folder, refuse_given_jobs
from ...support.options.open_options import ALL, OPEN, OPEN_INT, OPEN_NAME, OPEN_PATH, OPEN_TILE, one_of
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json
from ..sharing_cost.config import SCHEMES, Mechanism

_MAY_BE_EMPTY: Final = ("batch_sizes", "transfers")
_RANGE: Final = tyro.conf.arg(metavar="LOW HIGH", help_behavior_hint="")


@final
@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """Which learning rate suits which training?

    Searches the rate, and the batch size if asked to, of every scheme of sharing, mechanism of learning and device,
    on validation images and with the same number of trials for each. Test images are not looked at. Writes
    tuned.toml, which `xbar train`, `xbar sharing-cost` and `xbar compare-devices` take with --tuned, beside a table
    and a figure of all that was tried.

    Trials that are done are not repeated: it can be stopped at any time, started again, and given more --trials.

    Examples:
      xbar tune --devices ecram --mechanisms in-situ --schemes time_multiplexed free
      xbar tune --data mnist --data-dir data --train-images 6000 --epochs 2 --trials 20
      xbar tune --batch-sizes 16 64 --lr-range 0.01 3
      xbar tune --devices ttv2-reram-sb --mechanisms in-situ --transfers 1 5 20
      xbar train --mode in-situ --device ecram --tuned runs/tune-0123456789ab/tuned.toml
    """

    data: str = "digits"
    """Images, as for `xbar train`."""
    data_dir: str = "data"
    """Folder of the data set."""
    download: bool = False
    """Fetch the data set into the data folder if it is missing."""
    train_images: Annotated[int | None, ALL] = None
    """Train on this many images only; as many as the trainings that will use the rates."""

    loss: Annotated[Loss | None, one_of(Loss), OPEN] = None
    """What training lowers, as for `xbar train`. (default: that which suits the labels)"""
    metric: Annotated[Metric | None, one_of(Metric), OPEN] = None
    """What is counted, as for `xbar train`. (default: that which suits the loss)"""
    model: Annotated[str | None, OPEN_NAME] = None
    """The network, as for `xbar sharing-cost`. (default: those that fit the data)"""

    schemes: tuple[str, ...] = SCHEMES
    """Placements of the kernels, as for `xbar sharing-cost`."""
    devices: tuple[str, ...] = ("pcm", "ecram")
    """Memory cells; `xbar devices` lists them."""
    mechanisms: tuple[Mechanism, ...] = ("in-situ", "write-verify", "hwa")
    """How devices get their weights, as for `xbar sharing-cost`."""

    trials: int = 12
    """Trainings that are tried for each; most of them are stopped early."""
    lr_range: Annotated[tuple[float, float] | None, _RANGE] = None
    """Lower and upper end of the learning rates. (default: for each mode from a thirtieth to ten times the usual one,
    the same for all schemes)"""
    batch_sizes: tuple[int, ...] = ()
    """Batch sizes that are searched with it. (default: only the usual one)"""
    transfers: tuple[int, ...] = ()
    """Intervals between transfers that are searched with it, in situ, for devices whose rule transfers (Tiki-Taka and
    its kin, mixed precision), as --transfer-every of `xbar train`. (default: that of the device)"""
    seed: int = 100
    """Seed of the trainings of the search; take another than those of the trainings that will use the rates."""

    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: as `xbar train`)"""
    tile_size: Annotated[int | str | None, OPEN_TILE] = None
    """Word lines and bit lines of emulated tiles. (default: those of the profile's arrays)"""
    profile: Annotated[str | None, OPEN_NAME] = None
    """Hardware profile, as for `xbar sharing-cost`; only the size of its arrays counts."""

    jobs: Annotated[int | None, OPEN_INT] = None
    """Trainings at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each training."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work of a training takes beside weights and devices, as for `xbar train`; of
    those that are put on tiles."""
    dask: Annotated[str | None, OPEN_NAME] = None
    """Address of a Dask scheduler, as for `xbar sharing-cost`."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the searches, in a folder `searches`."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for tuned.toml, table and figure. (default: runs/tune- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no search could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        refuse_doubles(self, ("schemes", "devices", "mechanisms", *_MAY_BE_EMPTY), may_be_empty=_MAY_BE_EMPTY)
        refuse_below_one(self, ("epochs", "train_images", "trials", "threads", "jobs"))
        for name in _MAY_BE_EMPTY:
            if min(getattr(self, name), default=1) < 1:
                raise ValueError(
                    f"`{name}` must be 1 or more, but has {min(getattr(self, name))}. Give larger numbers."
                )
        if self.lr_range is not None:
            low, high = self.lr_range
            if not 0 < low < high < float("inf"):
                raise ValueError(
                    f"`lr_range` must be two positive numbers, the smaller first, but is {low:g} {high:g}. "
                    "Try 0.03 3."
                )

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option.
        """
        refuse_given_folder(self, self.data)
        if "in-situ" not in self.mechanisms:
            reason = "only rules of learning in situ transfer. Leave them out"
            refuse_given(self, ("transfers",), "without the mechanism in-situ", reason)
        refuse_given_jobs(self)

    def resolved(self) -> "TunePlan":
        """Return what is done, with what the defaults stand for."""
        return planned(TunePlan, self, "tune")


@final
@dataclass(frozen=True, kw_only=True)
class TunePlan:
    """What `xbar tune` does; the fields are those of `TuneConfig`, whose help says what they mean."""

    data: str
    data_dir: str
    download: bool
    train_images: int | None
    loss: Loss | None
    metric: Metric | None
    model: str | None
    schemes: tuple[str, ...]
    devices: tuple[str, ...]
    mechanisms: tuple[Mechanism, ...]
    trials: int
    lr_range: tuple[float, float] | None
    batch_sizes: tuple[int, ...]
    transfers: tuple[int, ...]
    seed: int
    epochs: int | None
    tile_size: int | str | None
    profile: str | None
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
