"""The command line that repeats a run."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...support.options.idle_options import idle_folders
from .config import NO_DEVICE, OF_CHIPS, TrainConfig


def command_of(wish: TrainConfig) -> str:
    """Return the `xbar train` line that repeats a run alone.

    It leaves out what would have no effect, and `xbar train` refuses: the folder of images that lie elsewhere, and,
    without a device, all about chips. A study's number of chips is part of the name of its digital runs all the same,
    so a repetition of one may get a folder of its own, with the same numbers in it.
    """
    plain = TrainConfig()
    idle = (*(OF_CHIPS if wish.device == NO_DEVICE else ()), *idle_folders(wish.data))
    words = ["xbar", "train"]
    for field in fields(wish):
        value: Any = getattr(wish, field.name)
        if value == getattr(plain, field.name) or field.name in idle:
            continue
        words.append(f"--{field.name.replace('_', '-')}")
        if value is not True:
            words.append(str(value) if not isinstance(value, Path) else value.as_posix())
    return shlex.join(words)
