"""Choices for the layers of a network by name pattern: the first pattern that fits a layer's name counts."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

Choice = TypeVar("Choice")


def by_layer(
    choices: Choice | Mapping[str, Choice], names: Sequence[str], *, argument: str, otherwise: Choice
) -> dict[str, Choice]:
    """Return the choice for each layer.

    Args:
        choices: One for all layers, or by name pattern with the wildcards of the shell, "layer1.*".
        names: The layers.
        argument: What errors call the choices.
        otherwise: For layers that no pattern fits.

    Raises:
        ValueError: If a pattern fits no layer, or only layers that an earlier pattern has taken.
        TypeError: If a pattern is no text.

    Example:
        >>> by_layer({"conv1": "free", "conv*": "blocks"}, ["conv1", "conv2", "dense"], argument="x", otherwise="-")
        {'conv1': 'free', 'conv2': 'blocks', 'dense': '-'}
    """
    if not isinstance(choices, Mapping):
        return dict.fromkeys(names, choices)
    found: dict[str, Choice] = dict.fromkeys(names, otherwise)
    free = list(names)
    for pattern, choice in choices.items():
        if not isinstance(pattern, str):
            raise TypeError(
                f"`{argument}` must name layers by text, but has the key {pattern!r}. Write {str(pattern)!r}."
            )
        fitting = [name for name in free if fnmatchcase(name, pattern)]
        if not fitting:
            taken = any(fnmatchcase(name, pattern) for name in names)
            raise ValueError(
                f"`{argument}` must name layers by patterns ({', '.join(map(repr, names))}), but {pattern!r} fits "
                f"{'only those that an earlier pattern has taken' if taken else 'none'}. Correct the pattern."
            )
        found |= dict.fromkeys(fitting, choice)
        free = [name for name in free if name not in fitting]
    return found


def parse_choices(text: str, *, argument: str) -> str | dict[str, str]:
    """Read a choice for all layers, or choices by name pattern, as a command line has them.

    Args:
        text: The choice, or "pattern=choice, ...". A choice may have options in brackets.
        argument: What errors call the choices.

    Raises:
        ValueError: If there are patterns, but a part has none, or one stands twice.

    Example:
        >>> parse_choices("blocks(rows=2,cols=2)", argument="placement")
        'blocks(rows=2,cols=2)'
        >>> parse_choices("local1=free,local*=replicated(tiles=4,sync_every=1)", argument="placement")
        {'local1': 'free', 'local*': 'replicated(tiles=4,sync_every=1)'}
    """
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    pairs = [re.fullmatch(r"([^=(]+)=(.*)", part) for part in parts]
    if not any(pairs):
        return text
    found: dict[str, str] = {}
    for part, pair in zip(parts, pairs, strict=True):
        name = "" if pair is None else pair[1].strip()
        if pair is None or not name or name in found:
            raise ValueError(
                f"`{argument}` must name every pattern of layers once, as in 'local1=...,local*=...', but has "
                f"{part!r}. Write it so, or one choice for all layers."
            )
        found[name] = pair[2].strip()
    return found
