"""The device models that can be asked for by name, each with its source and its limits."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import final

from .aihwkit_adapter import (
    BaseNoiseModel,
    HermesNoiseModel,
    InferenceRPUConfig,
    PCMLikeNoiseModel,
    ReRamCMONoiseModel,
    ReRamWan2022NoiseModel,
    StandardHWATrainingPreset,
    StateIndependentNoiseModel,
    WeightModifierParameter,
    WeightModifierType,
    WeightNoiseType,
)
from .times import TEN_YEARS, MeasuredTimes, TimeRange, ValidTimes
from .units import Dimensionless, MicroSiemens, Seconds


@final
@dataclass(frozen=True, kw_only=True)
class DeviceModel:
    """A kind of memory cell: what is known of it, from where, and how to emulate it.

    Attributes:
        name: What the catalogue calls it.
        technology: The kind of memory cell.
        kind: What the model is for; "inference" models are written once and then age.
        source: The publication behind the numbers.
        summary: What is modelled.
        not_modelled: What a reader should not expect from it.
        g_max: The conductance that the largest weight of a tile is written to.
        g_min: The lowest conductance in use.
        valid_times: The times after programming for which the model states something.
        short_term_noise: Noise of one read within a matrix-vector product, in units of the largest weight of
            a tile; None leaves it as aihwkit's preset has it.
        build: Makes the noise model; use `noise_model()`.
    """

    name: str
    technology: str
    kind: Literal["inference"] = "inference"
    source: str
    summary: str
    not_modelled: str
    g_max: MicroSiemens
    g_min: MicroSiemens = 0.0
    valid_times: ValidTimes = field(default_factory=TimeRange)
    short_term_noise: Dimensionless | None = None
    build: Callable[["DeviceModel"], BaseNoiseModel] = field(repr=False, compare=False)

    def noise_model(self) -> BaseNoiseModel:
        """Make a fresh aihwkit noise model, which `program` takes and which may be changed freely."""
        return self.build(self)

    def rpu_config(self, weight_noise: Dimensionless = 0.1) -> InferenceRPUConfig:
        """Make an aihwkit configuration for hardware-aware training on this device.

        Based on aihwkit's `StandardHWATrainingPreset` (Rasch et al., arXiv:2302.08469): 8-bit
        converters, output noise, IR drop, weight clipping and remapping, learned input ranges and output
        scales. While training, Gaussian noise is added to the weights.

        Args:
            weight_noise: Standard deviation of that noise, relative to the largest weight of the tile.

        Raises:
            ValueError: If `weight_noise` is negative.
        """
        if not weight_noise >= 0:
            raise ValueError(
                f"`weight_noise` must be at least 0, but is {weight_noise}. "
                "Use 0 to train without weight noise."
            )
        rpu_config = StandardHWATrainingPreset()
        rpu_config.noise_model = self.noise_model()
        rpu_config.modifier = WeightModifierParameter(
            type=WeightModifierType.ADD_NORMAL, std_dev=weight_noise, rel_to_actual_wmax=True
        )
        if self.short_term_noise is not None:
            # The preset's law is that of phase-change memory, where noise grows with the conductance.
            rpu_config.forward.w_noise = self.short_term_noise
            rpu_config.forward.w_noise_type = (
                WeightNoiseType.ADDITIVE_CONSTANT if self.short_term_noise > 0 else WeightNoiseType.NONE
            )
        return rpu_config

    def valid_at(self, time: Seconds) -> bool:
        """Say whether the model states anything about a time after programming."""
        return time in self.valid_times

    def check_time(self, time: Seconds) -> None:
        """Refuse a time after programming about which the model states nothing.

        Raises:
            ValueError: If the time is negative, not finite, or not a valid one.
        """
        self.valid_times.check(time)


def catalogue() -> list[str]:
    """List the names of all device models.

    Example:
        >>> "pcm" in catalogue()
        True
    """
    return list(_DEVICE_MODELS)


def get(name: str) -> DeviceModel:
    """Look up a device model.

    Args:
        name: One of `catalogue()`.

    Raises:
        ValueError: If there is no device model of this name.

    Example:
        >>> get("reram-wan2022").g_max
        40.0
    """
    if name not in _DEVICE_MODELS:
        close = difflib.get_close_matches(name, _DEVICE_MODELS, n=3) or list(_DEVICE_MODELS)
        raise ValueError(
            f"`name` must be in the catalogue of devices, but is {name!r}. Did you mean {' or '.join(close)}?"
        )
    return _DEVICE_MODELS[name]


_HERMES_SOURCE = (
    "Le Gallo et al., Nature Electronics (2023), nature.com/articles/s41928-023-01010-1; "
    "Khaddam-Aljameh et al., IEEE JSSC (2022), ieeexplore.ieee.org/document/9696185; fit in aihwkit 1.1.0"
)
_NOT_MODELLED = "Temperature, endurance and stuck cells; correlation of read noise from one read to the next."

_ENTRIES = (
    DeviceModel(
        name="pcm",
        technology="phase-change memory",
        source="Nandakumar et al., IEEE ICECS (2019), ieeexplore.ieee.org/document/8964852; "
        "fit in aihwkit 1.1.0",
        summary="Differential pair. Programming noise polynomial in the target, power-law drift from 20 s "
        "with an exponent of its own for each device, accumulated 1/f read noise.",
        not_modelled=_NOT_MODELLED,
        g_max=25.0,
        build=lambda device: PCMLikeNoiseModel(g_max=device.g_max),
    ),
    DeviceModel(
        name="pcm-hermes",
        technology="phase-change memory",
        source=f"{_HERMES_SOURCE}; programming of two devices: Vasilopoulos et al., IEEE TED (2023), "
        "ieeexplore.ieee.org/document/10281389",
        summary="IBM's HERMES chip, two devices in parallel for each sign. Programming noise polynomial in "
        "the target, power-law drift from 300 s, accumulated 1/f read noise.",
        not_modelled=f"{_NOT_MODELLED} Both devices of a sign are taken to drift alike, at worst.",
        g_max=20.7,
        build=lambda device: HermesNoiseModel(num_devices=2, g_max=device.g_max),
    ),
    DeviceModel(
        name="pcm-hermes-single",
        technology="phase-change memory",
        source=_HERMES_SOURCE,
        summary="IBM's HERMES chip, one device for each sign. Programming noise polynomial in the target, "
        "power-law drift from 200 s, accumulated 1/f read noise.",
        not_modelled=_NOT_MODELLED,
        g_max=10.35,
        build=lambda device: HermesNoiseModel(num_devices=1, g_max=device.g_max),
    ),
    DeviceModel(
        name="reram-wan2022",
        technology="resistive memory (HfOx)",
        source="Wan et al., Nature (2022), nature.com/articles/s41586-022-04992-8; "
        "spread estimated from its figures in aihwkit 1.1.0",
        summary="Differential pair. Spread about the target at 1 s, 1 day and 2 days after programming; a "
        "device keeps its rank in the spread. Short-term read noise of 1 % in every matrix-vector product.",
        not_modelled=f"{_NOT_MODELLED} Any time but the three measured ones.",
        # The spread was fitted for 40 µS and aihwkit does not rescale it to its own default of 25 µS.
        g_max=40.0,
        valid_times=MeasuredTimes((1.0, 86400.0, 172800.0)),
        short_term_noise=0.01,
        build=lambda device: ReRamWan2022NoiseModel(g_max=device.g_max),
    ),
    DeviceModel(
        name="reram-cmo",
        technology="resistive memory (conductive metal oxide on HfOx)",
        source="Falcone et al., arXiv:2502.04524 (2025); fit in aihwkit 1.1.0",
        summary="A single device for each weight, written until within 0.2 % of its target (10 to 100 nS of "
        "noise). Relaxation in the logarithm of time, 1/f read noise. Short-term read noise of 1 % in every "
        "matrix-vector product.",
        not_modelled=f"{_NOT_MODELLED} Times between the write and 1 s.",
        # The window that aihwkit's fit was made for.
        g_max=88.199997,
        g_min=9.0,
        valid_times=TimeRange(1.0, TEN_YEARS),
        short_term_noise=0.01,
        # Named, because aihwkit's default (2e-2) is no key of its table, which is in percent.
        build=lambda device: ReRamCMONoiseModel(g_max=device.g_max, g_min=device.g_min, acceptance_range=0.2),
    ),
    DeviceModel(
        name="ideal",
        technology="none",
        source="assumed: a device that holds exactly what is written, to tell its effects from all others",
        summary="No programming noise, no drift, no read noise. Converters and wires stay as they are.",
        not_modelled="Everything that happens in a device.",
        g_max=25.0,
        short_term_noise=0.0,
        build=lambda device: StateIndependentNoiseModel(
            g_max=device.g_max, prog_noise_scale=0.0, drift_scale=0.0, read_noise_scale=0.0
        ),
    ),
)
_DEVICE_MODELS = {device.name: device for device in _ENTRIES}
