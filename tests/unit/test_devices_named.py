"""How the devices of `xbar compare-devices` are named: alone, after their option, or all of the catalogue."""

import pytest

from experiments.cli import main
from experiments.studies.compare_devices.config import DEVICES, CompareDevicesConfig


def devices_of(**asked):
    return CompareDevicesConfig(**asked).resolved().devices


def test_alone_and_after_their_option_they_are_the_same_study():
    one, other = (CompareDevicesConfig(**{name: ("pcm", "ecram")}) for name in ("listed", "devices"))
    assert one.resolved() == other.resolved()
    assert one.resolved().devices == ("pcm", "ecram")


def test_the_catalogue_is_spelt_out_each_device_once():
    assert devices_of() == devices_of(listed=("catalogue",)) == DEVICES
    rest = tuple(name for name in DEVICES if name != "ecram")
    assert devices_of(listed=("my.toml", "ecram", "catalogue")) == ("my.toml", "ecram", *rest)
    assert devices_of(devices=("catalogue", "ecram")) == (*rest, "ecram")
    assert devices_of(listed=("my.toml", "catalogue"), quick=True) == ("my.toml", *devices_of(quick=True))


def test_what_is_named_twice_is_refused(capsys):
    with pytest.raises(ValueError, match=r"`devices` must .*pcm"):
        CompareDevicesConfig(listed=("pcm", "pcm"))
    assert main(["compare-devices", "my.toml", "--devices", "pcm"]) == 2
    assert "`devices` must be given once, but are my.toml and, with --devices, pcm" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys):
    assert main(["compare-devices", "gone.toml", "catalogue", "--epochs", "1"]) == 2
    assert "gone.toml" in capsys.readouterr().err
