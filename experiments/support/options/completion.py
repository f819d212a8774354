"""Commands and options for a shell's completion, from the classes that they are made of."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import shtab
from tyro.conf import Positional

from ..figure_formats import KNOWN, WIDTHS

_OF_ALL: Final[dict[str, tuple[str, ...] | None]] = {
    "--json": None,
    "--format": ("png", *KNOWN),
    "--width": tuple(WIDTHS),
    "--style": (),
    "--debug": None,
}


def completion(shell: str, commands: Mapping[str, tuple[str, Any]]) -> str:
    """Return the script that makes a shell complete `xbar`.

    Args:
        shell: bash, zsh or tcsh.
        commands: Summary and configuration class of each command, by name.

    Raises:
        ValueError: If the shell is another one.
    """
    if shell not in shtab.SUPPORTED_SHELLS:
        raise ValueError(f"`--completion` must be {', '.join(shtab.SUPPORTED_SHELLS)}, but is {shell!r}.")
    parser = argparse.ArgumentParser(prog="xbar")
    subparsers = parser.add_subparsers()
    for name, (summary, config_class) in commands.items():
        subparser = subparsers.add_parser(name, help=summary)
        for option, choices in (*_options(config_class), *_OF_ALL.items()):
            subparser.add_argument(option, choices=choices)
    return str(shtab.complete(parser, shell))


def _options(config_class: Any) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Return the options of a command, and what may follow where that is a choice of few."""
    hints = get_type_hints(config_class, include_extras=True)
    for option in fields(config_class):
        hint = hints[option.name]
        if Positional not in getattr(hint, "__metadata__", ()):
            kinds = [hint.__origin__ if get_origin(hint) is Annotated else hint]
            kinds += [kind for kind in get_args(kinds[0]) if get_origin(kind) is Literal]
            choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), None)
            yield f"--{option.name.rstrip('_').replace('_', '-')}", choices
