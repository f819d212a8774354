"""Where a priced curve reaches an accuracy, when it is at its best, and which curves are on the Pareto front."""

import itertools

import pytest

from experiments.studies.sharing_cost.to_accuracy.curve import (
    LEAST_GAIN,
    PATIENCE,
    PricedCurve,
    front,
    until,
    until_best,
)


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
