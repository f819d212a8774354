"""Refusals of what a user typed and nothing would come of.

The command line asks each configuration for them (`refuse_idle`), and nothing else does: a run that is kept, or that
a study asks for, may hold such values, as they are part of its name.
"""

import re
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final

_INSTALLED: Final = ("digits", "digits-32", "sentences")
# A file of arrays, a text, a function in a file, a folder of pictures.
_OF_ONES_OWN: Final = re.compile(r"\.npz$|\.txt$|\.py:\w+$|/$")


def default_of(field: Field[Any]) -> Any:
    """Return what a field has if nobody gives it; MISSING if it must be given."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def refuse_given(config: Any, names: Sequence[str], where: str, reason: str) -> None:
    """Refuse options with another value than their default.

    Args:
        config: What was asked for.
        names: Fields that would have no effect.
        where: Beside which other option, such as "with --data digits".
        reason: Why they would have none, and perhaps what to do; without a full stop.

    Raises:
        ValueError: If one is given.
    """
    defaults = {field.name: default_of(field) for field in fields(config)}
    for name in names:
        value = getattr(config, name)
        if value != defaults[name]:
            shown = (" ".join(map(str, value)) or "an empty list") if isinstance(value, tuple) else value
            raise ValueError(f"`{name}` must be left out {where}, but is {shown}: {reason}.")


def idle_folders(data: str) -> tuple[str, ...]:
    """Return which options about the folder of images have no effect, as these lie elsewhere.

    Args:
        data: Name of the images.
    """
    if data in _INSTALLED:
        return ("data_dir", "download")
    return ("download",) if _OF_ONES_OWN.search(data) else ()


def refuse_given_folder(config: Any, data: str) -> None:
    """Refuse a folder of images, and a download into it, for images that lie elsewhere.

    Args:
        config: What was asked for, with `data_dir` and `download`.
        data: Name of the images.

    Raises:
        ValueError: If one is given.
    """
    reason = "a file of your own is read from where it lies. Leave it out"
    if data in _INSTALLED:
        reason = "they come with the installation. Leave it out, or name other images with --data"
    refuse_given(config, idle_folders(data), f"with --data {data}", reason)


def refuse_moved_digits(data_dir: str | None, data: str) -> None:
    """Refuse, of a run that is gone on with, another folder of images that do not lie in one.

    Args:
        data_dir: The folder, if one is given.
        data: Name of the run's images.

    Raises:
        ValueError: If so.
    """
    if data_dir is not None and data in _INSTALLED:
        raise ValueError(
            f"`data_dir` must be left out, but is {data_dir}: the run's images, {data}, come with the installation. "
            "Leave it out."
        )


def refuse_given_jobs(config: Any) -> None:
    """Refuse a number of processes beside the workers of a cluster, which take their place.

    Raises:
        ValueError: If both are given.
    """
    if config.dask is not None:
        refuse_given(
            config, ("jobs",), "with --dask", "the cluster has as many workers as it has. Leave it out"
        )
