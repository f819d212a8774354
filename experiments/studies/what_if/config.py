"""What `xbar what-if` can be asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, final

import tyro

from devices.working_memory import bytes_of

from ...data.objective_names import Loss, Metric
from ...support.options.idle_options import refuse_given_folder, refuse_given_jobs
from ...support.options.open_options import ALL, OPEN, OPEN_INT, OPEN_NAME, OPEN_PATH, one_of
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json

Dimensionless = Annotated[float, "1"]
Mode = Literal["in-situ", "hwa"]

_MODES: Final = tyro.conf.arg(metavar="{in-situ,hwa} [{in-situ,hwa}]", help_behavior_hint="")
_SEEDS: Final = (0, 1, 2, 3)
_EPOCHS_OF_DIGITS: Final = 10


@final
@dataclass(frozen=True, kw_only=True)
class WhatIfConfig:
    """Which property of a device to improve, by how much, for which gain in accuracy?

    Takes a device file, changes one property after the other (half the noise of a step, twice the states, up and down
    equal, half the spread from device to device, half the programming noise, ...), and all at once, and asks each of
    these devices to do the same work as yours. Devices that pulses move learn in situ, with the same seeds; for each
    of them the learning rate is chosen alike, from the same number of rates, on validation images. Devices that are
    written get the same trained networks, the same chips and reads. Tells the gain of each change with its 95 %
    interval over seeds (and test images, where all seeds have the same), and what to change first. Writes a table
    (what_if.md, .csv, .json), a figure, a page, and the changed device files.

    Finished trainings are not repeated: it can be stopped at any time, enlarged, and started again.

    Examples:
      xbar what-if my.toml
      xbar what-if my.toml --factors 2 4 --seeds 0 1 2 3 4 5
      xbar what-if my.toml --factors 0.5                        what if it were worse: tolerances
      xbar what-if my.toml --modes hwa --time 1month
      xbar what-if my.toml --data mnist --data-dir data --train-images 6000 --epochs 2
      xbar import-device aihwkit ReRamESPreset --name es && xbar what-if es.toml
    """

    device: Annotated[str, tyro.conf.Positional]
    """The device file; `xbar fit-device` and `xbar import-device` make some."""
    factors: tuple[Dimensionless, ...] = (2.0,)
    """By how much a property is better: 2 halves a noise, a spread or a step, and doubles a range; below 1 it is
    worse."""
    modes: Annotated[tuple[Mode, ...] | None, _MODES] = None
    """in-situ: networks learn on the devices. hwa: networks trained in software are written onto them, and age.
    (default: what the device file has numbers for)"""
    data: str = "digits"
    """Images, as for `xbar train`."""
    data_dir: str = "data"
    """Folder of the data set."""
    download: bool = False
    """Fetch the data set into the data folder if it is missing."""
    train_images: Annotated[int | None, ALL] = None
    """Train on this many images only."""
    test_images: Annotated[int | None, ALL] = None
    """Test on this many images only."""
    loss: Annotated[Loss | None, one_of(Loss), OPEN] = None
    """What training lowers, as for `xbar train`. (default: that which suits the labels)"""
    metric: Annotated[Metric | None, one_of(Metric), OPEN] = None
    """What is counted, as for `xbar train`. (default: that which suits the loss)"""
    model: Annotated[str | None, OPEN_NAME] = None
    """The network, as for `xbar train`. (default: the CNN that fits the data)"""
    seeds: tuple[int, ...] = _SEEDS
    """Seeds of the trainings: of initial weights, order of images, devices and noise. Two or more."""
    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: 10 for the digits, else as `xbar train`)"""
    rates: int = 3
    """In situ: learning rates that are tried for each device, each three times the one before, the usual one in
    their middle, with the first seed. 1: the usual one for all."""
    chips: int = 5
    """Written: chips for each trained network."""
    time: Annotated[str | None, OPEN_NAME] = None
    """Written: time since programming, such as 1d. (default: the last of 1s,1h,1d,1month,1y that was measured)"""
    threshold: Dimensionless = 0.0
    """Gains up to so many percentage points do not matter to you."""
    jobs: Annotated[int | None, OPEN_INT] = None
    """Trainings at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each training."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work of a training takes beside weights and devices, as for `xbar train`; of
    those that are put on tiles."""
    dask: Annotated[str | None, OPEN_NAME] = None
    """Address of a Dask scheduler, whose workers do the trainings, as for `xbar compare-devices`."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the folders of the single runs, as for `xbar train`."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table, figure, page and device files. (default: runs/what-if- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty, too short or names something twice, a number lies outside its range, or
                the memory is no size.
        """
        if not self.device.endswith(".toml"):
            raise ValueError(
                f"`device` must be a device file such as my.toml, but is {self.device!r}. Make one with `xbar "
                "fit-device`, or of a preset with `xbar import-device aihwkit`."
            )
        if self.memory is not None:
            bytes_of(self.memory)
        refuse_doubles(self, ("factors", "modes", "seeds"))
        refuse_below_one(self, ("epochs", "train_images", "test_images", "chips", "threads", "jobs"))
        if len(self.seeds) < 2:
            raise ValueError(
                f"`seeds` must be two or more, but are {len(self.seeds)}. A gain needs a spread to stand out from."
            )
        for factor in self.factors:
            if not 0 < factor < float("inf") or factor == 1:
                raise ValueError(
                    f"`factors` must be positive, finite and not 1, but hold {factor:g}. Give 2 to halve noises."
                )
        if self.rates < 1 or self.rates % 2 == 0:
            raise ValueError(
                f"`rates` must be odd, 1 or more, but is {self.rates}. The usual one is in their middle: give 3."
            )
        if not 0 <= self.threshold < 100:
            raise ValueError(
                f"`threshold` must lie in [0, 100) percentage points, but is {self.threshold:g}. Give 0.5, say."
            )

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option. What only the device file knows, the study refuses.
        """
        refuse_given_folder(self, self.data)
        refuse_given_jobs(self)

    def resolved(self) -> "WhatIfPlan":
        """Return what is done, with what the defaults stand for."""
        epochs = self.epochs or (_EPOCHS_OF_DIGITS if self.data == "digits" else None)
        return planned(WhatIfPlan, self, "what-if", epochs=epochs)


@final
@dataclass(frozen=True, kw_only=True)
class WhatIfPlan:
    """What `xbar what-if` does: a wish in which nothing is left open but what the device file decides.

    The fields are those of `WhatIfConfig`, whose help says what they mean.
    """

    device: str
    factors: tuple[Dimensionless, ...]
    modes: tuple[Mode, ...] | None
    data: str
    data_dir: str
    download: bool
    train_images: int | None
    test_images: int | None
    loss: Loss | None
    metric: Metric | None
    model: str | None
    seeds: tuple[int, ...]
    epochs: int | None
    rates: int
    chips: int
    time: str | None
    threshold: Dimensionless
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
