"""Which of aihwkit's configurations a tile array honours, and which way of training they ask for."""

from typing import Any, Literal

from ..aihwkit.adapter import (
    CustomRPUConfig,
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    UnitCellRPUConfig,
)
from ..aihwkit.completion import complete_
from ..learning.write_verify_config import WriteVerifyRPUConfig
from ..reading.input_range import check_input_range_support
from ..reading.periphery import check_io_support
from ..wires.parameters import WireParameters
from .compensation import compensation_of
from .ignored_settings import check_ignored_settings
from .weights.constraints import check_constraint_support
from .weights.modifiers import check_modifier_support

Backend = Literal["batched", "aihwkit"]

HARDWARE_AWARE = (InferenceRPUConfig, TorchInferenceRPUConfig, FloatingPointRPUConfig, CustomRPUConfig)
IN_SITU = (SingleRPUConfig, UnitCellRPUConfig, DigitalRankUpdateRPUConfig)


def is_in_situ(rpu_config: Any) -> bool:
    """Tell whether a configuration trains pulsed devices in place (True) or digital weights for them (False)."""
    return isinstance(rpu_config, IN_SITU)


def check_config(rpu_config: Any, sync_every: int = 0) -> None:
    """Refuse configurations, or settings in them, that would not have their effect.

    Args:
        rpu_config: aihwkit's configuration of a tile; it gets the settings that its class leaves out.
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
    complete_(rpu_config)
    check_io_support(rpu_config.forward)
    check_ignored_settings(rpu_config)
    check_input_range_support(rpu_config.pre_post.input_range)
    if sync_every and (not is_in_situ(rpu_config) or isinstance(rpu_config, WriteVerifyRPUConfig)):
        raise ValueError(
            f"`sync_every` must be 0 unless devices are trained in place by pulses, but is {sync_every} with "
            f"{type(rpu_config).__name__}: all copies follow one set of trained weights. Leave it out."
        )
    if is_in_situ(rpu_config):
        check_io_support(rpu_config.backward)
        return
    check_modifier_support(rpu_config.modifier)
    check_constraint_support(rpu_config.clip, rpu_config.remap)
    compensation_of(rpu_config.drift_compensation)


def check_backend(backend: str, wires: object) -> None:
    """Refuse a backend that does not exist, or that has no wires.

    Raises:
        ValueError: If so.
    """
    if backend not in ("batched", "aihwkit"):
        raise ValueError(f"`backend` must be 'batched' or 'aihwkit', but is {backend!r}.")
    if backend == "aihwkit" and wires is not None:
        raise ValueError(
            "`backend` must be 'batched' for tiles with resistive wires, but is 'aihwkit', whose tiles know the "
            "approximation `forward.ir_drop` only. Take the wires away with `use_wires(None)`."
        )


def check_wires(wires: WireParameters | None, rpu_config: Any, backend: Backend) -> None:
    """Refuse wires where the conductances of the devices are not known.

    Raises:
        ValueError: If devices are trained in place, or the backend is aihwkit's.
    """
    if wires is None:
        return
    if is_in_situ(rpu_config):
        raise ValueError(
            f"`wires` must be None for {type(rpu_config).__name__}, but are {wires}: what pulses train has no "
            "unit of conductance, so no wire can be compared with it. Use an inference configuration."
        )
    if rpu_config.noise_model is None:
        raise ValueError(
            f"`wires` must be None for {type(rpu_config).__name__}, but are {wires}: it names no devices, so that no "
            "conductance can be compared with a wire. Use InferenceRPUConfig."
        )
    check_backend(backend, wires)


def check_replacement(rpu_config: Any, present: Any) -> None:
    """Refuse a configuration that cannot take the place of the present one.

    Raises:
        ValueError: If the mapping differs, which would change the parameters, or devices that are trained in
            place would become others.
    """
    check_config(rpu_config)
    if is_in_situ(rpu_config) or is_in_situ(present):
        raise ValueError(
            "`rpu_config` must be that of the present devices while they are trained in place, but is another "
            f"{type(rpu_config).__name__}. Make a new layer and set its weights."
        )
    for quantised in ("act_quant_config", "pre_post.periph_quant"):
        wanted, held = (_part(config, quantised) for config in (rpu_config, present))
        if wanted != held:
            raise ValueError(
                f"`rpu_config.{quantised}` must be that of the present configuration, but differs. "
                "Convert the digital model anew."
            )
    if rpu_config.mapping != present.mapping:
        raise ValueError(
            "`rpu_config.mapping` must be that of the present configuration, but differs. "
            "Convert the digital model anew."
        )


def _part(rpu_config: Any, path: str) -> Any:
    for name in path.split("."):
        rpu_config = getattr(rpu_config, name, None)
    return rpu_config
