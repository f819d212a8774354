"""What a run found out: accuracies of one network, and how equal its copies are."""

import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict, final, get_args

from devices.units import Dimensionless, Seconds

from ..data.chance import highest_by_chance, highest_from
from ..data.confusion import Confusion, refuse_impossible
from ..data.objective_names import Metric
from ..support.statistics import mean_and_std
from ..support.typed_values import typed
from .copies import Copies
from .options.config import LEARNS_ON_DEVICES, Compensation, Mode


class Summary(TypedDict):
    """Mean and spread over the chips at a time; a single chip has no spread."""

    time: Seconds
    mean: Dimensionless
    std: Dimensionless | None


@final
@dataclass(frozen=True, kw_only=True)
class Result:
    """Accuracies of one network.

    Attributes:
        model: Name of the network.
        placement: Where the kernels of its local layers live.
        data: Name of the data set.
        mode: How it was trained: "hwa", "digital", "in-situ" or "write-verify".
        device: Memory cell that it was programmed onto or has learned on, or "none".
        compensation: Drift compensation that is compared with none; None where nothing ages.
        seed: The run's seed.
        test_images: Number of images behind each accuracy.
        digital_accuracy: Of the trained weights, computed in floating point without any device.
        times: Times since programming, or since the end of a training on devices.
        extrapolated: Those of the times that lie beyond what was measured on such devices.
        accuracy: For each compensation, for each chip, the accuracy at each time. Trained on devices there is one
            chip, and these are its readings.
        as_trained: Trained on devices: their accuracy as training left them, for each reading.
        faults: Which parts of the devices do not work, as `--faults` reads it; None if all work.
        yields: With faults: the part of the devices that works, for each chip.
        wires: The resistive wires of every array, as `--wires` reads them; None for ideal ones.
        copies: How far copies of one kernel differ, before any compensation; empty if no kernel has copies.
        confusion: Which classes are taken for which, in digital, as trained, and by the chips at the last time, with
            compensation if there is one; empty of a regression, of many classes and in runs of earlier versions.
        metric: What stands for the accuracy: "accuracy", or another that is 1 at its best.
        by_chance: Of one's own data, the score of a network that answers all test images alike; None for data sets
            that are known by name.
    """

    model: str
    placement: str
    data: str
    mode: Mode
    device: str
    compensation: Compensation | None
    seed: int
    test_images: int
    digital_accuracy: Dimensionless
    times: tuple[Seconds, ...] = ()
    extrapolated: tuple[Seconds, ...] = ()
    accuracy: dict[str, list[list[Dimensionless]]]
    as_trained: tuple[Dimensionless, ...] = ()
    faults: str | None = None
    yields: tuple[Dimensionless, ...] = ()
    wires: str | None = None
    copies: Copies = field(default_factory=dict)
    confusion: Confusion = field(default_factory=dict)
    metric: Metric = "accuracy"
    by_chance: Dimensionless | None = None

    def __post_init__(self) -> None:
        """Refuse what no evaluation finds.

        Raises:
            ValueError: If a fraction lies outside [0, 1], or numbers of chips and times do not fit.
        """
        unknown = self.accuracy.keys() - get_args(Compensation)
        if unknown:
            raise ValueError(f"`accuracy` must be that of known compensations, but is of {unknown.pop()!r}")
        chips = [chip for chips in self.accuracy.values() for chip in chips]
        scores = [self.digital_accuracy, *self.as_trained, *(a for chip in chips for a in chip)]
        is_r2 = self.metric == "r2"  # it has no lower end
        if not all(score <= 1 and (is_r2 or score >= 0) for score in scores) or not all(
            0 <= share <= 1 for share in self.yields
        ):
            raise ValueError("accuracies and yields must lie in [0, 1], but one does not")
        if any(len(chip) != len(self.times) for chip in chips) or not all(self.accuracy.values()):
            raise ValueError(
                f"each chip must have {len(self.times)} accuracies, one for each time, but has not"
            )
        if len({len(chips) for chips in self.accuracy.values()}) > 1:
            raise ValueError("`accuracy` must have the same chips for each compensation, but has not")
        if not all(0 <= time < math.inf for time in self.times) or self.test_images < 1:
            raise ValueError("`times` must be 0 s or more and `test_images` 1 or more, but are not")
        if not set(self.extrapolated) <= set(self.times):
            raise ValueError("`extrapolated` must be among the times, but is not")
        refuse_impossible(self.confusion)

    @property
    def has_learned_on_devices(self) -> bool:
        """Whether there is one chip, the one that was trained."""
        return self.mode in LEARNS_ON_DEVICES

    @property
    def fresh_accuracy(self) -> Dimensionless:
        """Mean accuracy of the devices as trained, of chips just programmed, uncompensated, or digitally."""
        if self.as_trained:
            return statistics.fmean(self.as_trained)
        return self.mean_and_std("none")[0][0] if self.mode == "hwa" else self.digital_accuracy

    @property
    def did_learn(self) -> bool:
        """Whether the network, as training left it, is right more often than chance explains; see `chance.RULE`."""
        accuracy = statistics.fmean(self.as_trained) if self.as_trained else self.digital_accuracy
        if self.by_chance is not None:
            return accuracy > highest_from(self.by_chance, self.test_images, self.metric)
        return accuracy > highest_by_chance(self.data, self.test_images)

    def mean_and_std(self, compensation: str) -> list[tuple[Dimensionless, Dimensionless | None]]:
        """Return mean and standard deviation over the chips at each time; one chip has no deviation."""
        return [mean_and_std(column) for column in zip(*self.accuracy[compensation], strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return the result in the types of JSON, mean and spread beside the single chips."""
        summary = {
            compensation: [
                {"time": t, "mean": mean, "std": std} for t, (mean, std) in zip(self.times, rows, strict=True)
            ]
            for compensation in self.accuracy
            for rows in [self.mean_and_std(compensation)]
        }
        return {
            **asdict(self),
            "times": list(self.times),
            "extrapolated": list(self.extrapolated),
            "as_trained": list(self.as_trained),
            "yields": list(self.yields),
            "summary": summary,
        }

    @classmethod
    def from_json(cls, values: Any) -> "Result":
        """Make a result from what `to_json` returned.

        Raises:
            ValueError: If it is damaged.
        """
        if not isinstance(values, dict):
            raise ValueError("`run` must hold an undamaged result.json, but it is no table. Use --force.")
        # Mean and spread follow from the rest. Runs of earlier versions lack what has a default.
        kept = {name: value for name, value in values.items() if name != "summary"}
        try:
            result = typed(cls, kept)
            typed(dict[str, list[Summary]], values.get("summary", {}), "summary")
            missing = {"times", "as_trained", "yields"} - kept.keys()
            if missing:
                raise ValueError(f"it must have the key {min(missing)!r}")
        except ValueError as error:
            raise ValueError(
                f"`run` must hold an undamaged result.json, but {error}. Start the run over with --force."
            ) from None
        return result
