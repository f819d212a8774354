"""The figure of a device is drawn, whatever its model states."""

from pathlib import Path

import pytest

from devices import catalogue, characterise
from experiments.drawing.characterisation_figure import draw_characterisation

# Both kinds, one-way, single devices, a few measured times, and nothing to see at all.
KINDS = ("pcm", "reram-sb", "reram-es", "reram-cmo", "reram-wan2022", "ideal")


def draw(name: str, path: Path) -> bytes:
    draw_characterisation(characterise(name, devices=20), path)
    return path.read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_is_written(name: str, tmp_path: Path) -> None:
    picture = draw(name, tmp_path / "sheet.png")
    assert picture.startswith(b"\x89PNG")
    # An empty page of this size is a tenth of that.
    assert len(picture) > 50_000


@pytest.mark.slow
def test_a_picture_of_every_device(tmp_path: Path) -> None:
    for name in catalogue():
        assert draw(name, tmp_path / "sheet.png").startswith(b"\x89PNG"), name
