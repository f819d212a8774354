"""What `xbar sharing-cost` can be asked for."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Final, Literal, final

import tyro

from crossbar.cost.packing import parse_packing

from ...data.objective_names import Loss, Metric
from ...runs.options.config import lines_of_tile
from ...support.options.idle_options import default_of, refuse_given, refuse_given_folder, refuse_given_jobs
from ...support.options.open_options import (
    ALL,
    OF_PACKING,
    OPEN,
    OPEN_FLOAT,
    OPEN_INT,
    OPEN_NAME,
    OPEN_PATH,
    OPEN_TILE,
    one_of,
)
from ...support.runs_folder import runs_folder
from ..options import planned, refuse_below_one, refuse_doubles, refuse_two_rates, to_json

Mechanism = Literal["in-situ", "write-verify", "hwa"]
OffBlock = Literal["gated", "serialised", "disturbed"]
Network = Literal["local", "mesh"]
StaticScope = Literal["layer", "network", "always-on"]

SCHEMES: Final = (
    "time_multiplexed",
    "replicated",
    "replicated(sync_every=1)",
    "replicated(sync_every=10)",
    "replicated(sync_every=100)",
    "blocks(rows=2,cols=2)",
    "interleaved(period=2)",
    "random(tiles=4)",
    "random(tiles=4,redraw=True)",
    "free",
)
MECHANISMS: Final[tuple[Mechanism, ...]] = ("in-situ", "write-verify", "hwa")
QUICK_MECHANISMS: Final[tuple[Mechanism, ...]] = ("in-situ", "hwa")
_TILE_COUNTS: Final = (1, 2, 4, 8, 16)
_SEEDS: Final = (0, 1, 2)
_CHIPS: Final = 5
_BATCH_SIZE: Final = 64
_QUICK_COUNTS: Final = (1, 4, 16)
_QUICK_SCHEMES: Final = ("time_multiplexed", "replicated", "replicated(sync_every=10)", "free")
_TARGETS: Final = tyro.conf.arg(metavar="FLOAT [FLOAT ...]", help_behavior_hint="")
_FROM: Final = tyro.conf.arg(name="from", metavar="PATH", help_behavior_hint="")
# What decides how a run or a study is priced again.
_PRICING: Final = (
    "profile",
    "packing",
    "packed",
    "off_block",
    "aligned",
    "network",
    "static_scope",
    "frame_rate",
    "duty_cycle",
    "targets",
    "out",
    "from_",
)


@final
@dataclass(frozen=True, kw_only=True)
class SharingCostConfig:
    """What does sharing weights cost on analog hardware, and what does it buy?

    Trains and deploys one network under every scheme of sharing, with every mechanism of updating the devices, on
    every device, with several seeds; counts what the hardware does, and prices the counts with a hardware profile.
    Writes one table (sharing_cost.md, .csv, .json) and figures: accuracy against energy and time, cost against
    sync_every, cost against the number of tiles, where the energy goes, how equal copies are, and for which
    constants of the profile the ranking of the schemes flips.

    Finished runs are not repeated: it can be stopped at any time, enlarged, and started again. The table's JSON
    gives for each point the `xbar train` line that repeats it alone. The default takes hours on two cores,
    --quick some minutes.

    Examples:
      xbar sharing-cost --quick
      xbar sharing-cost --schemes time_multiplexed 'replicated(sync_every=10)' free --devices pcm --seeds 0 1 2
      xbar sharing-cost --data mnist --data-dir data --train-images 6000 --epochs 2
      xbar sharing-cost --model my_network.py:build --data my_data.npz --quick
      xbar sharing-cost --profile mine.toml --from runs/sharing-cost-0123456789ab
      xbar sharing-cost --profile isaac-reram --from runs/cnn_digits-in-situ-reram-sb-0123456789ab
    """

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
    """The network, as for `xbar train`: a name, or your own, my_network.py:build, whose convolutions are placed by
    every scheme. (default: those that fit the data)"""

    schemes: tuple[str, ...] = SCHEMES
    """Placements of the kernels, as `xbar train --placement` reads them, for all layers or by name pattern.
    replicated without sync_every sends every update to all copies; sync_every=k averages and rewrites the copies
    every k steps, in situ only."""
    tile_counts: tuple[int, ...] = _TILE_COUNTS
    """Numbers of tiles in a layer for cost and accuracy against it: random(tiles=n) and replicated(tiles=n), in
    situ. Without any number that part is left out."""
    devices: tuple[str, ...] = ("pcm", "ecram")
    """Memory cells; `xbar devices` lists them. Those without a model of ageing are evaluated as trained."""
    mechanisms: tuple[Mechanism, ...] = MECHANISMS
    """How devices get their weights. in-situ: pulses on the devices. write-verify: a digital gradient, written to
    the devices at every step. hwa: trained in software, programmed once."""
    seeds: tuple[int, ...] = _SEEDS
    """Seeds of the runs. Learning rates are chosen with seed 100."""

    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: as `xbar train`)"""
    lr: Annotated[float | None, OPEN_FLOAT] = None
    """Learning rate of every run. (default: for each scheme, mechanism and device one found
    by a few trials; --tune searches better ones)"""
    tune: Annotated[int | None, OPEN_INT] = None
    """Search the learning rate of every training first, with so many trials each, as `xbar tune` does."""
    tuned: Annotated[Path | None, OPEN_PATH] = None
    """Take learning rates and batch sizes from this file, which `xbar tune` has written."""
    tile_size: Annotated[int | str | None, OPEN_TILE] = None
    """Word lines and bit lines of emulated tiles, as for `xbar train`. (default: those of the profile's arrays: then
    accuracy and cost are those of one hardware; where others are given, the table says so)"""
    batch_size: Annotated[int | None, OPEN_INT] = None
    """Images per step. What a step costs is proportional to it, except for writing and synchronising. (default: as
    `xbar train`)"""
    chips: Annotated[int | None, OPEN_INT] = None
    """Chips to program, or readings of one chip that was trained in situ. (default: 5)"""
    times: str = "1s,1d,1y"
    """Times since programming at which devices with a model of ageing are evaluated."""

    profile: Annotated[str | None, OPEN_NAME] = None
    """Hardware profile for all devices: a name, or a TOML file of your own. (default: hermes-pcm for phase-change
    memory, isaac-reram for resistive memory, rpu-ecram for electrochemical memory, rpu-capacitor for capacitors)"""
    packing: Annotated[str, OF_PACKING] = "none"
    """How kernels smaller than a physical array lie in it: one in each array (none), on the diagonal (block), with
    shared input lines (union), or as many as fit, one computing at a time (dense). Or layer by layer, by name
    pattern, of which the first that fits counts: 'local*=block,dense1=dense'; others are not packed."""
    packed: Annotated[str, OF_PACKING] = "union"
    """The packing of the second table of each device, likewise: energy, time and area of each are of one packing."""
    off_block: OffBlock = "gated"
    """What happens in a parallel update to cells of a packed array that belong to no kernel."""
    aligned: bool = False
    """Cut kernels that are larger than an array between channels only."""
    network: Network = "local"
    """How far data travel between arrays: as many hops as the profile says (local), or as far as it is on average
    between two nodes of a square mesh of all arrays (mesh). The table of scopes tells both."""
    static_scope: StaticScope = "network"
    """When arrays draw static power in tables and figures: while their layer works (layer), while the network works
    on an image (network), or all the time (always-on). One table tells all of them side by side."""
    frame_rate: Annotated[float | None, OPEN_FLOAT] = None
    """With --static-scope always-on: images that come, or are trained on, in a second."""
    duty_cycle: Annotated[float | None, OPEN_FLOAT] = None
    """With --static-scope always-on, instead of a frame rate: part of the time in which the network works."""

    quick: bool = False
    """A first look in some minutes: four schemes, one seed, 5 epochs, two chips; of a network that is named with
    --model 3 epochs, no write-verify, which takes longest, and no numbers of tiles. Its accuracies mean little;
    --train-images shortens it further."""
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
    targets: Annotated[tuple[float, ...] | None, _TARGETS] = None
    """Validation accuracies in per cent of which is told what reaching them costs. (default: 90 95 97)"""
    out: Annotated[Path | None, OPEN_PATH] = None
    """Folder for table and figures. (default: runs/sharing-cost- and a hash of what was asked for; for a run that
    is priced again, the run's folder)"""
    from_: Annotated[Path | None, _FROM] = None
    """Price a run folder, or the folder of a study, again, without training: with another --profile, --packing,
    --packed, --off-block, --aligned or --static-scope with its --frame-rate or --duty-cycle."""

    def __post_init__(self) -> None:
        """Refuse values that no study could use.

        Raises:
            ValueError: If a list is empty or names something twice, or a number lies outside its range.
        """
        lists = ("schemes", "devices", "mechanisms", "seeds", "tile_counts")
        refuse_doubles(self, lists, may_be_empty=("tile_counts",))
        counts = ("epochs", "train_images", "test_images", "batch_size", "chips", "threads", "jobs", "tune")
        refuse_below_one(self, counts)
        for count in self.tile_counts:
            if count < 1:
                raise ValueError(f"`tile_counts` must be 1 or more, but has {count}. Give larger numbers.")
        if self.tile_size is not None:
            lines_of_tile(self.tile_size)
        for name in ("packing", "packed"):
            try:
                parse_packing(getattr(self, name))
            except ValueError as error:
                raise ValueError(str(error).replace("`packing`", f"`{name}`")) from None
        refuse_doubles(self, ("targets",))
        for target in self.targets or ():
            if not 0 < target <= 100:
                raise ValueError(f"`targets` must lie in (0, 100] per cent, but has {target:g}. Try 90.")
        refuse_two_rates(self, ("lr", "tune", "tuned"))
        self._refuse_scopes()
        self._refuse_to_train_again()

    def _refuse_scopes(self) -> None:
        """Refuse a frame rate or duty cycle that would have no effect, or the lack of both."""
        for name in ("frame_rate", "duty_cycle"):
            value = getattr(self, name)
            if value is not None and self.static_scope != "always-on":
                raise ValueError(
                    f"`{name}` must be left out with --static-scope {self.static_scope}, but is {value}: arrays are "
                    "off between images then. Leave it out, or give --static-scope always-on."
                )
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"`{name}` must be above 0, but is {value}. Correct it.")
        if self.duty_cycle is not None and self.duty_cycle > 1:
            raise ValueError(f"`duty_cycle` must be at most 1, but is {self.duty_cycle}. Correct it.")
        if self.static_scope == "always-on" and (self.frame_rate is None) == (self.duty_cycle is None):
            raise ValueError(
                "`frame_rate` or `duty_cycle` must be given with --static-scope always-on, one of the two, but "
                f"{'none is' if self.frame_rate is None else 'both are'}. Say how many images come in a second."
            )

    def _refuse_to_train_again(self) -> None:
        """Refuse, of what is only priced again, all that decides how it was trained."""
        if self.from_ is None:
            return
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name not in _PRICING and value != default_of(option):
                given = " ".join(map(str, value)) if isinstance(value, tuple) else value
                raise ValueError(
                    f"`{option.name}` must be left out with --from, but is {given}: what is priced again is not "
                    "trained again. Leave it out, or train a new study without --from."
                )

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option.
        """
        refuse_given_folder(self, self.data)
        refuse_given_jobs(self)
        if "in-situ" not in self.mechanisms:
            reason = "only learning in situ is compared for several numbers of tiles. Leave them out"
            refuse_given(self, ("tile_counts",), "without the mechanism in-situ", reason)

    def resolved(self) -> "SharingCostPlan":
        """Return what is done, with what `quick` and the defaults stand for."""
        config = self
        # The very tuples that are the defaults: one that was typed is another, even if it says the same.
        if self.quick:
            # A network that is named may be large: nobody has seen how long it takes.
            is_named = self.model is not None
            counts, epochs = (() if is_named else _QUICK_COUNTS), (3 if is_named else 5)
            mechanisms = QUICK_MECHANISMS if is_named else MECHANISMS
            config = replace(
                config,
                schemes=_QUICK_SCHEMES if self.schemes is SCHEMES else self.schemes,
                tile_counts=counts if self.tile_counts is _TILE_COUNTS else self.tile_counts,
                mechanisms=mechanisms if self.mechanisms is MECHANISMS else self.mechanisms,
                seeds=(0,) if self.seeds is _SEEDS else self.seeds,
                epochs=self.epochs or epochs,
                chips=self.chips or 2,
            )
        if config.from_ is not None:
            config = replace(config, out=config.out or config.from_)
        # A network of one's own has the batch size of its rule; what is priced again is not trained again.
        is_open = self.model is not None or self.tuned is not None  # the file says it
        batch_size = config.batch_size or (None if is_open else _BATCH_SIZE)
        return planned(
            SharingCostPlan, config, "sharing-cost", chips=config.chips or _CHIPS, batch_size=batch_size
        )


@final
@dataclass(frozen=True, kw_only=True)
class SharingCostPlan:
    """What `xbar sharing-cost` does: a wish in which nothing is left open.

    The fields are those of `SharingCostConfig`, whose help says what they mean. None is still an answer:
    all images, as `xbar train`, the profile of each device, no cluster, nothing that is priced again.
    """

    data: str
    data_dir: str
    download: bool
    train_images: int | None
    test_images: int | None
    loss: Loss | None
    metric: Metric | None
    model: str | None
    schemes: tuple[str, ...]
    tile_counts: tuple[int, ...]
    devices: tuple[str, ...]
    mechanisms: tuple[Mechanism, ...]
    seeds: tuple[int, ...]
    epochs: int | None
    lr: float | None
    tune: int | None
    tuned: Path | None
    tile_size: int | str | None
    batch_size: int | None
    chips: int
    times: str
    profile: str | None
    packing: str
    packed: str
    off_block: OffBlock
    aligned: bool
    network: Network
    static_scope: StaticScope
    frame_rate: float | None
    duty_cycle: float | None
    jobs: int
    threads: int
    memory: str | None
    dask: str | None
    runs: Path
    targets: tuple[float, ...] | None
    out: Path
    from_: Path | None

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON."""
        return to_json(self)
