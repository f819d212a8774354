"""The runs of `xbar paper`: which network learns from what, by which means."""

from dataclasses import dataclass
from typing import Final, final

from crossbar import load_profile
from devices.units import Dimensionless

from ...data.examples import Facts, Shape, facts_of
from ...runs.options.config import NO_DEVICE, TrainConfig
from ...runs.options.defaults import resolve
from ...runs.options.profile_of_device import profile_of, tile_size_in
from ...runs.rates.learning_rates import learning_rate
from ...runs.rates.tuned import with_found_rate
from ..study import family_of
from .config import Mode, PaperPlan

NETWORKS: Final = ("fcn", "cnn")  # of the paper; any other name is that of a placement
_PLACEMENTS: Final = {"fcn": "free", "cnn": "time_multiplexed"}
# Fresh, and after a year: what drift has done by then.
TIMES: Final = "1s,1y"


@final
@dataclass(frozen=True)
class Setting:
    """Where a network learns.

    Attributes:
        mode: "digital", "hwa" or "in-situ".
        device: The memory cell; "none" digitally.
        is_control: Digitally, but only with the images and the epochs that the hardware gets.
    """

    mode: Mode
    device: str = NO_DEVICE
    is_control: bool = False

    def __str__(self) -> str:
        """Name it in tables and figures."""
        if self.is_control:
            return "digital control"
        return {
            "digital": "digital",
            "hwa": f"hardware-aware, {self.device}",
            "in-situ": f"in situ, {self.device}",
        }[self.mode]


DIGITAL: Final = Setting("digital")


@final
@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        setting: Where it learns.
        network: "fcn", "cnn" or the placement of another one.
        strength: Of the augmentation.
        vcp: Part of the inputs of every local layer that is absent.
        seed: The run's seed.
    """

    setting: Setting
    network: str
    strength: Dimensionless
    vcp: Dimensionless
    seed: int

    @property
    def name(self) -> str:
        """What the progress bar shows."""
        absent = f", {self.vcp:g} absent" if self.vcp else ""
        return f"{self.setting}, {self.network}, strength {self.strength:g}{absent}, seed {self.seed}"


def settings_of(config: PaperPlan) -> list[Setting]:
    """Return where networks learn in a study, floating point first."""
    settings = []
    for mode in ("digital", "hwa", "in-situ"):
        if mode in config.modes:
            devices = {"digital": (NO_DEVICE,), "hwa": config.hwa, "in-situ": config.in_situ}[mode]
            settings += [Setting(mode, device) for device in devices]
    budgets = {
        (config.train_images, config.epochs),
        (config.hardware_images or config.train_images, config.hardware_epochs),
    }
    if len(budgets) == 2 and {setting.mode for setting in settings} > {"digital"}:
        settings.insert(1, Setting("digital", is_control=True))
    return settings


def points_of(config: PaperPlan) -> list[Point]:
    """Return all runs of a study, seed by seed, so that an interrupted one holds whole grids."""
    points = []
    for seed in config.seeds:
        for setting in settings_of(config):
            is_long = setting.mode == "digital" and not setting.is_control
            strengths = config.strengths if is_long else config.hardware_strengths
            vcps = () if setting.is_control else config.vcps if is_long else config.hardware_vcps
            points += [
                Point(setting, network, strength, 0.0, seed)
                for strength in strengths
                for network in config.networks
            ]
            if "fcn" in config.networks:
                points += [Point(setting, "fcn", max(strengths[:2]), vcp, seed) for vcp in vcps]
    return points


def wish_of(point: Point, config: PaperPlan, known: Facts | Shape) -> TrainConfig:
    """Return what `xbar train` is asked for, for one run.

    Args:
        point: The run.
        config: What the study does.
        known: What is known of the data; of networks of ours the shape of an image is enough.

    Raises:
        ValueError: If no network fits the images.
    """
    family = family_of(known, config.data)
    is_long = point.setting.mode == "digital" and not point.setting.is_control
    learns_in_situ = point.setting.mode == "in-situ"
    device = point.setting.device
    lr: Dimensionless | None = config.lr
    tuned = None if device == NO_DEVICE else config.tuned
    if learns_in_situ:
        placement = _PLACEMENTS.get(point.network, point.network)
        lr = learning_rate("in-situ", device, facts_of(known).image_shape, placement)
    wish = TrainConfig(
        data=config.data,
        data_dir=config.data_dir,
        download=config.download,
        train_images=config.train_images if is_long else config.hardware_images or config.train_images,
        test_images=config.test_images,
        fold=None if config.folds is None else f"{point.seed % config.folds + 1}/{config.folds}",
        augment="none" if point.strength == 0 else config.augment,
        strength=point.strength,
        scores=True,
        absent_inputs=point.vcp,
        model=f"{'fcn' if point.network == 'fcn' else 'cnn'}_{family}",
        placement=None if point.network in NETWORKS else point.network,
        mode=point.setting.mode,
        device=device,
        tile_size=None if device == NO_DEVICE else tile_size_in(load_profile(profile_of(device))),
        epochs=config.epochs if is_long else config.hardware_epochs,
        batch_size=None if tuned is not None else 64 if learns_in_situ else config.batch_size,
        lr=None if tuned is not None else lr,
        tuned=tuned,
        schedule="cosine" if learns_in_situ else config.schedule,
        seed=point.seed,
        chips=config.chips,
        times=TIMES if point.setting.mode == "hwa" else None,
        threads=config.threads,
        out=config.runs,
    )
    return wish if tuned is None else with_found_rate(wish, resolve(wish, facts_of(known)))
