"""One row of the study for each run, and the means over seeds that table and figures show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, final

from crossbar.layer_patterns import parse_choices
from devices.units import Dimensionless, Seconds

from ...data.objective_names import Metric
from ...support.typed_values import typed
from ..seeds import Seeds, by_key
from .to_accuracy.curve import PricedCurve

MECHANISM_NAMES: Final = {
    "in-situ": "in situ, by pulses",
    "write-verify": "digital gradient, write-verify",
    "hwa": "trained in software, programmed",
}
FRESH: Final = "fresh"


@final
@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one piece of work costs: an image, a training step, or programming the chip once.

    Attributes:
        energy_uJ: µJ, by component (dac, adc, cells, update, programming, verify, movement, digital, static).
        analog_uJ: µJ, of the tiles alone, without movement and digital work.
        sequential_s: s, one layer after another.
        pipelined_s: s, between two images or steps while all layers work at once; None where that has no meaning.
        refresh_uJ: µJ, of all that, what refreshing full pairs of devices takes, with the static power meanwhile.
    """

    energy_uJ: dict[str, float]
    analog_uJ: float
    sequential_s: Seconds
    pipelined_s: Seconds | None
    refresh_uJ: float = 0.0

    @property
    def total(self) -> float:
        """Energy of all components, µJ."""
        return sum(self.energy_uJ.values())


@final
@dataclass(frozen=True, kw_only=True)
class Space:
    """What a network occupies, with one way of packing it.

    Attributes:
        packing: How kernels lie in physical arrays.
        arrays: Number of physical arrays.
        area_mm2: mm², with periphery.
        utilisation: Cells that hold a weight, of all.
    """

    packing: str
    arrays: int
    area_mm2: float
    utilisation: Dimensionless


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of the study: what it is, how well it does, what it costs.

    Attributes:
        device: Name of the memory cell.
        mechanism: How the devices got their weights.
        scheme: The placement, as it was asked for.
        seed: The run's seed.
        run: The run folder.
        command: The `xbar train` line that repeats it.
        profile: Name of the hardware profile.
        lr: Learning rate.
        epochs: Passes through the training images.
        validation_accuracy: Accuracy on the validation images at the end of training.
        accuracy: Test accuracy, mean over chips or readings, `FRESH` and by time in seconds ("86400").
        residual: rms difference of a copy from the mean of its kernel's copies, relative to the kernel's rms, mean
            over layers; at the same times. Empty without copies.
        largest_residual: The largest such difference of all layers.
        dynamics: Columns over the training: step, copies_rms, copies_largest, weight_snr (means over the layers).
        inference: Costs of one image.
        training: Costs of one training step; None where the network was trained in software.
        programming: Costs of programming the chip once; None where nothing is programmed.
        unpacked: Arrays, area and utilisation with the packing that prices all of the above.
        packed: The same with another packing.
        packed_inference: Costs of one image with that one; None in rows of earlier versions.
        packed_training: Costs of one training step with that one.
        curve: Validation accuracy against energy, time and wear; None in software and in runs of earlier versions.
        pulses_per_step: Pulses of the most stressed device in one training step; None in software.
        steps_to_end_of_life: Training steps until that device is worn out; None without wear.
        did_learn: Whether the network learned at all; see `chance.RULE`.
        wear: For each layer on tiles, pulses of its most stressed device in one training step; empty in software.
        notes: What the prices leave open, in sentences.
        metric: What stands for the accuracy: "accuracy", or another that is 1 at its best.
    """

    device: str
    mechanism: str
    scheme: str
    seed: int
    run: str
    command: str
    profile: str
    lr: float
    epochs: int
    validation_accuracy: float
    accuracy: dict[str, float]
    residual: dict[str, float]
    largest_residual: dict[str, float]
    dynamics: dict[str, list[float | None]]
    inference: Costs
    training: Costs | None
    programming: Costs | None
    unpacked: Space
    packed: Space
    pulses_per_step: float | None
    steps_to_end_of_life: float | None
    did_learn: bool = True
    wear: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    metric: Metric = "accuracy"
    packed_inference: Costs | None = None
    packed_training: Costs | None = None
    curve: PricedCurve | None = None

    def __post_init__(self) -> None:
        for time in (*self.accuracy, *self.residual, *self.largest_residual):
            if time != FRESH and not time.replace(".", "", 1).replace("e+", "", 1).isdecimal():
                raise ValueError(f"a row must have accuracies by time in s, but has one by {time[:40]!r}")
        scores, is_r2 = (self.validation_accuracy, *self.accuracy.values()), self.metric == "r2"
        if (
            not all(score <= 1 and (is_r2 or score >= 0) for score in scores)
            or self.epochs < 1
            or not self.lr > 0
        ):
            raise ValueError("a row must have accuracies in [0, 1], epochs and a learning rate, but has not")

    def to_json(self) -> dict[str, Any]:
        """Return all fields in the types of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Row":
        """Make a row from what `to_json` returned.

        Raises:
            ValueError: If fields are missing or unknown.
        """
        try:
            return typed(cls, values, "a row")
        except ValueError as error:
            raise ValueError(f"it does not hold the fields of a row: {error}") from None


@final
@dataclass(frozen=True)
class Cell(Seeds[Row]):
    """The runs of one scheme, mechanism and device: its seeds."""

    @property
    def device(self) -> str:
        """Name of the memory cell."""
        return self.first.device

    @property
    def mechanism(self) -> str:
        """How the devices got their weights."""
        return self.first.mechanism

    @property
    def scheme(self) -> str:
        """The placement."""
        return self.first.scheme

    @property
    def label(self) -> str:
        """How a figure calls it; copies that do not learn for themselves need no word on how they are kept equal."""
        label = scheme_label(self.scheme)
        return (label if self.mechanism == "in-situ" else label.removesuffix(", broadcast")) + self.mark

    def mean(self, quantity: Callable[[Row], float | None]) -> float | None:
        """Return the mean over the seeds, or None if no seed has the quantity."""
        mean = self.of(quantity)
        return None if mean is None else mean.value

    def spread(self, quantity: Callable[[Row], float | None]) -> float | None:
        """Return the standard deviation over the seeds, or None for fewer than two."""
        mean = self.of(quantity)
        return None if mean is None else mean.std


def cells_of(rows: Iterable[Row], schemes: Sequence[str] | None = None) -> list[Cell]:
    """Group rows by device, mechanism and scheme, in their order of appearance.

    Args:
        rows: The rows.
        schemes: Only these.
    """
    wanted = [row for row in rows if schemes is None or row.scheme in schemes]
    return [Cell(group) for group in by_key(wanted, lambda row: (row.device, row.mechanism, row.scheme))]


def accuracy_at(time: str) -> Callable[[Row], float | None]:
    """Return the quantity "accuracy in per cent at a time", for `Cell.mean`."""

    def quantity(row: Row) -> float | None:
        return 100 * row.accuracy[time] if time in row.accuracy else None

    return quantity


def priced(quantity: Callable[[Row], float | None]) -> Callable[[Row], float | None]:
    """Return a quantity that a network which did not learn has no part in: what it costs buys nothing."""

    def of_learned(row: Row) -> float | None:
        return quantity(row) if row.did_learn else None

    return of_learned


@priced
def energy_per_step(row: Row) -> float | None:
    """Return the energy of a training step, µJ."""
    return None if row.training is None else row.training.total


@priced
def refresh_per_step(row: Row) -> float | None:
    """Return the energy of refreshing full pairs of devices, in a training step, µJ."""
    return None if row.training is None else row.training.refresh_uJ


@priced
def time_per_step(row: Row) -> Seconds | None:
    """Return the time of a training step, s."""
    return None if row.training is None else row.training.sequential_s


@priced
def energy_per_image(row: Row) -> float | None:
    """Return the energy of an inference, µJ."""
    return row.inference.total


@priced
def programming_energy(row: Row) -> float | None:
    """Return the energy of writing the chip once, before its first image, µJ."""
    return None if row.programming is None else row.programming.total


@priced
def latency(row: Row) -> Seconds | None:
    """Return the time of an inference, layer after layer, s."""
    return row.inference.sequential_s


def scheme_label(scheme: str) -> str:
    """Call a scheme so that a figure has room for it.

    Example:
        >>> scheme_label("replicated(tiles=4,sync_every=10)"), scheme_label("free")
        ('4 copies, sync 10', 'free')
    """
    if isinstance(parse_choices(scheme, argument="scheme"), dict):
        return scheme  # layer by layer
    name, _, inside = scheme.partition("(")
    options = dict(item.split("=") for item in inside.rstrip(")").replace(" ", "").split(",") if "=" in item)
    if name == "time_multiplexed":
        return "one tile"
    if name == "replicated":
        sync = options.get("sync_every", "0")
        copies = f"{options['tiles']} copies" if "tiles" in options else "copies"
        return f"{copies}, {'broadcast' if sync == '0' else f'sync {sync}'}"
    if name == "blocks":
        return f"blocks {options['rows']}x{options['cols']}"
    if name == "random":
        return (
            f"random {options['tiles']}{', redrawn' if options.get('redraw', '').lower() == 'true' else ''}"
        )
    return f"interleaved {options['period']}" if name == "interleaved" else name
