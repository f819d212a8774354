"""What the options of all studies have in common: refusals, the folder that they name, the line that repeats them."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from ..runs.options.config import available_threads

Plan = TypeVar("Plan")

# How fast a study computes and where it lies: no part of what comes out.
_HOW_FAST: Final = (
    "data_dir",
    "download",
    "quick",
    "threads",
    "memory",
    "jobs",
    "dask",
    "runs",
    "out",
    "from_",
    "no_browser",
)


# Earlier versions had no such options; left open, they leave the name of a folder as it was.
_OPEN_BEFORE: Final = ("model", "loss", "metric", "batch_size", "tune", "tuned", "targets")


def refuse_doubles(config: Any, names: Sequence[str], *, may_be_empty: Sequence[str] = ()) -> None:
    """Refuse lists that are empty or name something twice; lists that are left open are none.

    Raises:
        ValueError: If there is one.
    """
    for name in names:
        values = getattr(config, name)
        if values is None:
            continue
        if not values and name not in may_be_empty:
            raise ValueError(
                f"`{name}` must hold at least one entry, but is empty. Give one, or leave it out."
            )
        doubled = [value for value in values if values.count(value) > 1]
        if doubled:
            raise ValueError(
                f"`{name}` must name each entry once, but names {doubled[0]!r} twice. Remove one."
            )


def refuse_below_one(config: Any, names: Sequence[str]) -> None:
    """Refuse numbers below 1; those that are left open are none.

    Raises:
        ValueError: If there is one.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be 1 or more, but is {value}. Give a larger number.")


def refuse_two_rates(config: Any, names: Sequence[str]) -> None:
    """Refuse two sources of learning rates.

    Raises:
        ValueError: If more than one of the options is given.
    """
    given = [name for name in names if getattr(config, name) is not None]
    if len(given) > 1:
        raise ValueError(
            f"`{given[0]}` must be left out with --{given[1]}, but is {getattr(config, given[0])}. Leave out one of "
            "the two."
        )


# What is another way to say something of the plan.
_ONLY_ASKED: Final = ("quick", "listed")


def planned(plan: Callable[..., Plan], wish: Any, name: str, **filled: object) -> Plan:
    """Make of what is asked for what is done.

    Args:
        plan: The class of what is done: the fields of the wish but for `quick` and `listed`, and none of them open
            that must be known.
        wish: What was asked for, with `jobs`, `runs` and `out`.
        name: What the study's own folder is called, if none was asked for.
        filled: What a wish may leave open and that has been decided.
    """
    values = {
        field.name: getattr(wish, field.name) for field in fields(wish) if field.name not in _ONLY_ASKED
    }
    values.update(filled, jobs=wish.jobs or available_threads())
    return plan(**{**values, "out": wish.out or _own_folder(values, name)})


def _own_folder(values: Mapping[str, Any], name: str) -> Path:
    """Return a folder named by a hash of all that decides about the numbers."""
    identity = {
        field: value
        for field, value in values.items()
        if field not in _HOW_FAST and not (field in _OPEN_BEFORE and value is None)
    }
    if identity.get("tuned") is not None:  # what is in the file decides
        from devices.files import read_regular

        content = read_regular(identity["tuned"], "tuned")
        identity["tuned"] = hashlib.blake2b(content, digest_size=8).hexdigest()
    from ..data.user_function import as_function  # it loads torch, which the help does without

    for option in ("model", "data"):
        own = as_function(identity.get(option) or "", option)
        if own is not None:  # what is in the file decides
            identity[option] = own.digest()
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=6).hexdigest()
    folder: Path = values["runs"] / f"{name}-{digest}"
    return folder


def to_json(config: Any) -> dict[str, Any]:
    """Return all fields in the types of JSON."""
    return {
        name: [str(v) if isinstance(v, Path) else v for v in value]
        if isinstance(value, tuple)
        else str(value)
        if isinstance(value, Path)
        else value
        for name, value in asdict(config).items()
    }


def line_of(command: str, config: Any, plain: Any, *, first: Sequence[str] = ()) -> str:
    """Return the line that repeats a study, without what only says how fast.

    Args:
        command: Name of the command.
        config: What was asked for, resolved.
        plain: The same with what nobody has to ask for.
        first: Fields that stand first, whatever their values.
    """
    words = ["xbar", command]
    left_out = ("quick", "jobs", "threads", "memory", "dask", "out", "no_browser")
    names = [*first, *(field.name for field in fields(config) if field.name not in (*first, *left_out))]
    for name in names:
        value = getattr(config, name)
        if name not in first and value == getattr(plain, name):
            continue
        words.append(f"--{name.rstrip('_').replace('_', '-')}")
        if value is not True:
            words += [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)
