"""What `xbar what-if` changes in a device file, and what it makes of the answers."""

import dataclasses

import pytest

from devices import read_device_file
from devices.device_file import LAWS, device_file
from devices.files import parse_toml
from experiments.studies.rate_ladder import TunedRate, best_of, ladder
from experiments.studies.what_if.gains import Gain, first_of, ranked, verdict_on
from experiments.studies.what_if.variants import BASE, Variant, variants_of
from experiments.support.statistics import Difference


def device(tmp_path, law, **pulses):
    text = device_file(
        name="mine", technology="t", source="s", summary="x", conductance={"g_min": 1.0, "g_max": 20.0},
        pulses={"law": law, **pulses},
        drift={"exponent": 0.05, "reference_time": 20.0, "programming_noise": [0.4, 0.2]},
        reads={"noise": 0.1},
    )  # fmt: skip
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return parse_toml(text.encode()), read_device_file(path).training_config().device


def named(variants: list[Variant]) -> dict[str, Variant]:
    return {variant.change: variant for variant in variants}


@pytest.mark.parametrize("law", LAWS)
def test_every_change_is_a_device_file_that_differs_in_it(law, tmp_path):
    content, pulsed = device(tmp_path, law)
    variants = variants_of(content, pulsed, [2.0])
    assert len({own.slug for own in variants}) == len({own.change for own in variants}) == len(variants) >= 9
    for own in variants:
        path = tmp_path / f"{own.slug}.toml"
        texts = {"name": own.slug, "technology": "t", "source": "s", "summary": "x"}
        path.write_text(device_file(**texts, **own.sections))
        model = read_device_file(path)
        changed = dataclasses.asdict(model.training_config().device) != dataclasses.asdict(pulsed)
        assert changed == ("in-situ" in own.modes and "reading" not in own.change and own.change != BASE)


def test_what_changes_and_by_how_much(tmp_path):
    content, pulsed = device(
        tmp_path, "SoftBounds", dw_min=0.01, dw_min_std=0.4, up_down=0.3, w_max=0.8, w_min=-0.6
    )
    found = named(variants_of(content, pulsed, [2.0, 0.5]))
    assert found["noise of a step / 2"].sections["pulses"]["dw_min_std"] == 0.2
    assert found["noise of a step x 2"].sections["pulses"]["dw_min_std"] == 0.8
    assert found["size of a step / 2 (more states)"].sections["pulses"]["dw_min"] == 0.005
    assert found["up and down equal"].sections["pulses"]["up_down"] == 0.0
    assert found["spread of the step size, device to device, / 2"].sections["pulses"]["dw_min_dtod"] == 0.15
    wide = found["range x 2, steps as they are"].sections["pulses"]
    assert (wide["w_max"], wide["w_min"]) == (1.6, -1.2)
    assert found["programming noise / 2"].sections["drift"]["programming_noise"] == [0.2, 0.1]
    assert found["noise of a reading / 2"].sections["reads"]["noise"] == 0.05
    assert found["noise of a reading / 2"].modes == ("in-situ", "hwa")
    assert found["programming noise / 2"].modes == ("hwa",)
    every = found["all of these at once, by 2"].sections
    assert (every["pulses"]["dw_min_std"], every["pulses"]["up_down"]) == (0.2, 0.0)
    assert every["drift"]["exponent"] == 0.025
    assert found[BASE].sections["pulses"] == content["pulses"]


@pytest.mark.parametrize(
    ("law", "pulses", "linear", "equal"),
    [
        (
            "LinearStep",
            {"gamma_up": 0.4, "gamma_down": 0.2},
            {"gamma_up": 0.2, "gamma_down": 0.1},
            {"gamma_up": 0.3},
        ),
        ("PowStep", {"pow_gamma": 1.0, "pow_up_down": 0.5}, {"pow_gamma": 0.5}, {"pow_up_down": 0.0}),
        ("ExpStep", {"A_up": 0.2, "A_down": 0.4}, {"A_up": 0.1, "A_down": 0.2}, {"A_up": 0.3}),
        (
            "Piecewise",
            {"piecewise_up": [1.5, 0.5], "piecewise_down": [0.5, 2.5]},
            {"piecewise_up": [1.25, 0.75], "piecewise_down": [1.0, 2.0]},
            {"piecewise_up": [1.0, 1.5], "piecewise_down": [1.0, 1.5]},
        ),
    ],
)
def test_laws_have_numbers_of_their_own(law, pulses, linear, equal, tmp_path):
    content, pulsed = device(tmp_path, law, **pulses)
    found = named(variants_of(content, pulsed, [2.0]))
    for change, expected in (
        ("dependence of a step on the weight / 2", linear),
        ("up and down equal", equal),
    ):
        section = found[change].sections["pulses"]
        assert {name: section[name] for name in expected} == {
            name: pytest.approx(value) for name, value in expected.items()
        }


def test_what_cannot_be_better_is_left_out(tmp_path):
    content, pulsed = device(tmp_path, "ConstantStep", dw_min_std=0.0, up_down=0.0)
    found = named(variants_of(content, pulsed, [2.0]))
    assert "noise of a step / 2" not in found
    assert "up and down equal" not in found
    assert "dependence of a step on the weight / 2" not in found


def gain(change, value, reach, verdict):
    return Gain(
        mode="hwa", change=change, device_file="", accuracy=0.9, gain=value, error=reach / 2, reach=reach,
        verdict=verdict, rate=0.0, rate_text="", tried={}, did_learn=[True],
    )  # fmt: skip


def test_what_to_change_first_is_the_largest_sure_gain():
    gains = [
        gain(BASE, 0.0, 0.0, None),
        gain("one", 0.02, 0.01, "gains"),
        gain("other", 0.05, 0.06, "within the spread"),
        gain("all of these at once", 0.09, 0.01, "gains"),
    ]
    assert [own.change for own in ranked(gains, "hwa")] == [BASE, "all of these at once", "other", "one"]
    assert first_of(gains, "hwa", 0.0) == (
        "Written, and aged: what to change first: one, +2.00 [+1.00, +3.00] points."
    )
    assert "nothing stands out" in first_of([gains[0], gains[2]], "hwa", 0.0)
    assert "none more than 11.00 points" in first_of([gains[0], gains[2]], "hwa", 0.0)


def test_verdicts_on_gains():
    changes = [Difference(value, 0.005, 0.01) for value in (0.02, 0.005, -0.02)]
    assert [verdict_on(own, 0.0) for own in changes] == ["gains", "within the spread", "loses"]
    assert [verdict_on(own, 0.02) for own in changes] == [
        "within the spread",
        "below the threshold",
        "within the spread",
    ]


def test_the_best_rate_is_that_of_the_validation_images():
    low, usual, high = ladder(0.9, 3)
    assert (low, usual, high) == pytest.approx((0.3, 0.9, 2.7))
    assert ladder(0.9, 1) == (0.9,)
    assert best_of({low: 0.5, usual: 0.8, high: 0.9}) == high
    assert best_of({low: 0.9, usual: 0.9, high: 0.1}) == usual
    assert best_of({low: 0.9, usual: 0.8, high: 0.9}) == low
    assert best_of({low: 0.2, usual: None, high: 0.1}) == low
    assert best_of({low: None, usual: None}) is None
    assert TunedRate(rate=high, tried={low: 0.5, usual: 0.8, high: 0.9}).text() == "2.7 >"
    assert TunedRate(rate=usual, tried={low: 0.5, usual: 0.8, high: 0.1}).text() == "0.9"
