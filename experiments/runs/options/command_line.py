"""The command line that repeats a run."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from .config import TrainConfig


def command_of(wish: TrainConfig) -> str:
    """Return the `xbar train` line that repeats a run alone."""
    plain = TrainConfig()
    words = ["xbar", "train"]
    for field in fields(wish):
        value: Any = getattr(wish, field.name)
        if value == getattr(plain, field.name):
            continue
        words.append(f"--{field.name.replace('_', '-')}")
        if value is not True:
            words.append(str(value) if not isinstance(value, Path) else value.as_posix())
    return shlex.join(words)
