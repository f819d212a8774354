"""The grid of the study: which runs, which not and why, and the line that repeats each."""

import shlex
from dataclasses import replace

import pytest

from experiments.cli import _parse
from experiments.runs.options.command_line import command_of
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.profile_of_device import profile_of
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
    assert [profile_of(d) for d in ("pcm", "ecram-2", "reram-sb")] == [
        "hermes-pcm",
        "rpu-ecram",
        "isaac-reram",
    ]
    with pytest.raises(ValueError, match="`profile` must be given for capacitor"):
        profile_of("capacitor")


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
