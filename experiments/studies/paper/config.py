"""What `xbar paper` can be asked for."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

import tyro

from ...runs.options.config import Augment, Schedule
from ...support.options.idle_options import refuse_given, refuse_given_folder, refuse_given_jobs
from ...support.options.open_options import OPEN_PATH
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, to_json

Scale = Literal["smoke", "laptop", "full"]
Mode = Literal["digital", "hwa", "in-situ"]

# Strengths of the augmentation, in the order of the paper's figures. Ott et al., Neural Networks 126 (2020).
_STRENGTHS_OF_THE_PAPER: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
_OPEN: Final = {
    "data": tyro.conf.arg(metavar="STR", help_behavior_hint=""),
    "int": tyro.conf.arg(metavar="INT", help_behavior_hint=""),
    "float": tyro.conf.arg(metavar="FLOAT", help_behavior_hint=""),
}
_OpenInt = Annotated[int | None, _OPEN["int"]]
_OpenFloat = Annotated[float | None, _OPEN["float"]]
_Strengths = Annotated[
    tuple[float, ...] | None, tyro.conf.arg(metavar="[FLOAT [FLOAT ...]]", help_behavior_hint="")
]
_Seeds = Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="[INT [INT ...]]", help_behavior_hint="")]
_Names = Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="[STR [STR ...]]", help_behavior_hint="")]

# smoke: shows that everything runs. laptop: the paper's reference points, in reduced epochs. full: Ott et al.'s.
# Learning rates: full, the paper's for MNIST; laptop, assumed, between that and `xbar train`'s, as its epochs are
# few; smoke, that of `xbar train`.
PRESETS: Final[dict[Scale, dict[str, Any]]] = {
    "smoke": {
        "data": "digits",
        "epochs": 12,
        "hardware_epochs": 12,
        "batch_size": 64,
        "lr": 5e-3,
        "schedule": "cosine",
        "strengths": (0.0, 0.2),
        "hardware_strengths": (0.0, 0.2),
        "vcps": (0.3, 0.7),
        "hardware_vcps": (0.3, 0.7),
        "seeds": (0,),
        "in_situ": ("ecram",),
        "chips": 1,
    },
    "laptop": {
        "data": "mnist",
        "epochs": 6,
        "hardware_epochs": 4,
        "batch_size": 128,
        "lr": 2e-3,
        "schedule": "cosine",
        "strengths": (0.0, 0.1, 0.2, 0.4),
        "hardware_strengths": (0.0, 0.2),
        "vcps": (0.3, 0.6, 0.9),
        "hardware_vcps": (0.6,),
        "seeds": (0,),
        "in_situ": ("ecram", "reram-sb"),
        "chips": 2,
        "hardware_images": 20_000,
    },
    "full": {
        "data": "mnist",
        "epochs": 250,
        "hardware_epochs": 250,
        "batch_size": 256,
        "lr": 1e-3,
        "schedule": "constant",
        "strengths": _STRENGTHS_OF_THE_PAPER,
        "hardware_strengths": _STRENGTHS_OF_THE_PAPER,
        "vcps": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "hardware_vcps": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "seeds": (0, 1, 2, 3, 4),
        "folds": 5,
        "in_situ": ("ecram", "reram-sb"),
        "chips": 5,
    },
}


@final
@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """To share or not to share? The seed paper's four questions, in floating point and on hardware.

    J. Ott, E. Linstead, N. LaHaye and P. Baldi, "Learning in the machine: To share or not to share?", Neural Networks
    126 (2020), asked whether weight sharing is necessary (1) to prevent overfitting, (2) for translation-invariant
    recognition, (3) for acceptable accuracy, and (4) whether it emerges by itself. They answered in floating point.
    This trains their networks, with a kernel for each location (FCN) and with one kernel (CNN), on augmented images:
    digitally, hardware-aware and programmed onto phase-change memory, and in situ by pulses. It scores their six
    validation sets, lets chips age, measures how alike kernels become, and prices the training with a hardware
    profile.

    Writes paper.md with the four answers, paper.json, paper.csv, a page to read in a browser (paper.html), one figure
    for each question and one of all scores. Finished runs are not repeated: it can be stopped at any time, enlarged,
    and started again.

    --scale smoke: the digits, some minutes; shows that everything runs. --scale laptop: real MNIST, reduced epochs;
    an hour on two cores for each seed. --scale full: the paper's own settings, for a cluster (--dask).

    Examples:
      xbar paper
      xbar paper --scale laptop --data-dir data --download
      xbar paper --scale laptop --modes digital --seeds 0 1 2 --data-dir data
      xbar paper --scale full --dask tcp://10.0.0.1:8786 --runs /shared/runs
    """

    scale: Scale = "smoke"
    """What is asked for where an option is left open."""
    data: Annotated[str | None, _OPEN["data"]] = None
    """Images, as for `xbar train`. (default: digits for smoke, else mnist)"""
    data_dir: str = "data"
    """Folder of the data set."""
    download: bool = False
    """Fetch the data set into the data folder if it is missing."""
    train_images: _OpenInt = None
    """Train on this many images only, digitally. (default: all)"""
    hardware_images: _OpenInt = None
    """Train on this many images only, on hardware. (default: 20000 for laptop, else all)"""
    test_images: _OpenInt = None
    """Test on this many images only. (default: all)"""

    networks: tuple[str, ...] = ("fcn", "cnn")
    """fcn: a kernel of its own for each location. cnn: one kernel for all. Or a placement in between, as for
    `xbar train`: 'replicated(tiles=16)', 'blocks(rows=2,cols=2)'."""
    modes: tuple[Mode, ...] = ("digital", "hwa", "in-situ")
    """digital: floating point. hwa: hardware-aware, then programmed. in-situ: by pulses."""
    hwa: tuple[str, ...] = ("pcm",)
    """Memory cells to program after hardware-aware training."""
    in_situ: _Names = None
    """Memory cells that learn in situ. (default: ecram for smoke, else ecram and reram-sb)"""
    augment: Augment = "translation"
    """How training images are transformed."""
    strengths: _Strengths = None
    """Strengths of it, digitally. (default: 0 and 0.2; 0, 0.1, 0.2 and 0.4 for laptop; the paper's for full)"""
    hardware_strengths: _Strengths = None
    """Strengths of it, on hardware. (default: 0 and 0.2; the paper's for full)"""
    vcps: _Strengths = None
    """Shares of absent inputs of the FCN's local layers, digitally; no values: none. (default: 0.3 and 0.7; 0.3, 0.6
    and 0.9 for laptop; 0.1 to 0.9 for full)"""
    hardware_vcps: _Strengths = None
    """The same on hardware. (default: 0.3 and 0.7; 0.6 for laptop; 0.1 to 0.9 for full)"""
    seeds: _Seeds = None
    """Seeds of the runs: of split, initial weights, order and draws of images, devices, noise. (default: 0; 0 to 4
    for full)"""

    folds: _OpenInt = None
    """Cross-validation: the training of seed s tests on part s of so many. (default: none; 5 for full)"""
    epochs: _OpenInt = None
    """Passes through the training images, digitally. (default: 12, 6, 250)"""
    hardware_epochs: _OpenInt = None
    """The same on hardware. (default: 12, 4, 250)"""
    batch_size: _OpenInt = None
    """Images in a step, digitally and hardware-aware. (default: 64, 128, 256)"""
    lr: _OpenFloat = None
    """Adam's learning rate. (default: 5e-3, 2e-3, 1e-3; in situ that of `xbar train`)"""
    tuned: Annotated[Path | None, OPEN_PATH] = None
    """On hardware, take learning rates and batch sizes from this file, which `xbar tune` has written."""
    chips: _OpenInt = None
    """Chips to program, or readings of one chip that was trained in situ. (default: 1, 2, 5)"""

    jobs: _OpenInt = None
    """Runs at the same time, each in a process of its own. (default: OMP_NUM_THREADS, or all cores)"""
    threads: int = 1
    """Threads of each run. Two runs with one thread are faster than one run with two."""
    memory: Annotated[str | None, _OPEN["data"]] = None
    """Most memory that a piece of work of a run takes beside weights and devices, as for `xbar train`; of runs that
    are put on tiles."""
    dask: Annotated[str | None, _OPEN["data"]] = None
    """Address of a Dask scheduler, whose workers do the runs in place of --jobs processes; they must see the folder
    --runs. Needs `pip install 'crossbar-emulator[cluster]'`."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that holds the folders of the single runs, as for `xbar train`."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = None
    """Folder for tables, figures and page. (default: runs/paper- and a hash of what was asked for)"""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        strengths, vcps = ("strengths", "hardware_strengths"), ("vcps", "hardware_vcps")
        lists = ("networks", "modes", "hwa", "in_situ", *strengths, *vcps, "seeds")
        refuse_doubles(self, lists, may_be_empty=vcps)
        for name in strengths:
            for value in getattr(self, name) or ():
                if not 0 <= value <= 1:
                    raise ValueError(f"`{name}` must lie in [0, 1], but one is {value}. Try 0.2.")
        for name in vcps:
            for value in getattr(self, name) or ():
                if not 0 < value < 1:
                    raise ValueError(f"`{name}` must lie in (0, 1), but one is {value}. Try 0.3.")
        counts = ("epochs", "hardware_epochs", "batch_size", "train_images", "hardware_images", "test_images")
        refuse_below_one(self, (*counts, "chips", "threads", "jobs"))
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"`folds` must be 2 or more, but is {self.folds}. Try 5, or leave it out.")
        if self.augment == "none":
            raise ValueError(
                "`augment` must be a transformation, but is 'none': strength 0 is without any. Choose one."
            )

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option.
        """
        refuse_given_folder(self, self.data or PRESETS[self.scale]["data"])
        refuse_given_jobs(self)
        on_hardware = ("hardware_images", "hardware_strengths", "hardware_vcps", "hardware_epochs")
        for modes, names in (
            (("digital",), ("strengths", "vcps")),
            (("hwa",), ("hwa",)),
            (("in-situ",), ("in_situ",)),
            (("hwa", "in-situ"), (*on_hardware, "tuned")),
        ):
            if not set(modes) & set(self.modes):
                where = f"without the mode {' or '.join(modes)}"
                refuse_given(self, names, where, "nothing learns by it. Leave it out")

    def resolved(self) -> "PaperPlan":
        """Return what is done, with what the scale and the defaults stand for."""
        preset = PRESETS[self.scale]
        open_ = [field.name for field in fields(self) if getattr(self, field.name) is None]
        filled = {name: preset[name] for name in open_ if name in preset}
        return planned(PaperPlan, self, f"paper-{self.scale}", **filled)


@final
@dataclass(frozen=True, kw_only=True)
class PaperPlan:
    """What `xbar paper` does: a wish in which nothing is left open.

    The fields are those of `PaperConfig`, whose help says what they mean. None is still an answer: all images, or
    on hardware as digitally; the data set's own test images (`folds`); no cluster.
    """

    scale: Scale
    data: str
    data_dir: str
    download: bool
    train_images: int | None
    hardware_images: int | None
    test_images: int | None
    networks: tuple[str, ...]
    modes: tuple[Mode, ...]
    hwa: tuple[str, ...]
    in_situ: tuple[str, ...]
    augment: Augment
    strengths: tuple[float, ...]
    hardware_strengths: tuple[float, ...]
    vcps: tuple[float, ...]
    hardware_vcps: tuple[float, ...]
    seeds: tuple[int, ...]
    folds: int | None
    epochs: int
    hardware_epochs: int
    batch_size: int
    lr: float
    tuned: Path | None
    chips: int
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    out: Path

    @property
    def schedule(self) -> Schedule:
        """Learning rate over a digital or hardware-aware run."""
        schedule: Schedule = PRESETS[self.scale]["schedule"]
        return schedule

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
