"""The colours of all figures: one for each device, scheme of sharing and compensation, wherever it is drawn.

Eight colours are Okabe and Ito's (2008), three were added; readers with any kind of colour blindness tell all of
them apart (a test simulates it). Where things of one colour meet in a figure, their markers differ.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
PINK: Final = "#CC79A7"
AMBER: Final = "#E69F00"
SKY: Final = "#56B4E9"
BLACK: Final = "#000000"
INDIGO: Final = "#332288"
SAND: Final = "#DDCC77"
BROWN: Final = "#6B4226"
GREY: Final = "#555555"
"""Of what is no thing of its own: notes, levels to compare with, networks that did not learn."""
PALE: Final = "#DDDDDD"
"""Of lines at ticks."""
FULL: Final = "Blues"
"""Colour map of shares, from none to all."""
AMOUNT: Final = "viridis"
"""Colour map of amounts."""

SERIES: Final = (BLUE, VERMILION, GREEN, PINK, AMBER, SKY, BLACK, INDIGO, BROWN, SAND)
"""Of things that only one figure has: layers, runs, laws, sizes of arrays."""

_SCHEMES: Final = {
    "free": BLUE,
    "replicated": AMBER,
    "time-multiplexed": VERMILION,
    "blocks": GREEN,
    "interleaved": SKY,
    "random": PINK,
    # Networks that are named by their scheme: a kernel for each location, one kernel.
    "fcn": BLUE,
    "cnn": VERMILION,
}
COMPENSATIONS: Final = {"none": VERMILION, "global": BLUE, "per_tile": GREEN, "per_column": BLACK}
VERDICTS: Final = {
    "matters": VERMILION,
    "loses": VERMILION,
    "gains": SKY,
    "within the spread": BLUE,
    "below the threshold": GREEN,
    "NO EFFECT": GREY,
}
COMPONENTS: Final = {
    "dac": SKY,
    "adc": BLUE,
    "cells": SAND,
    "update": VERMILION,
    "programming": AMBER,
    "verify": PINK,
    "movement": GREEN,
    "digital": GREY,
    "static": BLACK,
}
"""Of a bill, in the order in which bars are stacked."""


class Look(NamedTuple):
    """A colour and a marker."""

    color: str
    marker: str


# Devices that one figure often shows have different colours, not only markers.
_CELLS: Final = {
    "pcm": Look(BLUE, "o"),
    "pcm-custom-drift": Look(BLUE, "^"),
    "pcm-hermes": Look(SKY, "s"),
    "pcm-hermes-single": Look(INDIGO, "D"),
    "reram-wan2022": Look(VERMILION, "s"),
    "reram-cmo": Look(AMBER, "D"),
    "reram-es": Look(VERMILION, "o"),
    "reram-sb": Look(AMBER, "o"),
    "reram-array-om": Look(BROWN, "^"),
    "reram-array-hfo2": Look(PINK, "^"),
    "ecram": Look(GREEN, "o"),
    "ecram-mo": Look(INDIGO, "o"),
    "capacitor": Look(PINK, "o"),
    "idealized": Look(BLACK, "o"),
    "gokmen-vlasov": Look(BLACK, "s"),
    "state-independent": Look(BROWN, "v"),
    "ideal": Look(BLACK, "x"),
}
_OWN: Final = Look(BROWN, "P")
_RULES: Final = {
    "tiki-taka": "v",
    "chopped-ttv2": "*",
    "ttv2": "X",
    "agad": "h",
    "mixed-precision": "d",
}
_NEXT: Final = ("o", "s", "^", "D", "v", "P", "X", "*", "h", "d", "<", ">", "p", "8")


def scheme_color(scheme: str) -> str:
    """Return the colour of a scheme of sharing, as options or tables name it; grey for none that is known.

    Example:
        >>> scheme_color("replicated(4), sync_every=10") == scheme_color("replicated")
        True
    """
    return _SCHEMES.get(re.split(r"[(,]", scheme)[0].strip().replace("_", "-"), GREY)


def device_look(device: str) -> Look:
    """Return colour and marker of a device: the colour of its memory cell, the marker of its learning rule.

    Args:
        device: Its name in the catalogue, or that of a file of one's own.

    Example:
        >>> device_look("agad-ecram").color == device_look("ecram-2").color
        True
    """
    name = re.sub(r"-[24]$", "", device)
    for rule, marker in _RULES.items():
        cell = name.removeprefix(f"{rule}-")
        if cell != name and cell in _CELLS:
            return Look(_CELLS[cell].color, marker)
    return _CELLS.get(name, _OWN)


def device_looks(devices: Sequence[str]) -> list[Look]:
    """Return looks for the devices of one figure: equal ones get other markers.

    Args:
        devices: Their names; one may stand there several times, trained in different ways.
    """
    looks: list[Look] = []
    for device in devices:
        look = device_look(device)
        others = (Look(look.color, marker) for marker in _NEXT)
        looks.append(next((other for other in (look, *others) if other not in looks), look))
    return looks
