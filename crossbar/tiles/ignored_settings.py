"""Settings of aihwkit's configurations that would have no effect here: every one is refused, with its reason.

What has an effect is listed by class: a field that is on no list (of a newer aihwkit, of a class of one's own) is
refused, too, rather than passed over.
"""

import dataclasses
from typing import Any

from ..aihwkit.adapter import (
    CPP_AND_TORCH_TILES,
    CustomRPUConfig,
    CustomUpdateParameters,
    DigitalRankUpdateRPUConfig,
    FloatingPointDevice,
    FloatingPointRPUConfig,
    IdealDevice,
    InferenceRPUConfig,
    InputRangeParameter,
    MappingParameter,
    PrePostProcessingParameterQuant,
    PulseType,
    QuantizedTorchInferenceRPUConfig,
    RPUDataType,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    TorchTransferTile,
    UnitCellRPUConfig,
    UpdateParameters,
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)
from ..learning.write_verify_config import WriteVerifyRPUConfig

_CONFIGURATIONS = (
    InferenceRPUConfig,
    TorchInferenceRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    QuantizedTorchInferenceRPUConfig,
    FloatingPointRPUConfig,
    CustomRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
    DigitalRankUpdateRPUConfig,
    WriteVerifyRPUConfig,
)
_PARTS = {
    "mapping": MappingParameter,
    "pre_post": PrePostProcessingParameterQuant,
    "pre_post.input_range": InputRangeParameter,
    "clip": WeightClipParameter,
    "remap": WeightRemapParameter,
    "modifier": WeightModifierParameter,
}


def check_ignored_settings(rpu_config: Any) -> None:
    """Refuse fields, classes and values that nothing here reads.

    Args:
        rpu_config: aihwkit's configuration of a tile, of one of the classes that a tile array takes.

    Raises:
        ValueError: If there is one; names it.
    """
    _check_quantisation(rpu_config)
    if isinstance(rpu_config, FloatingPointRPUConfig):
        _check_floating_point(rpu_config.device)
    elif isinstance(rpu_config, CustomRPUConfig):
        _check_custom(rpu_config)
    else:
        _check_fields(
            "update", rpu_config.update, {field.name for field in dataclasses.fields(UpdateParameters)}
        )
    known = {field.name for cls in _CONFIGURATIONS for field in dataclasses.fields(cls)}
    _check_fields("rpu_config", rpu_config, known)
    for path, cls in _PARTS.items():
        part = rpu_config
        for name in path.split("."):
            part = getattr(part, name, None)
        if part is not None:
            _check_fields(path, part, {field.name for field in dataclasses.fields(cls)})
    _check_tiles(rpu_config)
    _check_runtime(rpu_config.runtime)
    settings = rpu_config.pre_post.input_range
    if settings.enable and settings.gradient_scale != 1.0 and not settings.gradient_relative:
        raise ValueError(
            f"`input_range.gradient_scale` must be 1 unless `gradient_relative` is set, but is "
            f"{settings.gradient_scale}: aihwkit ignores it then. Set `gradient_relative`, or `decay` and the "
            "learning rate instead."
        )
    if rpu_config.mapping.weight_scaling_lr_compensation:
        raise ValueError(
            "`mapping.weight_scaling_lr_compensation` must be False, but is True: the gradient is divided by the "
            "mapping scales, which makes the same step. Leave it at False."
        )
    if isinstance(rpu_config, InferenceRPUConfig):
        _check_inference(rpu_config)


def _check_fields(path: str, part: Any, known: set[str]) -> None:
    fields = dataclasses.fields(part) if dataclasses.is_dataclass(part) else ()
    unknown = sorted(field.name for field in fields if field.name not in known)
    if unknown:
        raise ValueError(
            f"`{path}` must have the fields of aihwkit's own class, but {type(part).__name__} adds {unknown}, which "
            "nothing here reads. Use aihwkit's class."
        )


def _check_tiles(rpu_config: Any) -> None:
    """Refuse tile classes of one's own: tile arrays compute themselves."""
    fields = {field.name: field.default for field in dataclasses.fields(rpu_config)}
    names = "tile_class", "tile_array_class", "simulator_tile_class"
    allowed: dict[str, tuple[Any, ...]] = {name: (fields.get(name),) for name in names}
    allowed["tile_class"] += CPP_AND_TORCH_TILES
    if isinstance(rpu_config, UnitCellRPUConfig):
        allowed["tile_class"] += (TorchTransferTile,)  # the same learning rules, in torch
    for name, classes in allowed.items():
        value = getattr(rpu_config, name, None)
        if value is not None and value not in classes:
            raise ValueError(
                f"`{name}` must be aihwkit's own, but is {value.__name__}: a tile array computes all tiles itself. "
                "Leave it at its default, or use aihwkit's layers."
            )


def _check_runtime(runtime: Any) -> None:
    if runtime.data_type != RPUDataType.FLOAT:
        raise ValueError(
            f"`runtime.data_type` must be FLOAT, but is {runtime.data_type.name}: it chooses among aihwkit's "
            "compiled tiles. Convert the layer instead, for example with `.double()`."
        )
    for name in ("offload_input", "offload_gradient"):
        if getattr(runtime, name):
            raise ValueError(
                f"`runtime.{name}` must be False, but is True: batches wait for the update where they were computed. "
                "Leave it at False."
            )


def _check_quantisation(rpu_config: Any) -> None:
    """Refuse digital quantisation that learns its steps; see `reading.quantised_outputs` for what there is."""
    periphery = getattr(rpu_config.pre_post, "periph_quant", None)
    if periphery is not None and periphery.n_bits > 0 and periphery.learn_quant_params:
        raise ValueError(
            "`pre_post.periph_quant.learn_quant_params` must be False, but is True: scales and biases are quantised "
            "over the range that they have. Leave it at False."
        )


def _check_floating_point(device: FloatingPointDevice) -> None:
    """Refuse what a weight in a digital memory does not do."""
    if device.diffusion or device.lifetime or device.drift != type(device.drift)():
        raise ValueError(
            "`device` must have no diffusion, lifetime or drift in a FloatingPointRPUConfig, but is "
            f"{device}: a number in a digital memory stays. Use SingleRPUConfig with an IdealDevice."
        )


def _check_custom(rpu_config: CustomRPUConfig) -> None:
    """Refuse what aihwkit's custom tile does by itself: a noisy way back, noise on the gradient."""
    if not rpu_config.backward.is_perfect:
        raise ValueError(
            "`backward` must be perfect in a CustomRPUConfig, but is not: the gradient is digital. "
            "Use a training configuration, such as SingleRPUConfig, for a way back through the tile."
        )
    if type(rpu_config.update) is not CustomUpdateParameters or rpu_config.update.gradient_noise:
        raise ValueError(
            f"`update.gradient_noise` must be 0 in a CustomRPUConfig, but is {rpu_config.update}: an optimizer "
            "changes digital weights. Add noise to `weight.grad` between the backward pass and the step."
        )


def _check_inference(rpu_config: Any) -> None:
    """Refuse what hardware-aware training, whose way back and whose step are digital, would not read."""
    if not rpu_config.backward.is_perfect:
        raise ValueError(
            "`backward` must be perfect in an inference configuration, but is not: the gradient is digital. "
            "Use a training configuration, such as SingleRPUConfig, for a way back through the tile."
        )
    pulse_type = rpu_config.update.pulse_type
    if pulse_type != PulseType.NONE:
        raise ValueError(
            f"`update.pulse_type` must be NONE in an inference configuration, but is {pulse_type.name}: "
            "an optimizer changes digital weights. Use a training configuration, such as SingleRPUConfig."
        )
    if not isinstance(rpu_config.device, IdealDevice):
        raise ValueError(
            f"`device` must be an IdealDevice in an inference configuration, but is a "
            f"{type(rpu_config.device).__name__}. Use a training configuration, such as SingleRPUConfig."
        )
