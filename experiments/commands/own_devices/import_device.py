"""`xbar import-device`: a device file from what NeuroSim, CrossSim or aihwkit know of a device."""

from pathlib import Path

from devices import read_device_file
from devices.device_file import device_file
from devices.files import check_name, make_folder, parse_toml, write_atomically
from devices.imported import Described, from_aihwkit, from_crosssim, from_neurosim

from ...support.answer import Answer
from .import_config import ImportDeviceConfig


def run_import_device(config: ImportDeviceConfig) -> Answer:
    """Translate, say what is left out, write the device file.

    Returns:
        What the device file says, and where it lies.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If something is missing, unknown, or cannot be expressed.
    """
    found = _described(config)
    name = config.name or config.program
    rule = check_name(name)
    if rule is not None:
        raise ValueError(f"`name` must be {rule}, but is {name!r}. Correct --name.")
    out = config.out or Path(f"{name}.toml")
    if out.suffix != ".toml":
        raise ValueError(f"`out` must end in .toml, but is {out}. Commands know device files by it.")
    make_folder(out.parent)
    text = device_file(
        name=name, technology=config.technology, source=found.source, summary=found.summary,
        conductance=found.conductance or None, pulses=found.pulses, drift=None, not_modelled=found.not_modelled,
    )  # fmt: skip
    write_atomically(out, text.encode())
    read_device_file(out)  # what is written can be read
    print(f"{found.summary}\nLeft out: {found.not_modelled}\n\ndevice:  {out}\n")
    print(f"Let networks learn on it: xbar train --mode in-situ --device {out}")
    return {"device": parse_toml(text.encode()), "file": out}


def _described(config: ImportDeviceConfig) -> Described:
    what = config.what
    if config.program == "crosssim":
        if len(what) != 2:
            raise ValueError(
                f"`what` must be the files dG_increasing.txt and dG_decreasing.txt, but are {len(what)}."
            )
        return from_crosssim(*what)
    if config.program == "aihwkit":
        if len(what) != 1:
            raise ValueError(
                f"`what` must be the name of one preset or a .json file, but are {len(what)}. Say ReRamESPreset."
            )
        return from_aihwkit(what[0])
    given = {}
    for word in what:
        name, _, value = word.partition("=")
        try:
            given[name] = float(value)
        except ValueError:
            raise ValueError(f"`what` must be like NL_LTP=2.4, but has {word!r}. Correct it.") from None
    return from_neurosim(given)
