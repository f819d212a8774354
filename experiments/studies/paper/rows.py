"""What came out of each run of `xbar paper`, and means over seeds with their uncertainty."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

from crossbar import load_profile, price
from devices.units import Dimensionless, MicroJoules, Seconds

from ...data.augmentation import PLAIN
from ...data.chance import mark
from ...runs.emergent_sharing import EUCLIDEAN
from ...runs.ledger_file import RunEvents
from ...runs.options.config import NO_DEVICE
from ...runs.options.profile_of_device import profile_of
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.json_files import read_json
from ...support.statistics import Mean
from .points import NETWORKS, Point, Setting
from .scores import scores_of_chips

# Of the first layer, as in the paper.
LAYER: Final = "local1"


@final
@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        point: Which run it is.
        run: Its folder.
        command: The line that repeats it.
        history: Its log: one dictionary for each epoch.
        start: How alike kernels were at first; see `emergent_sharing.sharing_of`.
        trained: The same after training; on hardware without a chip's noise, in situ on the devices.
        fit: Accuracy on images that it was trained on, untransformed ("training"), and on others ("validation"); on
            hardware of the first chip, fresh.
        chips: For each chip what was seen of it: time (None as trained), scores, and how alike kernels were.
        energy_per_epoch: Of training on the chip, with static power of all arrays while the network works; None for
            training in software.
        energy_per_image: Of inference, likewise; None without a chip.
        work_per_epoch: Of training on the chip, without static power, so in no scope less than this.
        work_per_image: Of inference, likewise.
        did_learn: Whether the network learned at all; see `chance.RULE`.
    """

    point: Point
    run: str
    command: str
    history: list[dict[str, float]]
    start: dict[str, dict[str, float]]
    trained: dict[str, dict[str, float]]
    fit: dict[str, Dimensionless]
    chips: list[list[dict[str, Any]]]
    energy_per_epoch: MicroJoules | None
    energy_per_image: MicroJoules | None
    did_learn: bool = True
    work_per_epoch: MicroJoules | None = None
    work_per_image: MicroJoules | None = None

    def score(self, name: str, time: Seconds | None = None) -> Dimensionless | None:
        """Return the accuracy on a validation set: digitally at the end of training, else the mean over the chips.

        Args:
            name: One of `augmentation.VALIDATIONS`.
            time: Since programming or training; None for the first look.

        Returns:
            None if nothing was seen then.
        """
        if not self.chips:
            last = self.history[-1]
            value = last["validation_accuracy" if name == PLAIN else f"validation_{name}"]
            return value if time is None else None
        return self._over_chips(time, lambda look: look["scores"][name])

    def distance(self, measure: str = f"{EUCLIDEAN} 1", time: Seconds | None = None) -> Dimensionless | None:
        """Return how far neighbouring kernels of the first layer lie apart, after training or on aged chips."""
        if time is not None:
            return self._over_chips(time, lambda look: look["sharing"].get(LAYER, {}).get(measure))
        return self.trained.get(LAYER, {}).get(measure)

    def gap(self) -> Dimensionless:
        """Return by how much better images are classified that the network was trained on than others."""
        return self.fit["training"] - self.fit["validation"]

    def turned(self, time: Seconds | None = None) -> Dimensionless | None:
        """Return by how much the cosine distance of the first layer's neighbouring kernels has changed."""
        now = self.distance("cosine 1", time)
        return None if now is None else now - self.start[LAYER]["cosine 1"]

    def _over_chips(
        self, time: Seconds | None, value_of: Callable[[Any], float | None]
    ) -> Dimensionless | None:
        looks = [look for chip in self.chips for look in (chip[:1] if time is None else chip)]
        values = [value_of(look) for look in looks if time in (None, look["time"])]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return asdict(self)


def row_of(point: Point, command: str, folder: RunFolder) -> Row:
    """Read a finished run, and price its training with the profile that fits its device.

    Raises:
        ValueError: If the run is damaged.
        FileNotFoundError: If a file is missing.
    """
    found = scores_of_chips(folder)
    per_epoch = per_image = work_per_epoch = work_per_image = None
    history = folder.read_log()
    if point.setting.device != NO_DEVICE:
        events, profile = RunEvents.read(folder.ledger_file), load_profile(profile_of(point.setting.device))
        if point.setting.mode == "in-situ" and events.training is not None:
            bill, epochs = price(events.training, profile), len(history)
            per_epoch, work_per_epoch = bill.with_digital / epochs, bill.without_static / epochs
        inference = None if events.evaluation is None else events.evaluation.inference
        if inference is not None and inference.images:
            bill, images = price(inference, profile), inference.images
            per_image, work_per_image = bill.with_digital / images, bill.without_static / images
    return Row(
        point=point,
        run=str(folder.path),
        command=command,
        history=history,
        start=found["start"],
        trained=found["trained"],
        fit=found["fit"],
        chips=found["chips"],
        energy_per_epoch=per_epoch,
        energy_per_image=per_image,
        did_learn=Result.from_json(read_json(folder.result_file)).did_learn,
        work_per_epoch=work_per_epoch,
        work_per_image=work_per_image,
    )


Value = Callable[[Row], float | None]


def score_of(name: str, time: Seconds | None = None) -> Value:
    """Return what reads a score off a row; see `Row.score`."""
    return lambda row: row.score(name, time)


def distance_of(measure: str = f"{EUCLIDEAN} 1", time: Seconds | None = None) -> Value:
    """Return what reads a distance between kernels off a row; see `Row.distance`."""
    return lambda row: row.distance(measure, time)


@final
@dataclass(frozen=True)
class Rows:
    """The rows of a study.

    Attributes:
        rows: One for each run.
        what: What training images had more of with greater strength, in words.
    """

    rows: Sequence[Row]
    what: str = "shifts"

    def settings(self) -> list[Setting]:
        """Return where networks learned, in the order of the study."""
        return list(dict.fromkeys(row.point.setting for row in self.rows))

    def networks(self) -> list[str]:
        """Return the paper's networks, then those with other placements."""
        found = list(dict.fromkeys(row.point.network for row in self.rows))
        return sorted(found, key=lambda network: (*NETWORKS, network).index(network))

    def strengths(self, setting: Setting) -> list[Dimensionless]:
        """Return the strengths of a setting, ascending."""
        return sorted({row.point.strength for row in self.rows if row.point.setting == setting})

    def select(
        self, setting: Setting, network: str, strength: Dimensionless, vcp: Dimensionless = 0.0
    ) -> list[Row]:
        """Return the runs of all seeds at one point of the grid."""
        wanted = (setting, network, strength, vcp)
        return [
            row
            for row in self.rows
            if (row.point.setting, row.point.network, row.point.strength, row.point.vcp) == wanted
        ]

    def mean(
        self,
        value_of: Value,
        setting: Setting,
        network: str,
        strength: Dimensionless,
        vcp: Dimensionless = 0.0,
    ) -> Mean | None:
        """Return the mean of a value over the seeds at one point of the grid."""
        return Mean.of([value_of(row) for row in self.select(setting, network, strength, vcp)])

    def difference(
        self, value_of: Value, setting: Setting, strength: Dimensionless, network: str = "fcn"
    ) -> Mean | None:
        """Return what a network, the FCN if not told, has more than the CNN, seed by seed."""
        by_seed: dict[int, dict[str, float | None]] = {}
        for name in (network, "cnn"):
            for row in self.select(setting, name, strength):
                by_seed.setdefault(row.point.seed, {})[name] = value_of(row)
        pairs = [(values.get(network), values.get("cnn")) for values in by_seed.values()]
        return Mean.of_differences(pairs)

    def learned(self) -> "Rows":
        """Return the same without the networks that did not learn."""
        return Rows([row for row in self.rows if row.did_learn], self.what)

    def mark(self, setting: Setting, network: str, strength: Dimensionless, vcp: Dimensionless = 0.0) -> str:
        """Return what names the seeds at one point of the grid that did not learn."""
        return mark([row.did_learn for row in self.select(setting, network, strength, vcp)])

    def vcps(self, setting: Setting) -> list[tuple[Dimensionless, Dimensionless]]:
        """Return the strength and the shares of absent inputs that were tried, with none at first."""
        points = [row.point for row in self.rows if row.point.setting == setting]
        tried = sorted({(point.strength, point.vcp) for point in points if point.vcp})
        return [(tried[0][0], 0.0), *tried] if tried else []


def accuracy_at_energy(row: Row, energy: MicroJoules, per_epoch: MicroJoules | None) -> Dimensionless | None:
    """Return the plain validation accuracy at which a training on the chip was when it had used so much energy.

    Between two epochs in proportion; before the first one nothing is known, and after the last it stays.

    Args:
        row: The run.
        energy: What it has used.
        per_epoch: Its `energy_per_epoch`, or its `work_per_epoch`; None where it did not learn on a chip.
    """
    if per_epoch is None:
        return None
    epochs = energy / per_epoch
    curve = [entry["validation_accuracy"] for entry in row.history]
    if epochs < 1:
        return None
    place = min(epochs - 1, len(curve) - 1)
    low = int(place)
    high = min(low + 1, len(curve) - 1)
    return curve[low] + (place - low) * (curve[high] - curve[low])
