"""Which of aihwkit's configurations a tile array honours, and which way of training they ask for."""

from typing import Any, Literal

from .aihwkit_adapter import (
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    UnitCellRPUConfig,
)
from .compensation import compensation_of
from .input_range import check_input_range_support
from .periphery import check_io_support
from .weight_constraints import check_constraint_support
from .weight_modifiers import check_modifier_support
from .write_verify_config import WriteVerifyRPUConfig

Backend = Literal["batched", "aihwkit"]

HARDWARE_AWARE = (InferenceRPUConfig, TorchInferenceRPUConfig)
IN_SITU = (SingleRPUConfig, UnitCellRPUConfig, DigitalRankUpdateRPUConfig)


def is_in_situ(rpu_config: Any) -> bool:
    """Tell whether a configuration trains pulsed devices in place (True) or digital weights for them (False)."""
    return isinstance(rpu_config, IN_SITU)


def check_config(rpu_config: Any, sync_every: int = 0) -> None:
    """Refuse configurations, or settings in them, that would not have their effect.

    Args:
        rpu_config: aihwkit's configuration of a tile.
        sync_every: Updates in place between two synchronisations of copies.

    Raises:
        TypeError: If it is neither an inference nor a training configuration.
        ValueError: If one of its settings is not honoured; names it.
    """
    if not isinstance(rpu_config, HARDWARE_AWARE + IN_SITU):
        names = ", ".join(cls.__name__ for cls in HARDWARE_AWARE + IN_SITU)
        raise TypeError(
            f"`rpu_config` must be one of {names}, but is {type(rpu_config).__name__}. Choose one."
        )
    check_io_support(rpu_config.forward)
    check_input_range_support(rpu_config.pre_post.input_range)
    if not rpu_config.mapping.digital_bias:
        raise ValueError(
            "`mapping.digital_bias` must be True, but is False: the emulator adds biases digitally. "
            "Leave it at True."
        )
    if sync_every and (not is_in_situ(rpu_config) or isinstance(rpu_config, WriteVerifyRPUConfig)):
        raise ValueError(
            f"`sync_every` must be 0 unless devices are trained in place by pulses, but is {sync_every} with "
            f"{type(rpu_config).__name__}: all copies follow one set of trained weights. Leave it out."
        )
    if is_in_situ(rpu_config):
        check_io_support(rpu_config.backward)
        if rpu_config.mapping.weight_scaling_lr_compensation:
            raise ValueError(
                "`mapping.weight_scaling_lr_compensation` must be False, but is True: the gradient is divided by the "
                "mapping scales, which makes the same step. Leave it at False."
            )
        return
    check_modifier_support(rpu_config.modifier)
    check_constraint_support(rpu_config.clip, rpu_config.remap)
    compensation_of(rpu_config.drift_compensation)
