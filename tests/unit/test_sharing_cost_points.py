"""The grid of the study: which runs, which not and why, and the line that repeats each."""

import shlex
from dataclasses import replace

import pytest

from crossbar import load_profile
from crossbar.cost.packing import pack
from crossbar.network.event_recording.shapes import shape_of
from experiments.cli import _parse
from experiments.runs.options.command_line import command_of
from experiments.runs.options.config import TrainConfig, lines_of_tile
from experiments.runs.options.defaults import resolve
from experiments.runs.options.profile_of_device import profile_of, tile_size_in
from experiments.runs.run_network import make_model
from experiments.studies.sharing_cost.config import SCHEMES, SharingCostConfig
from experiments.studies.sharing_cost.points import Point, points_of, wish_of

DIGITS = (1, 8, 8)


def grid(**wishes):
    return points_of(SharingCostConfig(**wishes).resolved())


def test_the_default_grid():
    points, left_out = grid()
    assert len(points) == len(set(points))
    of = {(p.device, p.mechanism) for p in points}
    assert of == {(d, m) for d in ("pcm", "ecram") for m in ("in-situ", "write-verify")} | {("pcm", "hwa")}
    assert {p.scheme for p in points if p.mechanism == "write-verify"} == {
        s for s in SCHEMES if "sync" not in s
    }
    in_situ = {p.scheme for p in points if p.mechanism == "in-situ"}
    assert in_situ == {
        *SCHEMES,
        *(f"{n}(tiles={c})" for n in ("replicated", "random") for c in (1, 2, 4, 8, 16)),
    }
    assert left_out["ecram, hwa, free"] == (
        "ecram has no model of programming and ageing, so nothing can be programmed onto it"
    )
    assert (
        "only while each learns for itself in situ" in left_out["pcm, write-verify, replicated(sync_every=1)"]
    )
    # Whole grids first: an interrupted study holds all schemes of the first seeds.
    assert [p.seed for p in points] == sorted(p.seed for p in points)


def test_devices_that_are_only_programmed():
    points, left_out = grid(devices=("pcm-hermes",), schemes=("free",), tile_counts=())
    assert {p.mechanism for p in points} == {"hwa"}
    assert "pcm-hermes has no model of pulses" in left_out["pcm-hermes, in-situ, free"]


def test_a_grid_without_any_run_is_refused():
    with pytest.raises(
        ValueError, match=r"`mechanisms` must fit the devices and schemes, but of hwa none does: ecram"
    ):
        grid(devices=("ecram",), mechanisms=("hwa",))
    with pytest.raises(
        ValueError, match=r"`devices` must be in the catalogue of devices, but is 'pcn'\. Did you mean pcm"
    ):
        grid(devices=("pcn",))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"seeds": ()}, "`seeds` must hold at least one entry, but is empty"),
        ({"schemes": ("free", "free")}, "`schemes` must name each entry once, but names 'free' twice"),
        ({"jobs": 0}, "`jobs` must be 1 or more, but is 0"),
        ({"tile_counts": (4, 0)}, "`tile_counts` must be 1 or more, but has 0"),
    ],
)
def test_refusals(wish, message):
    with pytest.raises(ValueError, match=message):
        SharingCostConfig(**wish)


def test_schemes_that_do_not_fit_the_network_are_refused_before_anything_runs():
    config = SharingCostConfig().resolved()
    with pytest.raises(
        ValueError, match=r"must fit cnn_digits, but 'random\(tiles=17\)' does not. .*\[1, 16\]"
    ):
        wish_of(Point("pcm", "in-situ", "random(tiles=17)", 0), config, DIGITS, 100)
    with pytest.raises(ValueError, match=r"`data` must have images of .*, but 'digits' has \(1, 9, 9\)"):
        wish_of(Point("pcm", "in-situ", "free", 0), config, (1, 9, 9), 100)


def test_one_architecture_for_all_schemes():
    config = SharingCostConfig(epochs=4).resolved()
    wishes = [wish_of(Point("pcm", "in-situ", scheme, 3), config, DIGITS, 100) for scheme in SCHEMES]
    assert [w.model for w in wishes] == ["cnn_digits"] * 9 + ["fcn_digits"]
    assert {w.seed for w in wishes} == {3}
    assert {w.record_every for w in wishes} == {10}


def test_what_ages_is_evaluated_over_time():
    config = SharingCostConfig().resolved()
    assert wish_of(Point("pcm", "in-situ", "free", 0), config, DIGITS, 1).times == "1s,1d,1y"
    assert wish_of(Point("ecram", "in-situ", "free", 0), config, DIGITS, 1).times is None


def test_learning_rates_are_relative_to_those_of_a_single_run():
    def rate(*point, **wishes):
        return wish_of(Point(*point, 0), SharingCostConfig(**wishes).resolved(), DIGITS, 20).lr

    assert rate("ecram", "in-situ", "free") == 1.0
    assert rate("ecram", "in-situ", "time_multiplexed") == 0.3
    assert rate("pcm", "in-situ", "replicated(sync_every=1)") == 0.3
    assert rate("pcm", "in-situ", "replicated(sync_every=10)") == 0.1
    assert rate("ecram-2", "in-situ", "replicated(tiles=4)") == 0.3
    assert rate("ecram", "in-situ", "random(tiles=1)") == 0.3
    assert rate("ecram", "in-situ", "random(tiles=16)") == 1.0
    assert rate("tiki-taka-reram-sb", "in-situ", "time_multiplexed") == pytest.approx(0.9)
    assert rate("pcm", "hwa", "time_multiplexed") == 5e-3
    assert rate("pcm", "in-situ", "time_multiplexed", lr=0.02) == 0.02


@pytest.mark.parametrize("mechanism", ["in-situ", "write-verify", "hwa"])
@pytest.mark.parametrize("scheme", ["blocks(rows=2,cols=2)", "free"])
def test_the_line_repeats_the_run(mechanism, scheme):
    """What the command line reads from it is what was asked for."""
    config = SharingCostConfig(data="mnist", epochs=3, lr=0.5, train_images=60, download=True).resolved()
    wish = wish_of(Point("pcm", mechanism, scheme, 1), config, DIGITS, 40)
    words = shlex.split(command_of(wish))
    assert words[:2] == ["xbar", "train"]
    assert _parse(TrainConfig, "train", words[2:]) == wish
    assert _parse(TrainConfig, "train", words[2:]) != replace(wish, seed=2)


def test_profiles_follow_the_technology():
    assert [profile_of(d) for d in ("pcm", "ecram-2", "reram-sb", "capacitor")] == [
        "hermes-pcm",
        "rpu-ecram",
        "isaac-reram",
        "rpu-capacitor",
    ]
    with pytest.raises(ValueError, match="`profile` must be given for idealized"):
        profile_of("idealized")


@pytest.mark.parametrize(
    ("options", "device", "size"),
    [
        ({}, "pcm", 256),
        ({}, "reram-sb", 128),
        ({"profile": "bulk-rram"}, "pcm", 64),
        ({"tile_size": 512}, "pcm", 512),
        ({"tile_size": "128x64"}, "pcm", "128x64"),
    ],
)
def test_tiles_have_the_size_of_the_arrays_that_are_priced(options, device, size):
    wish = wish_of(Point(device, "in-situ", "free", 0), SharingCostConfig(**options).resolved(), DIGITS, 100)
    assert wish.tile_size == size
    assert resolve(wish, DIGITS).tile_size == size
    assert f"--tile-size {size}" in command_of(wish)


def test_of_differential_columns_half_as_many_outputs_fit():
    profile = load_profile("hermes-pcm").scaled("columns_per_weight", 2)
    assert tile_size_in(profile) == "256x128"
    assert lines_of_tile(tile_size_in(profile)) == (256, 128)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "`tile_size` must be 1 or more, but is 0"),
        ("256x0", "`tile_size` must be 1 or more, but is 256x0"),
        (
            "two",
            "`tile_size` must be a number of lines, or word lines x bit lines as in 256x128, but is 'two'",
        ),
    ],
)
def test_sizes_that_no_tile_has_are_refused(size, message):
    for made in (SharingCostConfig, TrainConfig):
        with pytest.raises(ValueError, match=message):
            made(tile_size=size)


@pytest.mark.parametrize("mode", ["hwa", "in-situ", "write-verify"])
@pytest.mark.parametrize(("size", "cuts"), [(256, (1, 2)), ("256x48", (2, 2)), (512, (1, 1))])
def test_a_layer_is_emulated_on_the_arrays_that_are_priced(mode, size, cuts):
    """The 512 inputs of a dense layer: two arrays of 256 x 256, both in its accuracy and in its cost."""
    device = "ecram" if mode != "hwa" else "pcm"
    run = resolve(TrainConfig(model="cnn_digits", mode=mode, device=device, tile_size=size), DIGITS)
    shape = shape_of(make_model(run).dense1)
    assert shape.grid == cuts
    word_lines, bit_lines = lines_of_tile(size)
    profile = load_profile("hermes-pcm").scaled("word_lines", word_lines / 256)
    assert pack(shape, profile.scaled("bit_lines", bit_lines / 256), "none").split == cuts


def test_quick_is_a_smaller_study():
    quick, whole = SharingCostConfig(quick=True).resolved(), SharingCostConfig().resolved()
    assert len(points_of(quick)[0]) < len(points_of(whole)[0]) / 5
    assert quick.out != whole.out
    # What the user asks for is not overruled.
    assert SharingCostConfig(quick=True, seeds=(7, 8)).resolved().seeds == (7, 8)


def test_the_folder_depends_on_what_decides_about_the_numbers():
    plain = SharingCostConfig().resolved()
    assert SharingCostConfig(jobs=7, threads=2).resolved().out == plain.out
    assert SharingCostConfig(lr=0.5).resolved().out != plain.out
    assert SharingCostConfig(profile="isaac-reram").resolved().out != plain.out
