"""Where a priced curve reaches an accuracy, when it is at its best, and which curves are on the Pareto front."""

import itertools
import math

import pytest

from experiments.studies.sharing_cost.rows import FRESH, Cell, Costs, Row, Space
from experiments.studies.sharing_cost.to_accuracy.curve import (
    LEAST_GAIN,
    PATIENCE,
    PricedCurve,
    front,
    until,
    until_best,
)
from experiments.studies.sharing_cost.to_accuracy.paired import paired_table
from experiments.studies.sharing_cost.to_accuracy.table import columns_of


def curve(*accuracy):
    numbers = [float(i) for i in range(1, len(accuracy) + 1)]
    return PricedCurve(
        steps=list(range(1, len(accuracy) + 1)),
        accuracy=list(accuracy),
        energy_uJ=[10 * number for number in numbers],
        seconds=numbers,
        wear=[number / 1000 for number in numbers],
    )


def test_an_accuracy_is_reached_at_the_first_measurement_not_below_it():
    found = until(curve(0.1, 0.9, 0.85, 0.95), 0.9)
    assert found is not None
    assert (found.steps, found.energy_uJ, found.seconds, found.wear) == (2, 20, 2, 0.002)
    assert until(curve(0.1, 0.9, 0.85, 0.95), 0.96) is None


def test_the_best_is_that_before_patience_ends():
    flat = [0.5 + LEAST_GAIN] * (PATIENCE - 1)
    rises_late = until_best(curve(0.5, *flat, 0.9))  # within patience
    assert (rises_late.accuracy, rises_late.is_end) == (0.9, True)
    too_late = until_best(curve(0.5, 0.5 + LEAST_GAIN / 2, *([0.4] * PATIENCE), 0.9))
    assert (too_late.accuracy, too_late.steps, too_late.is_end) == (0.5 + LEAST_GAIN / 2, 2, False)


def test_nothing_beats_a_point_on_the_front_and_something_beats_all_others():
    curves = [([1.0, 2.0, 5.0], [0.3, 0.6, 0.95]), ([1.5, 2.5, 4.0], [0.5, 0.55, 0.9]), ([9.0], [0.95])]
    points = [(c, a) for costs, accuracies in curves for c, a in zip(costs, accuracies, strict=True)]
    found = {(cost, accuracy) for cost, accuracy, _ in front(curves)}
    for one in points:
        is_beaten = any(other != one and other[0] <= one[0] and other[1] >= one[1] for other in points)
        assert (one in found) != is_beaten
    assert all(a < b for (_, a, _), (_, b, _) in itertools.pairwise(front(curves)))
    assert [number for *_, number in front(curves)] == [0, 1, 0, 1, 0]


def test_a_curve_has_a_value_of_each_kind_for_every_measurement():
    with pytest.raises(ValueError, match="a curve must have a value of each kind"):
        PricedCurve(steps=[1], accuracy=[0.5, 0.6], energy_uJ=[1.0], seconds=[1.0], wear=[])


def learned(scheme, seed, *accuracy, area=2.0):
    space = Space(packing="none", arrays=1, area_mm2=area, utilisation=0.5)
    costs = Costs(energy_uJ={"adc": 1.0}, analog_uJ=1.0, sequential_s=1.0, pipelined_s=None)
    return Row(
        device="ecram", mechanism="in-situ", scheme=scheme, seed=seed, run="", command="", profile="rpu-ecram",
        lr=1.0, epochs=1, validation_accuracy=accuracy[-1], accuracy={FRESH: accuracy[-1]}, residual={},
        largest_residual={}, dynamics={}, inference=costs, training=costs, programming=None, unpacked=space,
        packed=space, pulses_per_step=None, steps_to_end_of_life=None, curve=curve(*accuracy),
    )  # fmt: skip


def test_area_time_is_that_of_all_arrays_all_the_time():
    columns = columns_of(learned("free", 0, 0.5, 0.7, 0.9, area=3.0), (70.0, 95.0))
    assert (columns["until_70_mm2_s"], columns["until_95_mm2_s"], columns["until_best_mm2_s"]) == (6, None, 9)


def test_schemes_are_compared_seed_by_seed_with_one_tile():
    one_tile = [learned("time_multiplexed", 0, 0.5, 0.7), learned("time_multiplexed", 1, 0.4, 0.5, 0.6, 0.7)]
    free = [
        learned("free", 0, 0.5, 0.6, 0.7, 0.9),
        learned("free", 1, 0.5, 0.7, 0.8),
        learned("free", 2, 0.1),
    ]
    table = paired_table([Cell(tuple(free)), Cell(tuple(one_tile))], (70.0,))
    assert table is not None
    ((scheme, pairs, best, test, energy, time),) = table.rows  # seed 2 has no partner
    reach = 12.706 * 0.05 * 100  # Student's t, one degree of freedom; the differences are 20 and 10 points
    assert (scheme, pairs) == ("`free`", "2")
    assert best == test == f"+15.0 ± {reach:.1f}"
    mean, half = (
        0.5 * (math.log(3 / 2) + math.log(2 / 4)),
        12.706 * abs(math.log(3 / 2) - math.log(2 / 4)) / 2,
    )
    expected = f"x {math.exp(mean):.2g} ({math.exp(mean - half):.2g} to {math.exp(mean + half):.2g})"
    assert energy == time == expected
    assert paired_table([Cell(tuple(free))], (70.0,)) is None
