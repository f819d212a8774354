"""Means, intervals and equal energies of `xbar paper`, by hand and against scipy."""

import pytest
from scipy import stats

from experiments.studies.paper.points import Point, Setting
from experiments.studies.paper.rows import Row, Rows, accuracy_at_energy, score_of
from experiments.support.statistics import Mean

DIGITAL = Setting("digital")
IN_SITU = Setting("in-situ", "ecram")


def row(network, seed, accuracy, *, setting=DIGITAL, energy=None, strength=0.0, chips=()):
    history = [{"epoch": e + 1, "accuracy": 1.0, "validation_accuracy": a} for e, a in enumerate(accuracy)]
    return Row(
        point=Point(setting, network, strength, 0.0, seed),
        run="",
        command="",
        history=history,
        start={},
        trained={},
        fit={},
        chips=list(chips),
        energy_per_epoch=energy,
        energy_per_image=None,
    )


def test_a_mean_has_students_interval():
    values = [0.91, 0.95, 0.97]
    mean = Mean.of(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean.value - mean.reach == pytest.approx(low)
    assert mean.value + mean.reach == pytest.approx(high)
    assert Mean.of([0.5, None]) == Mean(0.5, None, None, 1)
    assert Mean.of([None, float("nan")]) is None
    assert mean.percent() == "94.3 ± 3.1 %"
    assert Mean.of([-0.012]).points() == "-1.2 points"


def test_networks_are_compared_seed_by_seed():
    found = [
        row(network, seed, [base + 0.1 * seed])
        for network, base in (("fcn", 0.5), ("cnn", 0.52))
        for seed in (0, 1, 2)
    ]
    difference = Rows(found).difference(score_of("plain"), DIGITAL, 0.0)
    assert difference.value == pytest.approx(-0.02)
    assert difference.std == pytest.approx(0, abs=1e-12)  # whatever the seeds have in common cancels
    assert difference.number == 3


def test_a_seed_without_its_partner_does_not_count():
    found = [row("fcn", 0, [0.9]), row("cnn", 0, [0.8]), row("fcn", 1, [0.1])]
    assert Rows(found).difference(score_of("plain"), DIGITAL, 0.0).number == 1


@pytest.mark.parametrize(
    ("energy", "expected"), [(5, None), (10, 0.2), (15, 0.3), (20, 0.4), (30, 0.8), (99, 0.8)]
)
def test_accuracy_after_some_energy(energy, expected):
    one = row("fcn", 0, [0.2, 0.4, 0.8], setting=IN_SITU, energy=10.0)
    found = accuracy_at_energy(one, energy, one.energy_per_epoch)
    assert found is None if expected is None else found == pytest.approx(expected)
    assert accuracy_at_energy(row("fcn", 0, [0.2]), 10, None) is None


def test_chips_are_read_at_their_times():
    chips = [
        [
            {"time": 1.0, "scores": {"plain": a}, "sharing": {}},
            {"time": 9.0, "scores": {"plain": b}, "sharing": {}},
        ]
        for a, b in ((0.9, 0.5), (0.8, 0.7))
    ]
    one = row("fcn", 0, [0.1], setting=IN_SITU, chips=chips)
    assert one.score("plain") == pytest.approx(0.85)
    assert one.score("plain", 9.0) == pytest.approx(0.6)
    assert one.score("plain", 5.0) is None
    assert one.distance(time=1.0) is None  # networks that share have none
