"""Which scheme is cheapest in which scope of static power: by hand."""

import pytest

from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.static_power.scope_map import draw_scope_map
from experiments.studies.sharing_cost.static_power.scopes import Demand, cheapest, scope_sections

# One tile: little power for long; many tiles: much power for a short time; the same work.
SLOW = Demand(work=1.0, in_layer=0.01, in_network=1.0, power=1e5, fastest=1e4)
QUICK = Demand(work=1.01, in_layer=0.01, in_network=0.05, power=1e6, fastest=1e6)
GROUP = ("pcm", "hwa", "inference")


def test_energy_of_an_image_if_arrays_are_always_on():
    assert SLOW.at(1000.0) == pytest.approx(1.0 + 1e5 / 1000)
    assert SLOW.at(1000.0, 0.5) == pytest.approx(1.0 + 0.5 * 1e5 / 1000)
    assert SLOW.at(1e4) == pytest.approx(11.0)
    assert SLOW.at(1.01e4) is None
    assert QUICK.at(1e6) == pytest.approx(2.01)


def test_schemes_within_two_per_cent_of_the_least_are_equal():
    assert cheapest({"a": 1.0, "b": 1.019, "c": 1.03, "d": None}) == ["a", "b"]


def test_a_conclusion_that_depends_on_the_scope_says_so():
    head, told = scope_sections({GROUP: {"one": SLOW, "many": QUICK}})
    assert "within 2% of it" in head.text[0]
    assert told.title == "pcm, trained in software, programmed, inference"
    header = ["scheme", "work alone", "layer", "network", "always on, 1.00 /s", "always on, 1000 /s"]
    assert told.table.header == [*header, "always on, 10000 /s"]
    assert told.table.rows == [
        ["`one`", "1.00 *", "1.01 *", "2.00", "1.0e5 *", "101 *", "11.0 *"],
        ["`many`", "1.01 *", "1.02 *", "1.06 *", "1.0e6", "1001", "101"],
    ]
    (sentence,) = told.items
    assert sentence.startswith(
        "No scheme is the cheapest in every scope; the scope decides. layer: `many`, `one`;"
    )
    assert "network: `many`; always on, 1.00 /s: `one`" in sentence


def test_conclusions_that_hold_in_every_scope():
    dear = Demand(work=2.0, in_layer=0.1, in_network=3.0, power=2e5, fastest=1e4)
    _, told = scope_sections({GROUP: {"one": SLOW, "dear": dear}})
    assert told.items == ["`one` takes the least energy in every scope."]
    equal = Demand(work=1.0, in_layer=0.01, in_network=1.0, power=2e5, fastest=1e4)
    _, told = scope_sections({GROUP: {"one": SLOW, "equal": equal}})
    assert told.items == ["Nothing is cheaper in any scope than `one`, which others equal in some."]


def test_nothing_to_choose_from_is_no_map(tmp_path):
    draw_scope_map({GROUP: {"one": SLOW}}, tmp_path / "map.png")
    assert not (tmp_path / "map.png").exists()
    draw_scope_map({GROUP: {"time_multiplexed": SLOW, "free": QUICK}}, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_rate": 10.0}, "`frame_rate` must be left out with --static-scope network, but is 10"),
        (
            {"static_scope": "layer", "duty_cycle": 0.5},
            "`duty_cycle` must be left out with --static-scope layer",
        ),
        ({"static_scope": "always-on"}, "`frame_rate` or `duty_cycle` must be given .* but none is"),
        ({"static_scope": "always-on", "frame_rate": 1.0, "duty_cycle": 0.5}, "one of the two, but both are"),
        ({"static_scope": "always-on", "frame_rate": -1.0}, "`frame_rate` must be above 0, but is -1"),
        ({"static_scope": "always-on", "duty_cycle": 2.0}, "`duty_cycle` must be at most 1, but is 2"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SharingCostConfig(**options)
