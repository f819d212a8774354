"""What `xbar compare-devices` can be asked for."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal, final

import tyro

from ...data.objective_names import Loss, Metric
from ...support.options.idle_options import refuse_given_folder, refuse_given_jobs
from ...support.options.open_options import ALL, OPEN, OPEN_INT, OPEN_NAME, OPEN_PATH, one_of
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, refuse_two_rates, to_json

Network = Literal["fcn", "cnn"]
_DEVICES_ALONE: Final = tyro.conf.arg(metavar="[DEVICE ...]", help_behavior_hint="")

DEVICES: Final = (
    "pcm", "pcm-hermes", "reram-cmo", "reram-wan2022", "ideal",
    "ecram", "ecram-mo", "reram-sb", "reram-es", "capacitor", "idealized", "mixed-precision-reram-sb",
)  # fmt: skip
_QUICK_DEVICES: Final = ("pcm", "reram-cmo", "ecram", "reram-sb")
CATALOGUE: Final = "catalogue"
_SEEDS: Final = (0, 1, 2)
_CHIPS: Final = 5
_TRIALS: Final = 6
"""Of a search for the rate of each training, where a device of one's own is among them; assumed."""


@final
@dataclass(frozen=True, kw_only=True)
class CompareDevicesConfig:
    """Which device learns best, and which one remembers?

    Trains the same two networks on every device with several seeds: the FCN with a kernel and a tile for each
    location, and the CNN with one kernel that serves all. Devices that are written and age are programmed after
    hardware-aware training; devices that pulses move learn in situ; pcm does both. Writes a ranked table
    (compare_devices.md, .csv, .json), a figure and a page to read in a browser (compare_devices.html) with the
    characterisation of every device.

    Finished runs are not repeated: it can be stopped at any time, enlarged, and started again.

    Examples:
      xbar compare-devices
      xbar compare-devices --quick
      xbar compare-devices my.toml other.toml catalogue
      xbar compare-devices pcm ecram my.toml --seeds 0 1 2 3 4
      xbar compare-devices --data mnist --data-dir data --train-images 6000 --epochs 2
      xbar compare-devices --model my_network.py:build --data my_data.py:splits
      xbar compare-devices --dask tcp://10.0.0.1:8786 --runs /shared/runs
    """

    listed: Annotated[tuple[str, ...], tyro.conf.Positional, _DEVICES_ALONE] = ()
    """The devices, as for --devices. (default: catalogue)"""
    data: str = "digits"
    """Images, as for `xbar train`: digits, mnist, fashion-mnist, cifar10, svhn, sentences, or your own: file.npz,
    file.txt, my_data.py:splits, or a folder images/."""
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
    """The network, as for `xbar train`: a name, or your own, my_network.py:build; fcn gives its convolutions a kernel
    for each location, cnn leaves it as it is. (default: those that fit the data)"""

    devices: tuple[str, ...] = DEVICES
    """Memory cells, by name (`xbar devices`), or device files such as my.toml (`xbar fit-device`); catalogue: those
    that stand here, with --quick four of them. They may also be given without --devices."""
    networks: tuple[Network, ...] = ("fcn", "cnn")
    """fcn: a kernel of its own for each location, on tiles of its own. cnn: one kernel, one tile, used again."""
    seeds: tuple[int, ...] = _SEEDS
    """Seeds of the runs: of initial weights, order of images, devices and noise."""

    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: 20 for the digits, else as `xbar train`)"""
    tune: Annotated[int | None, OPEN_INT] = None
    """Search the learning rate of every training first, with so many trials each, as `xbar tune` does; 0: take the
    usual ones. (default: 6 if a device file is among the devices, which has no usual one of its own; else 0)"""
    tuned: Annotated[Path | None, OPEN_PATH] = None
    """Take learning rates and batch sizes from this file, which `xbar tune` has written."""
    chips: Annotated[int | None, OPEN_INT] = None
    """Chips to program, or readings of one chip that was trained in situ. (default: 5)"""
    times: str = "1s,1h,1d,1month,1y"
    """Times since programming at which devices with a model of ageing are evaluated, where it is valid."""

    quick: bool = False
    """A first look in two minutes: four devices, one seed, few epochs. Its accuracies mean little."""
    jobs: Annotated[int | None, OPEN_INT] = None
    """Runs at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each run. Two runs with one thread are faster than one run with two."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work of a run takes beside weights and devices, as for `xbar train`; of runs that
    are put on tiles."""
    dask: Annotated[str | None, OPEN_NAME] = None
    """Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers do the runs in place of --jobs
    processes; they must see the folder --runs. Needs `pip install 'crossbar-emulator[cluster]'`."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the folders of the single runs, as for `xbar train`."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table, figures and page. (default: runs/compare-devices- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        try:
            refuse_doubles(self, ("listed",), may_be_empty=("listed",))
        except ValueError as error:
            raise ValueError(str(error).replace("`listed`", "`devices`")) from None
        refuse_doubles(self, ("devices", "networks", "seeds"))
        if self.listed and self.devices is not DEVICES:
            raise ValueError(
                f"`devices` must be given once, but are {' '.join(self.listed)} and, with --devices, "
                f"{' '.join(self.devices)}. Leave --devices out, and name all of them."
            )
        refuse_below_one(self, ("epochs", "train_images", "test_images", "chips", "threads", "jobs"))
        refuse_two_rates(self, ("tune", "tuned"))
        if self.tune is not None and self.tune < 0:
            raise ValueError(f"`tune` must be 0 or more, but is {self.tune}. 0 searches nothing.")

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option.
        """
        refuse_given_folder(self, self.data)
        refuse_given_jobs(self)

    def resolved(self) -> "CompareDevicesPlan":
        """Return what is done, with what `quick` and the defaults stand for."""
        # The very tuples that are the defaults: one that was typed is another, even if it says the same.
        named = self.listed or ((CATALOGUE,) if self.devices is DEVICES else self.devices)
        config = replace(
            self, listed=(), devices=_spelt_out(named, _QUICK_DEVICES if self.quick else DEVICES)
        )
        if self.quick:
            config = replace(
                config,
                seeds=(0,) if self.seeds is _SEEDS else self.seeds,
                epochs=self.epochs or 3,
                chips=self.chips or 2,
            )
        epochs = config.epochs or (20 if self.data == "digits" else None)
        if (
            config.tune is None
            and config.tuned is None
            and any(own.endswith(".toml") for own in config.devices)
        ):
            config = replace(config, tune=0 if self.quick else _TRIALS)
        return planned(
            CompareDevicesPlan, config, "compare-devices", epochs=epochs, chips=config.chips or _CHIPS
        )


def _spelt_out(named: tuple[str, ...], catalogue: tuple[str, ...]) -> tuple[str, ...]:
    """Replace the word by the devices that it stands for, each once."""
    rest = [name for name in catalogue if name not in named]
    at = named.index(CATALOGUE) if CATALOGUE in named else len(named)
    return (*named[:at], *(rest if at < len(named) else ()), *named[at + 1 :])


@final
@dataclass(frozen=True, kw_only=True)
class CompareDevicesPlan:
    """What `xbar compare-devices` does: a wish in which nothing is left open.

    The fields are those of `CompareDevicesConfig`, whose help says what they mean. None is still an answer:
    all images, as `xbar train`, no cluster.
    """

    data: str
    data_dir: str
    download: bool
    train_images: int | None
    test_images: int | None
    loss: Loss | None
    metric: Metric | None
    model: str | None
    devices: tuple[str, ...]
    networks: tuple[Network, ...]
    seeds: tuple[int, ...]
    epochs: int | None
    tune: int | None
    tuned: Path | None
    chips: int
    times: str
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
