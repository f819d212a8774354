"""`xbar devices`: the memory cells that networks are written onto, and those that learn by pulses."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from devices import DeviceModel, catalogue, get

from .config import DevicesConfig
from .device_names import kept_name
from .device_times import DEFAULT_TIMES
from .durations import format_time, parse_times
from .in_situ import why_not_batched


def run_devices(config: DevicesConfig) -> None:
    """Print the catalogue of devices, or what is known of one.

    Raises:
        ValueError: If there is no device of that name.
    """
    if config.name is not None:
        print("\n".join(_described(get(config.name), config.name)))
        return
    models = [get(name) for name in catalogue()]
    print("To be written: networks are trained in software, programmed, and age (xbar train --device NAME)\n")
    for device in (model for model in models if model.kind != "training"):
        print(f"{device.name}  {device.technology}")
        print("\n".join(_wrapped(device.summary, _times(device), f"Source: {device.source}.")) + "\n")
    print("To learn by pulses: networks are trained in situ (xbar train --mode in-situ --device NAME)\n")
    print("\n".join(_learning_table([model for model in models if model.kind != "inference"])))
    print("\n`xbar devices NAME` describes one.")


def _learning_table(devices: list[DeviceModel]) -> Iterator[str]:
    """Write a line for each device, grouped by algorithm."""
    groups: dict[str, list[DeviceModel]] = defaultdict(list)
    for device in devices:
        groups[device.algorithm or ""].append(device)
    names = max(len(device.name) for device in devices) + 4
    technologies = max(len(device.technology) for device in devices) + 2
    reasons: dict[str, str] = {}
    yield f"{'':<{names}}{'technology':<{technologies}}{'states':>7}  backend"
    for algorithm, members in groups.items():
        yield algorithm
        for device in members:
            reason = why_not_batched(device.training_config())
            if reason is not None:
                reasons[device.name] = reason
            states = number_of_states(device.training_config())
            yield (
                f"{'  ' + device.name:<{names}}{device.technology:<{technologies}}"
                f"{'' if states is None else f'{states:,}':>7}  {'batched' if reason is None else 'aihwkit'}"
            )
    yield ""
    yield from _wrapped(
        "states: smallest mean steps that fit between the mean bounds of one device, the one that holds the "
        "weight. batched: all tiles of a layer in one call. aihwkit: one tile after another, slowly.",
        indent="",
    )
    for name, reason in reasons.items():
        yield from _wrapped(f"{name}: {reason}", indent="")


def _described(device: DeviceModel, asked: str) -> Iterator[str]:
    name = kept_name(asked, device)
    yield f"{device.name}: {device.technology}"
    yield from _wrapped(device.summary, f"Not modelled: {device.not_modelled}")
    if device.kind != "training":
        yield from _wrapped(f"To be written: xbar train --device {name}", _times(device))
    if device.kind != "inference":
        config = device.training_config()
        states, reason = number_of_states(config), why_not_batched(config)
        yield from _wrapped(
            f"To learn by pulses: xbar train --mode in-situ --device {name}",
            f"Algorithm: {device.algorithm}."
            + (f" aihwkit's name: {device.aihwkit_name}." if device.aihwkit_name else ""),
            "" if states is None else f"States: {states:,} smallest mean steps between the mean bounds.",
            "Backend: batched." if reason is None else f"Backend: aihwkit, slowly: {reason}",
            "Ages after training." if device.kind == "both" else "No model of drift after training.",
        )
    yield from _wrapped(f"Source: {device.source}.")


def number_of_states(rpu_config: Any) -> int | None:
    """Return how many mean steps fit between the mean bounds of the device that holds a weight.

    Args:
        rpu_config: aihwkit's configuration to train with.

    Returns:
        The number, or None if the description of the device does not say.
    """
    device = rpu_config.device
    device = getattr(device, "device", device)  # mixed precision keeps a device within its compound
    # Of several, the last one holds the weight (Tiki-Taka), or all are alike.
    device = (getattr(device, "unit_cell_devices", None) or [device])[-1]
    step: float = getattr(device, "dw_min", 0.0)
    if step <= 0 or not hasattr(device, "w_max"):
        return None
    states: float = (device.w_max - device.w_min) / step
    return round(states)


def _times(device: DeviceModel) -> str:
    times = [format_time(time) for time in parse_times(DEFAULT_TIMES) if device.valid_at(time)]
    return f"Default times: {', '.join(times)}."


def _wrapped(*sentences: str, indent: str = "  ") -> Iterator[str]:
    for sentence in filter(None, sentences):
        yield from textwrap.wrap(sentence, 100, initial_indent=indent, subsequent_indent=indent)
