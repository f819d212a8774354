"""What is left open for networks on devices that pulses move: in situ, and by a digital gradient and write-verify."""

from dataclasses import replace
from typing import Final

from devices import DeviceModel
from devices.pulsed import WriteVerify
from devices.units import Dimensionless

from ..training_on_devices import ages, why_not_batched
from .config import TrainConfig
from .device_names import kept_name
from .device_times import resolve_times
from .learning_rates import learning_rate
from .refusals import find_device, is_given, without_effect

# assumed: it leaves the devices room on both sides, as their bounds lie near 1 and scatter.
_WEIGHT_SCALING: Final[Dimensionless] = 0.6


def resolve_in_situ(config: TrainConfig, image_shape: tuple[int, int, int]) -> TrainConfig:
    """Fill in what a training in situ leaves open, and refuse what it cannot use.

    Raises:
        ValueError: If the device's pulses are not known, or an option would have no effect.
    """
    device = find_device(config.device)
    rpu_config = device.training_config()  # refuses devices whose pulses are not known
    if is_given(config, "write_every"):
        raise without_effect(
            "write_every", config, "in situ pulses learn by themselves. Use --mode write-verify"
        )
    backend, reason = config.backend, "--backend aihwkit computes pulse by pulse"
    hindrance = why_not_batched(rpu_config)
    if hindrance is not None:
        backend, reason = "aihwkit", hindrance
    if backend == "aihwkit":
        for name in ("engine", "record_every", "sleep_every"):
            if is_given(config, name):
                raise without_effect(name, config, reason)
        if config.write_tolerance is not None:
            raise ValueError(
                f"`placement` must be without sync_every, but is {config.placement!r}: aihwkit's own tiles cannot be "
                f"written by a write-verify loop, and here nothing else computes ({reason}). Leave it out."
            )
    return _resolve_chip(
        replace(
            config,
            backend=backend,
            lr=config.lr or learning_rate(config.mode, config.device, image_shape),
            engine=(config.engine or "auto") if backend == "batched" else None,
        ),
        device,
    )


def resolve_write_verify(config: TrainConfig, image_shape: tuple[int, int, int]) -> TrainConfig:
    """Fill in what a training by digital gradient and write-verify leaves open, and refuse what it cannot use.

    Raises:
        ValueError: If the device's pulses are not known, or an option would have no effect.
    """
    device = find_device(config.device)
    device.training_config()  # refuses devices whose pulses are not known
    if is_given(config, "engine"):
        raise without_effect("engine", config, "no pulse trains meet; every device is written for itself")
    if config.backend == "aihwkit":
        raise without_effect("backend", config, "aihwkit's tiles have no write-verify loop. Use batched")
    return _resolve_chip(
        replace(
            config,
            lr=config.lr or learning_rate(config.mode, config.device, image_shape),
            write_every=config.write_every or 1,
            write_tolerance=config.write_tolerance or WriteVerify().tolerance,
        ),
        device,
    )


def _resolve_chip(config: TrainConfig, device: DeviceModel) -> TrainConfig:
    """Fill in what holds for every network that has learned on one chip."""
    if config.weight_noise is not None:
        raise without_effect("weight_noise", config, "the devices bring their own noise")
    if not ages(device):
        for name in ("times", "compensation"):
            if is_given(config, name):
                raise without_effect(
                    name, config, f"{device.name} has no model of drift; the chip is evaluated as trained"
                )
    scaling = _WEIGHT_SCALING if config.weight_scaling is None else config.weight_scaling
    return replace(
        config,
        device=kept_name(config.device, device),
        weight_scaling=scaling,
        times=resolve_times(config.times, device) if ages(device) else None,
        compensation=(config.compensation or "global") if ages(device) else None,
    )
