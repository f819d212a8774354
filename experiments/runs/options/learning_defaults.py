"""What is left open for networks on devices that pulses move: in situ, and by a digital gradient and write-verify."""

from dataclasses import replace
from typing import Final

from devices import DeviceModel
from devices.pulsed import WriteVerify
from devices.units import Dimensionless

from ..training_on_devices import ages, why_not_batched
from .config import Refresh, TrainConfig
from .device_names import has_transfers, kept_name, refreshes
from .device_times import resolve_times
from .refusals import find_device, is_given, without_effect

# assumed: it leaves the devices room on both sides, as their bounds lie near 1 and scatter.
_WEIGHT_SCALING: Final[Dimensionless] = 0.6


def resolve_in_situ(wish: TrainConfig, placement: str) -> TrainConfig:
    """Fill in what a training in situ leaves open, and refuse what it cannot use.

    Args:
        wish: What the user asked for.
        placement: Where the kernels of the network's local layers live.

    Raises:
        ValueError: If the device's pulses are not known, or an option would have no effect.
    """
    device = find_device(wish.device)
    rpu_config = device.training_config()  # refuses devices whose pulses are not known
    if is_given(wish, "write_every"):
        raise without_effect(
            "write_every", wish, "in situ pulses learn by themselves. Use --mode write-verify"
        )
    backend, reason = wish.backend, "--backend aihwkit computes pulse by pulse"
    hindrance = why_not_batched(rpu_config)
    if hindrance is not None:
        backend, reason = "aihwkit", hindrance
    if backend == "aihwkit":
        for name in (
            "engine",
            "record_every",
            "sleep_every",
            *(["refresh"] if wish.refresh == "when-full" else []),
        ):
            if is_given(wish, name):
                raise without_effect(name, wish, reason)
        if wish.write_tolerance is not None:
            raise ValueError(
                f"`placement` must be without sync_every, but is {placement!r}: aihwkit's own tiles cannot be "
                f"written by a write-verify loop, and here nothing else computes ({reason}). Leave it out."
            )
    if wish.transfer_every is not None and not has_transfers(wish.device):
        raise without_effect("transfer_every", wish, "its rule transfers nothing")
    has_pairs = refreshes(kept_name(wish.device, device))
    if is_given(wish, "refresh") and not has_pairs:
        raise without_effect("refresh", wish, "its devices go up and down, and never fill up")
    usual: Refresh = "when-full" if backend == "batched" else "every-batch"
    return _resolve_chip(
        replace(
            wish,
            backend=backend,
            engine=(wish.engine or "auto") if backend == "batched" else None,
            refresh=(wish.refresh or usual) if has_pairs else None,
        ),
        device,
    )


def resolve_write_verify(wish: TrainConfig) -> TrainConfig:
    """Fill in what a training by digital gradient and write-verify leaves open, and refuse what it cannot use.

    Raises:
        ValueError: If the device's pulses are not known, or an option would have no effect.
    """
    device = find_device(wish.device)
    device.training_config()  # refuses devices whose pulses are not known
    if is_given(wish, "engine"):
        raise without_effect("engine", wish, "no pulse trains meet; every device is written for itself")
    if is_given(wish, "refresh"):
        raise without_effect("refresh", wish, "pairs are refreshed where a write finds them full")
    if wish.transfer_every is not None:
        raise without_effect("transfer_every", wish, "no rule transfers; every device is written for itself")
    if wish.backend == "aihwkit":
        raise without_effect("backend", wish, "aihwkit's tiles have no write-verify loop. Use batched")
    return _resolve_chip(
        replace(
            wish,
            write_every=wish.write_every or 1,
            write_tolerance=wish.write_tolerance or WriteVerify().tolerance,
        ),
        device,
    )


def _resolve_chip(wish: TrainConfig, device: DeviceModel) -> TrainConfig:
    """Fill in what holds for every network that has learned on one chip."""
    if wish.weight_noise is not None:
        raise without_effect("weight_noise", wish, "the devices bring their own noise")
    if not ages(device):
        for name in ("times", "compensation"):
            if is_given(wish, name):
                raise without_effect(
                    name, wish, f"{device.name} has no model of drift; the chip is evaluated as trained"
                )
    scaling = _WEIGHT_SCALING if wish.weight_scaling is None else wish.weight_scaling
    return replace(
        wish,
        device=kept_name(wish.device, device),
        weight_scaling=scaling,
        times=resolve_times(wish.times, device) if ages(device) else None,
        compensation=(wish.compensation or "global") if ages(device) else None,
    )
