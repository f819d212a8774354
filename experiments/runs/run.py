"""What is run: a configuration in which nothing is left open."""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, final

from crossbar import WireParameters
from devices import Faults
from devices.files import read_regular
from devices.units import Dimensionless, Seconds

from ..data.datasets import own_file
from ..data.objective_names import Loss, Metric
from ..data.user_function import as_function
from ..support.typed_values import typed
from .options.config import (
    LEARNS_ON_DEVICES,
    Augment,
    Backend,
    Compensation,
    Engine,
    Mode,
    Pattern,
    Refresh,
    Schedule,
    Spread,
    TrainConfig,
)
from .options.device_names import refreshes

MODEL_FILE: Final = "model.safetensors"  # the trained weights, in the folder of a run
# Where a run lies, how it is watched and how fast it computes: no part of what it computes.
NOT_IN_THE_HASH: Final = (
    "out",
    "force",
    "threads",
    "download",
    "checkpoint_seconds",
    "reference",
    "processes",
    "spread",
    "memory",
)


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """All that decides about a run, as `resolve` makes it of a wish and as config.json keeps it.

    The fields are those of `TrainConfig`, whose help says what they mean, in the same order, but for the file of
    `tuned` rates, which have become `lr` and `batch_size`. Where a field may be None here, None says something: all
    images (`train_images`, `test_images`), the data set's own test images (`fold`), no faults, ideal `wires`,
    aihwkit's own size of tiles, one process (`spread`), nothing that ages (`times`, `compensation`), and of the
    others that this mode of learning has no such thing.
    """

    data: str
    data_dir: str
    download: bool
    train_images: int | None
    test_images: int | None
    loss: Loss
    metric: Metric
    fold: str | None
    augment: Augment
    strength: Dimensionless
    scores: bool
    model: str
    placement: str
    start_from: str | None
    absent_inputs: Dimensionless
    absent_weights: Dimensionless
    absent_pattern: Pattern | None
    mode: Mode
    device: str
    faults: str | None
    wires: str | None
    wires_every: int | None
    tile_size: int | str | None
    weight_noise: Dimensionless | None
    weight_scaling: Dimensionless | None
    engine: Engine | None
    refresh: Refresh | None
    transfer_every: int | None
    write_every: int | None
    write_tolerance: Dimensionless | None
    soft_sharing: Dimensionless
    sleep_every: int
    sleep_factor: Dimensionless | None
    backend: Backend
    epochs: int
    batch_size: int
    lr: Dimensionless
    schedule: Schedule
    seed: int
    chips: int
    times: str | None
    compensation: Compensation | None
    record_every: int
    measure_every: int
    reference: bool
    out: Path
    force: bool
    threads: int
    checkpoint_seconds: Seconds
    torch_device: str
    processes: int
    spread: Spread | None
    memory: str | None

    def __post_init__(self) -> None:
        """Refuse values that no run could use.

        Raises:
            ValueError: If one lies outside its range.
        """
        self.as_wish()  # a run is one of the wishes, and those are checked

    @classmethod
    def of(
        cls,
        wish: TrainConfig,
        *,
        model: str,
        placement: str,
        loss: Loss,
        metric: Metric,
        epochs: int,
        batch_size: int,
        lr: Dimensionless,
        threads: int,
        processes: int,
        spread: Spread | None,
    ) -> "Run":
        """Make a run of a wish and of what the wish may leave open, but no run can.

        Args:
            wish: What was asked for, with the defaults of its mode filled in.
            model: Name of the network.
            placement: Where the kernels of its local layers live.
            loss: What training lowers.
            metric: What is counted.
            epochs: Passes through the training images.
            batch_size: Images per step.
            lr: Learning rate.
            threads: Threads to compute with.
            processes: Processes to compute in.
            spread: What is divided among them.
        """
        filled: dict[str, Any] = {"model": model, "placement": placement, "loss": loss, "metric": metric}
        filled |= {
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "threads": threads,
            "processes": processes,
            "spread": spread,
        }
        return cls(**{**_values(wish), **filled})

    def as_wish(self) -> TrainConfig:
        """Return the wish that says all of the run, to change some of it and resolve it anew."""
        return TrainConfig(**_values(self))

    @property
    def learns_on_devices(self) -> bool:
        """Whether what comes out is one chip, the one that was trained, and not weights for any."""
        return self.mode in LEARNS_ON_DEVICES

    @property
    def faults_of_chips(self) -> Faults | None:
        """Which parts of the devices do not work; None if all do."""
        return None if self.faults is None else Faults.parse(self.faults)

    @property
    def wires_of_arrays(self) -> WireParameters | None:
        """The resistive wires of every array; None for ideal ones."""
        return None if self.wires is None else WireParameters.parse(self.wires)

    def identity(self) -> dict[str, object]:
        """Return the fields that decide about the numbers, in the types of JSON."""
        identity = {name: value for name, value in self.to_json().items() if name not in NOT_IN_THE_HASH}
        # Where the data lie decides nothing. The name stays in the hash, so that runs of earlier versions are found.
        identity["data_dir"] = "data"
        if self.data.endswith((".npz", ".txt")):
            # What is in a file of one's own decides, not where it lies.
            content = read_regular(own_file(self.data, self.data_dir), "data")
            identity["data"] = hashlib.blake2b(content, digest_size=8).hexdigest()
        for option in ("model", "data"):
            own = as_function(getattr(self, option), option)
            if own is not None:  # what is in the file decides
                identity[option] = own.digest()
        if self.start_from is not None:
            # What was learned decides, not where it lies.
            content = read_regular(Path(self.start_from) / MODEL_FILE, "start_from")
            identity["start_from"] = hashlib.blake2b(content, digest_size=8).hexdigest()
        if self.device.endswith(".toml"):
            # What is in a device file decides, not where it lies.
            content = read_regular(self.device, "device")
            identity["device"] = hashlib.blake2b(content, digest_size=8).hexdigest()
        return identity

    def to_json(self) -> dict[str, object]:
        """Return all fields in the types of JSON, as earlier versions wrote them where nothing new is asked for."""
        return _as_before({**asdict(self), "out": str(self.out)})

    @classmethod
    def from_json(cls, values: object) -> "Run":
        """Make a run from what `to_json` returned.

        Raises:
            ValueError: If a field is missing, unknown or of the wrong type.
        """
        names = {field.name for field in fields(cls)}
        if isinstance(values, dict):
            values = {_NOW.get(name, name): value for name, value in values.items()}
        if not isinstance(values, dict) or not set(values) <= names:
            raise ValueError("it does not hold the fields of a configuration")
        values = {**{name: unsaid[0] for name, unsaid in _UNSAID.items() if name != "refresh"}, **values}
        if "refresh" not in values:
            earlier = values.get("mode") == "in-situ" and refreshes(str(values.get("device")))
            values = {**values, "refresh": "every-batch" if earlier else None}
        missing = sorted(names - set(values))
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}, as an older version may have written it")
        return typed(cls, values)


# What files of runs call otherwise, as earlier versions did.
_BEFORE: Final = {"absent_inputs": "vcp"}
_NOW: Final = {before: now for now, before in _BEFORE.items()}
_UNSAID: dict[str, tuple[object, ...]] = {
    "absent_weights": (0.0,),
    "absent_pattern": (None,),
    "refresh": (None, "every-batch"),
    "torch_device": ("cpu",),
    "processes": (1,),
    "spread": (None,),
    "memory": (None,),
    "loss": ("cross-entropy",),
    "metric": ("accuracy",),
    "measure_every": (0,),
    "transfer_every": (None,),
    "start_from": (None,),
}


def _as_before(values: dict[str, object]) -> dict[str, object]:
    """Leave out what says what it always was: files and names are those of versions that did not ask for it."""
    return {
        _BEFORE.get(name, name): value for name, value in values.items() if value not in _UNSAID.get(name, ())
    }


def _values(config: "TrainConfig | Run") -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in fields(Run)}
