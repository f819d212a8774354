"""`xbar devices`: the memory cells that networks are written onto, and those that learn by pulses."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices import DeviceModel, catalogue, characterise, get
from devices.times import MeasuredTimes

from ..drawing.characterisation_figure import draw_characterisation
from ..drawing.measured_response import measured_on
from ..runs.options.device_names import kept_name
from ..runs.options.device_times import DEFAULT_TIMES
from ..runs.training_on_devices import why_not_batched
from ..support.answer import Answer
from ..support.durations import format_time, parse_times
from .config import DevicesConfig


def run_devices(config: DevicesConfig) -> Answer:
    """Print the catalogue of devices, or what is known of one, and draw that.

    Returns:
        What is known of each device; of one that was named also its files.

    Raises:
        ValueError: If there is no device of that name.
    """
    if config.name is not None:
        device = get(config.name)
        print("\n".join(_described(device, config.name)), flush=True)
        files = _draw(device, config.name, Path(config.out))
        print("\n".join(f"  {what.capitalize()}: {file}" for what, file in files.items()))
        return {**_facts(device), **files}
    models = [get(name) for name in catalogue()]
    print("To be written: networks are trained in software, programmed, and age (xbar train --device NAME)\n")
    for device in (model for model in models if model.kind != "training"):
        print(f"{device.name}  {device.technology}")
        print(
            "\n".join(
                _wrapped(
                    device.summary,
                    _conductances(device),
                    _times(device),
                    _measured(device),
                    f"Source: {device.source}.",
                )
            )
            + "\n"
        )
    print("To learn by pulses: networks are trained in situ (xbar train --mode in-situ --device NAME)\n")
    print("\n".join(_learning_table([model for model in models if model.kind != "inference"])))
    print("\n`xbar devices NAME` describes one and draws it.")
    return [_facts(model) for model in models]


def _facts(device: DeviceModel) -> dict[str, Any]:
    """Return what is known of a device in the types of JSON; conductances in µS."""
    names = (
        "name", "technology", "kind", "source", "summary", "not_modelled", "algorithm", "aihwkit_name", "g_min",
        "g_max", "on_off_ratio", "states",
    )  # fmt: skip
    reason = None if device.kind == "inference" else why_not_batched(device.training_config())
    backend = None if device.kind == "inference" else "batched" if reason is None else "aihwkit"
    return {**{name: getattr(device, name) for name in names}, "backend": backend}


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
            states = device.states
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
    yield from _wrapped(device.summary, f"Not modelled: {device.not_modelled}", _conductances(device))
    if device.kind != "training":
        yield from _wrapped(f"To be written: xbar train --device {name}", _times(device), _measured(device))
    if device.kind != "inference":
        config = device.training_config()
        states, reason = device.states, why_not_batched(config)
        yield from _wrapped(
            f"To learn by pulses: xbar train --mode in-situ --device {name}",
            f"Algorithm: {device.algorithm}."
            + (f" aihwkit's name: {device.aihwkit_name}." if device.aihwkit_name else ""),
            "" if states is None else f"States: {states:,} smallest mean steps between the mean bounds.",
            "Backend: batched." if reason is None else f"Backend: aihwkit, slowly: {reason}",
            "Ages after training." if device.kind == "both" else "No model of drift after training.",
        )
    yield from _wrapped(f"Source: {device.source}.")


def _draw(device: DeviceModel, asked: str, folder: Path) -> dict[str, Path]:
    """Measure simulated devices, and write what was found as a figure and as a table; returns both files."""
    folder.mkdir(parents=True, exist_ok=True)
    figure, numbers = (folder / f"{device.name}{ending}" for ending in (".png", ".csv"))
    characterisation = characterise(device)
    draw_characterisation(characterisation, figure, *measured_on(device, asked))
    characterisation.write_csv(numbers)
    return {"figure": figure, "numbers": numbers}


def _conductances(device: DeviceModel) -> str:
    if device.g_max is None or device.g_min is None:
        return "Conductance range: not published with the model, whose weights have no unit."
    ratio = "not limited by the model" if device.on_off_ratio is None else f"{device.on_off_ratio:.3g}"
    return f"Conductance range: {device.g_min:.3g} to {device.g_max:.3g} µS. On/off ratio: {ratio}."


def _measured(device: DeviceModel) -> str:
    """Write where a model's data end; a time beyond is extrapolated, and one that is not valid is refused."""
    measured = device.measured_times
    if measured is None:
        return "" if device.build is None else "Nothing was measured: no time is an extrapolation."
    if isinstance(measured, MeasuredTimes):
        return f"Measured after {', '.join(map(format_time, measured.times))}; all other times are refused."
    if measured.last == 0:
        return "Never measured: every accuracy over time is marked as extrapolated."
    return f"Measured for {format_time(measured.last)}; later times are marked as extrapolated."


def _times(device: DeviceModel) -> str:
    times = [format_time(time) for time in parse_times(DEFAULT_TIMES) if device.valid_at(time)]
    return f"Default times: {', '.join(times)}."


def _wrapped(*sentences: str, indent: str = "  ") -> Iterator[str]:
    for sentence in filter(None, sentences):
        yield from textwrap.wrap(sentence, 100, initial_indent=indent, subsequent_indent=indent)
