"""What the catalogue states about a kind of memory cell, and the aihwkit configurations that emulate it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from typing_extensions import final

from .aihwkit_adapter import (
    BaseNoiseModel,
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    StandardHWATrainingPreset,
    UnitCellRPUConfig,
    WeightModifierParameter,
    WeightModifierType,
    WeightNoiseType,
)
from .states import number_of_states
from .times import TimeRange, ValidTimes
from .units import Dimensionless, MicroSiemens, Seconds

Kind: TypeAlias = Literal["inference", "training", "both"]
TrainingConfig: TypeAlias = SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig


@final
@dataclass(frozen=True, kw_only=True)
class DeviceModel:
    """A kind of memory cell: what is known of it, from where, and how to emulate it.

    Attributes:
        name: What the catalogue calls it.
        technology: The kind of memory cell.
        kind: What the model is for; "inference" models are written once and then age, "training" models are
            moved by pulses while a network learns on them, and "both" know how to do both.
        source: The publication behind the numbers.
        summary: What is modelled.
        not_modelled: What a reader should not expect from it.
        algorithm: The learning rule that moves the devices; None for "inference" models.
        aihwkit_name: What aihwkit calls the configuration (or, without one, the device) to train with.
        g_max: The conductance that the largest weight of a tile is written to; None if it is not known.
        g_min: The lowest conductance in use; None if it is not known.
        valid_times: The times after programming for which the model states something; None if it states
            nothing about ageing.
        measured_times: The times that the data behind the model reach to; answers beyond them are extrapolated.
            None if nothing was measured, as for a device without a model of ageing, or the ideal one.
        short_term_noise: Noise of one read within a matrix-vector product, in units of the largest weight of
            a tile; None leaves it as aihwkit's preset has it.
        build: Makes the noise model; use `noise_model()`.
        build_training: Makes the configuration to train with; use `training_config()`.
    """

    name: str
    technology: str
    kind: Kind = "inference"
    source: str
    summary: str
    not_modelled: str
    algorithm: str | None = None
    aihwkit_name: str | None = None
    g_max: MicroSiemens | None
    g_min: MicroSiemens | None = 0.0
    valid_times: ValidTimes | None = field(default_factory=TimeRange)
    measured_times: ValidTimes | None = None
    short_term_noise: Dimensionless | None = None
    build: Callable[["DeviceModel"], BaseNoiseModel] | None = field(default=None, repr=False, compare=False)
    build_training: Callable[[], TrainingConfig] | None = field(default=None, repr=False, compare=False)

    @property
    def on_off_ratio(self) -> Dimensionless | None:
        """The highest over the lowest conductance in use; None if either is not known or the lowest is 0."""
        return self.g_max / self.g_min if self.g_max is not None and self.g_min else None

    @property
    def states(self) -> int | None:
        """How many mean steps fit between the mean bounds; None if no pulses move it, or its law does not say."""
        return None if self.build_training is None else number_of_states(self.build_training())

    def noise_model(self) -> BaseNoiseModel:
        """Make a fresh aihwkit noise model, which `program` takes and which may be changed freely.

        Raises:
            ValueError: If it is not known how such a device ages.
        """
        if self.build is None:
            raise ValueError(
                f"`device` must have a model of how it ages, but is {self.name!r}, of which no drift is known. "
                "Take one that has it, such as 'pcm', 'pcm-hermes' or 'reram-cmo'."
            )
        return self.build(self)

    def training_config(self) -> TrainingConfig:
        """Make a fresh aihwkit configuration for in-situ training, which may be changed freely.

        aihwkit's preset as it is: devices, learning rule, 7-bit inputs, 9-bit outputs with noise, and pulse
        trains of stochastic pulses.

        Raises:
            ValueError: If it is not known how pulses move such a device.
        """
        if self.build_training is None:
            raise ValueError(
                f"`device` must have a model of how pulses move it, but is {self.name!r}, which is only written "
                "and read. Take one that has it, such as 'pcm', 'reram-sb' or 'ecram'."
            )
        return self.build_training()

    def rpu_config(self, weight_noise: Dimensionless = 0.1) -> InferenceRPUConfig:
        """Make an aihwkit configuration for hardware-aware training on this device.

        Based on aihwkit's `StandardHWATrainingPreset` (Rasch et al., arXiv:2302.08469): 8-bit
        converters, output noise, IR drop, weight clipping and remapping, learned input ranges and output
        scales. While training, Gaussian noise is added to the weights.

        Args:
            weight_noise: Standard deviation of that noise, relative to the largest weight of the tile.

        Raises:
            ValueError: If `weight_noise` is negative, or it is not known how such a device ages.
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
        return self.valid_times is not None and time in self.valid_times

    def is_extrapolated(self, time: Seconds) -> bool:
        """Say whether a time lies beyond the measurement behind the model; false if nothing was measured."""
        return self.measured_times is not None and time not in self.measured_times

    def check_time(self, time: Seconds) -> None:
        """Refuse a time after programming about which the model states nothing.

        Raises:
            ValueError: If the time is negative, not finite, or not a valid one, or it is not known how such a
                device ages.
        """
        if self.valid_times is None:
            self.noise_model()
        else:
            self.valid_times.check(time)
