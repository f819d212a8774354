"""The likelihood that a fit climbs: its slopes are its own, and it has no jumps on which a search would hang."""

import numpy as np
import pytest

from devices.fitting import filter as compiled
from devices.fitting.device_fit import covariance_of, first_sight, fit_device, noise_coordinates
from devices.fitting.laws import FREE_LAWS, STEP_LAWS
from devices.fitting.population import population_of_curves
from devices.fitting.profiles import Profile, profile
from devices.fitting.readings import Readings
from devices.fitting.restricted import restricted
from devices.fitting.step_law import StepLaw, Values

LAWS = (*STEP_LAWS, *FREE_LAWS)


def readings() -> Readings:
    """Return 60 pulses up, 60 down and again up, in two series, that reach a bound, read to 0.02."""
    rng = np.random.default_rng(0)
    is_up = np.repeat([True, False, True], 60)
    w = np.clip(-0.9 + np.cumsum(np.where(is_up, 0.03, -0.03) * (1 + 0.3 * rng.normal(size=180))), -0.9, 0.75)
    after = w + 0.02 * rng.normal(size=180)
    before = np.concatenate([[-0.9], after[:-1]])
    begins = np.zeros(180, np.bool_)
    begins[[0, 100]] = True
    before[100] += 0.05
    return Readings(before, after, is_up, begins)


def begin(law: StepLaw, own: Readings, is_slow: bool) -> tuple[Values, Values]:
    """Return coordinates near those where a fit starts, and what changes in them matter."""
    moments, read = first_sight(own)
    coordinates = [*law.coordinates(moments), *noise_coordinates(law, read, is_slow)]
    scale = np.array([c.scale for c in coordinates])
    start = np.array([c.start for c in coordinates])
    return start + 0.1 * scale * np.random.default_rng(1).normal(size=len(start)), scale


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_slopes_are_those_of_the_filter(law: StepLaw, is_slow: bool) -> None:
    """Central differences of 1e-5 scales: their rounding is 1e-11 of 1e-5 scales, their curvature 1e-10."""
    own = readings()
    x, scale = begin(law, own, is_slow)
    _, _, of_deviation, of_variance = compiled.slopes(law, x, own, is_slow)
    for k in range(len(x)):
        there, back = x.copy(), x.copy()
        there[k] += 1e-5 * scale[k]
        back[k] -= 1e-5 * scale[k]
        after, before = (compiled.deviations(law, place, own, is_slow) for place in (there, back))
        for found, ahead, behind in zip((of_deviation[k], of_variance[k]), after, before, strict=True):
            expected = (ahead - behind) / (2e-5 * scale[k])
            np.testing.assert_allclose(found, expected, atol=2e-4 * max(float(np.abs(expected).max()), 1e-4))


@pytest.mark.parametrize("law", [law for law in LAWS if law.nodes], ids=lambda law: law.name)
def test_the_likelihood_of_a_polygon_has_no_jumps(law: StepLaw) -> None:
    """A weight that passes a node meets another slope there; the likelihood must not jump with it.

    Third differences along a line of 4,000 places: without jumps they are rounding, and with slopes that jump some
    reach 1.
    """
    own = readings()
    x, scale = begin(law, own, is_slow=False)
    x[: 2 * law.nodes] *= np.random.default_rng(2).uniform(0.2, 1.8, size=2 * law.nodes)
    way = np.where(np.arange(len(x)) < 2 * law.nodes, 1.0, 0.0) * scale
    heights = np.array([
        compiled.unlikelihood(*compiled.deviations(law, x + part * way, own, False))
        for part in np.linspace(0.0, 1.0, 4000)
    ])  # fmt: skip
    assert np.abs(np.diff(heights, 3)).max() < 1e-4


def test_the_curve_of_a_noise_is_highest_where_the_fit_says() -> None:
    """What a polygon takes up of the scatter counts once: then both are the most likely of restricted likelihood.

    The fit has a plane for ln det I where the curve has it exactly: they may differ by a part of an error, 0.25.
    """
    law = next(law for law in FREE_LAWS if law.name == "PiecewiseStep")
    own = readings()
    fit = restricted(law, own, fit_device(law, own))
    for name in ("noise", "read_noise"):
        number = next(i for i, c in enumerate(fit.coordinates) if c.name == name)
        own_curve = profile(law, own, fit, number)
        places = np.linspace(own_curve.places[0], own_curve.places[-1], 2001)
        highest = float(places[np.argmin(own_curve.rise(places))])
        assert abs(highest - fit.x[number]) < 0.25 * np.sqrt(fit.covariance[number, number]), name


def reached(bound: float) -> Profile:
    """Return the curve of a device that reached its bound: known to 0.005 on both sides."""
    roots = np.linspace(-4.0, 4.0, 9)
    return Profile(bound + 0.005 * roots, roots)


def passed(farthest: float, *, is_vague: bool = False) -> Profile:
    """Return the curve of a device that came so far: its bound lies higher, and no more is known of it."""
    return Profile(
        farthest + np.array([-0.02, -0.015, -0.01, -0.005, 0.0, 0.5]),
        np.array([-4.0, -3, -2, -1, 0, 0]),
        is_vague,
    )


def test_bounds_that_few_devices_reached_are_not_known_from_above() -> None:
    """Of twelve devices those stop at their bounds whose bounds are low: one or none, three at most.

    120 samples, and at most 9 whose interval ends below the true mean: 1.4e-3 by chance, if 2.5 % do. If all twelve
    counted as telling how far bounds lie apart, 20 did.
    """
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(120):
        bounds, came = rng.normal(0.93, 0.045, size=12), rng.normal(0.84, 0.05, size=12)
        curves = [
            reached(bound + 0.005 * rng.normal()) if bound < far else passed(far + 0.005 * rng.normal())
            for bound, far in zip(bounds, came, strict=True)
        ]
        estimates = np.array([float(own.places[np.argmin(np.abs(own.roots))]) for own in curves])
        below += population_of_curves(estimates, curves).high < 0.93
    assert below <= 9


def test_a_bound_that_may_have_been_reached_leaves_both_ends() -> None:
    """Where curves do not rise above, the mean bound lies where they begin to if all were reached, or above."""
    places = np.linspace(0.85, 0.95, 12)
    vague = population_of_curves(places, [passed(place, is_vague=True) for place in places])
    if_reached = population_of_curves(places, [reached(place) for place in places])
    if_not = population_of_curves(places, [passed(place) for place in places])
    assert if_not.low > if_reached.low + 0.005
    assert vague.low == pytest.approx(if_reached.low, abs=1e-3)
    assert vague.high == if_not.high == np.inf


def test_a_direction_that_the_data_do_not_determine_has_an_error_of_its_reach() -> None:
    """A fit of a lookup table (seed 39 of the study of coverage) ended with the root of a negative variance."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    known = turn @ np.diag([400.0, 25.0]) @ turn.T
    assert covariance_of(known, np.array([1.0, 1.0])) == pytest.approx(np.linalg.inv(known))
    flat = turn @ np.diag([400.0, -3.0]) @ turn.T
    assert covariance_of(flat, np.array([1.0, 1.0])) == pytest.approx(turn @ np.diag([1 / 400, 1.0]) @ turn.T)
    scaled = covariance_of(flat / np.outer([2.0, 5.0], [2.0, 5.0]), np.array([2.0, 5.0]))
    assert scaled == pytest.approx(
        covariance_of(flat, np.array([1.0, 1.0])) * np.outer([2.0, 5.0], [2.0, 5.0])
    )
