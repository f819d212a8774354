"""Where two schemes change places: solved, compared with bisection and with cases known by hand."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.studies.sharing_cost.sensitivity import TIE, Line, crossing, flips, lines_of, ranking

energies = st.floats(0.01, 1e4)
WHERE = {"device": "pcm", "mechanism": "in-situ", "work": "training step", "constant": "ADC energy"}


def bisect(first, second, low, high):
    def difference(factor):
        return first.at(factor) - second.at(factor)

    if difference(low) * difference(high) > 0:
        return None
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if difference(low) * difference(middle) > 0 else (low, middle)
    return (low + high) / 2


def test_a_crossing_known_by_hand():
    # 10 + 2 f and 4 + 5 f are equal at f = 2; the one that depends more on f is cheaper below.
    lines = {"copies": Line(10.0, 2.0), "free": Line(4.0, 5.0)}
    (flip,) = flips(lines, **WHERE, low=0.1, high=20.0)
    assert flip.factor == 2.0
    assert (flip.cheaper_below, flip.cheaper_above) == ("free", "copies")
    assert flip.is_clear
    assert ranking(lines, 1.9) == ["free", "copies"]
    assert ranking(lines, 2.1) == ["copies", "free"]


def test_the_order_of_the_schemes_does_not_matter():
    one, other = Line(10.0, 2.0), Line(4.0, 5.0)
    (flip,) = flips({"a": one, "b": other}, **WHERE, low=0.1, high=20.0)
    (turned,) = flips({"b": other, "a": one}, **WHERE, low=0.1, high=20.0)
    assert flip == turned


@pytest.mark.parametrize(("low", "high"), [(0.1, 1.99), (2.01, 20.0)])
def test_a_crossing_outside_the_range_is_none(low, high):
    assert flips({"a": Line(10.0, 2.0), "b": Line(4.0, 5.0)}, **WHERE, low=low, high=high) == []


def test_lines_that_run_together_have_no_crossing():
    assert crossing(Line(10.0, 2.0), Line(10.0, 2.0), 0.1, 20.0) is None
    assert crossing(Line(10.0, 2.0), Line(11.0, 2.0), 0.1, 20.0) is None
    # What rounding leaves of a constant that neither scheme uses.
    assert crossing(Line(10.0, 0.0), Line(10.0 + 1e-13, -1e-13), 0.1, 20.0) is None


def test_a_flip_within_a_tie_is_not_clear():
    """Both ends of the range must tell the two apart, by more than what seeds move."""
    near = Line(10.0, 0.1 * TIE)
    (flip,) = flips({"a": Line(10.0 + 0.1 * TIE, 0.0), "b": near}, **WHERE, low=0.1, high=20.0)
    assert flip.factor == pytest.approx(1.0, rel=1e-9)
    assert not flip.is_clear
    # Told apart at one end only: 10.1 and 10.11 at the lower one, 30 and 10.11 at the upper one.
    (flip,) = flips({"a": Line(10.0, 1.0), "b": Line(10.11, 0.0)}, **WHERE, low=0.1, high=20.0)
    assert not flip.is_clear


@given(energies, energies, energies, energies)
def test_solving_equals_bisection(fixed, scaled, other_fixed, other_scaled):
    first, second = Line(fixed, scaled), Line(other_fixed, other_scaled)
    # Where the slopes are nearly equal, rounding decides about the factor in both ways of finding it.
    assume(abs(scaled - other_scaled) > 1e-3 * max(scaled, other_scaled))
    low, high = 0.1, 20.0
    solved, found = crossing(first, second, low, high), bisect(first, second, low, high)
    if solved is None or found is None:
        factor = (other_fixed - fixed) / (scaled - other_scaled)
        assert solved is found or min(abs(factor - low), abs(factor - high)) < 1e-6
    else:
        assert solved == pytest.approx(found, rel=1e-9)


def test_two_prices_give_the_line_of_each_scheme():
    """Means over runs; prices are linear, so the line through factors 1 and 2 is right at every factor."""
    groups = {
        "free": [lambda f: 3.0 + 2.0 * f, lambda f: 5.0 + 4.0 * f],
        "one tile": [lambda f: 7.0 + 0.0 * f],
    }
    lines = lines_of(groups)
    assert lines == {"free": Line(4.0, 3.0), "one tile": Line(7.0, 0.0)}
    assert lines["free"].at(10.0) == 34.0
