"""What `xbar import-device` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, final

import tyro

from ...support.options.open_options import OPEN_NAME, OPEN_PATH


@final
@dataclass(frozen=True, kw_only=True)
class ImportDeviceConfig:
    """Make a device file from what another program knows of a device; says what cannot be expressed.

    neurosim: its parameters by name, conductances in S, sigmaCtoC as a part of their range. crosssim: its lookup
    tables of increasing and of decreasing pulses. aihwkit: a preset by name, to be changed in the file, or a
    configuration that was kept by json.dumps(dataclasses.asdict(rpu_config), default=str).

    Examples:
      xbar import-device neurosim maxConductance=3.8e-8 minConductance=3.1e-9 maxNumLevelLTP=97 maxNumLevelLTD=100 \
NL_LTP=2.4 NL_LTD=-4.88 sigmaCtoC=0.035 --name agsi
      xbar import-device crosssim dG_increasing.txt dG_decreasing.txt --name my-lut
      xbar import-device aihwkit ReRamESPreset --name my-es
      xbar import-device aihwkit my_rpu_config.json --name my-es
    """

    program: Annotated[Literal["neurosim", "crosssim", "aihwkit"], tyro.conf.Positional]
    """Whose description it is."""
    what: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WHAT [WHAT ...]")]
    """NAME=VALUE for each parameter, two files, the name of a preset, or a .json file."""
    name: Annotated[str | None, OPEN_NAME] = None
    """What to call the device. (default: the name of the program)"""
    technology: str = "not stated"
    """The kind of memory cell."""
    out: Annotated[Path | None, OPEN_PATH] = None
    """The device file. (default: NAME.toml)"""
