"""What a run found out: accuracies of one network, and how equal its copies are."""

import statistics
from dataclasses import asdict, dataclass, field, fields
from typing import Any, final

from devices.units import Dimensionless, Seconds

from ..data.chance import highest_by_chance
from ..support.statistics import mean_and_std
from .copies import Copies
from .options.config import LEARNS_ON_DEVICES


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
    """

    model: str
    placement: str
    data: str
    mode: str
    device: str
    compensation: str | None
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

    @property
    def has_learned_on_devices(self) -> bool:
        """Whether there is one chip, the one that was trained."""
        return self.mode in LEARNS_ON_DEVICES

    @property
    def did_learn(self) -> bool:
        """Whether the network, as training left it, is right more often than chance explains; see `chance.RULE`."""
        accuracy = statistics.fmean(self.as_trained) if self.as_trained else self.digital_accuracy
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
        # Runs of earlier versions do not say which of their times were extrapolated, and had ideal wires.
        values = {"extrapolated": (), "wires": None, **values} if isinstance(values, dict) else values
        names = {item.name for item in fields(cls)}
        if not isinstance(values, dict) or not names <= set(values):
            raise ValueError(
                "`run` must hold an undamaged result.json, but fields are missing in it. Use --force."
            )
        kept: dict[str, Any] = {name: values[name] for name in names}
        tuples = {name: tuple(kept[name]) for name in ("times", "extrapolated", "as_trained", "yields")}
        return cls(**{**kept, **tuples})
