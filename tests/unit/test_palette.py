"""One colour a device and a scheme in all figures, apart for every reader."""

import io
import itertools
import re
import tokenize

import numpy as np
import pytest

from devices import catalogue
from experiments.drawing import palette
from experiments.drawing.palette import (
    BLACK,
    COMPONENTS,
    GREY,
    SERIES,
    device_look,
    device_looks,
    scheme_color,
)
from experiments.studies.in_situ.study import PLACEMENTS
from experiments.studies.sharing_cost.config import SCHEMES
from helpers.source import modules

# What readers without one of the three kinds of cones see (Machado et al., 2009, full severity), in linear sRGB.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}  # fmt: skip
# CIE 1976: 2.3 is just noticed. Okabe and Ito's own closest pair, green and sky blue, is 16 apart without blue cones.
APART = 16.0


def lab(color, sight):
    srgb = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / [0.9505, 1.0, 1.089]  # relative to the white of a screen
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("colors", [(*SERIES, GREY), tuple(COMPONENTS.values())], ids=["series", "bills"])
def test_colours_stay_apart(colors, sight):
    distances = {
        (one, other): np.linalg.norm(lab(one, sight) - lab(other, sight))
        for one, other in itertools.combinations(colors, 2)
    }
    close = {pair: round(float(far), 1) for pair, far in distances.items() if far < APART}
    assert not close


def test_every_device_of_the_catalogue_has_a_look_of_its_own():
    own = device_look("my.toml")
    for name in catalogue():
        assert device_look(name) != own, name
    looks = device_looks(catalogue())
    assert len(set(looks)) == len(looks)


def test_a_device_keeps_its_colour_with_any_rule_and_beside_any_others():
    for name in ("ecram", "ecram-2", "ecram-4", "tiki-taka-ecram", "chopped-ttv2-ecram", "agad-ecram"):
        assert device_look(name).color == device_look("ecram").color
    looks = device_looks(["pcm", "ecram", "pcm", "mine", "other"])
    assert looks[0] == device_look("pcm")
    assert looks[2].color == looks[0].color  # trained in another way
    assert looks[3].color == looks[4].color
    assert len(set(looks)) == 5


def test_a_scheme_has_one_colour_however_it_is_named():
    for scheme in (*SCHEMES, *PLACEMENTS):
        assert scheme_color(scheme) != GREY, scheme
    assert scheme_color("time_multiplexed") == scheme_color("time-multiplexed") == scheme_color("cnn")
    assert scheme_color("free") == scheme_color("fcn")
    assert scheme_color("replicated(tiles=4, sync_every=10)") == scheme_color("replicated")
    families = ("free", "replicated", "time_multiplexed", "blocks", "interleaved", "random")
    assert len({scheme_color(family) for family in families}) == len(families)


def test_no_drawer_has_colours_of_its_own():
    """Not by hex digits, and not by matplotlib's names, but for the black and white of ink and paper."""
    words = "red|green|blue|orange|purple|grey|gray|pink|brown"
    named = rf"""["'](?:#[0-9a-fA-F]{{3,8}}|tab:\w+|C\d|(?:dark|light)?(?:{words}))["']"""
    owners = {}
    for name, file in modules().items():
        if name.startswith("experiments.") and name not in (
            palette.__name__,
            "experiments.drawing.html_page",
        ):
            strings = [
                token.string
                for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
                if token.type == tokenize.STRING
            ]
            found = [text for text in strings if re.fullmatch(named, text)]
            if found:
                owners[name] = found
    assert not owners
    assert BLACK == "#000000"
