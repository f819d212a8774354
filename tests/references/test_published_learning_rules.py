"""Layers that learn with a wrong reference: ours against real aihwkit tiles, and the pattern that was published."""

import statistics

import pytest

from experiments.studies.published.reproductions.layer_learning import learn
from experiments.studies.published.reproductions.learning_rules import _are_equal
from experiments.studies.published.tables import load_table

SIGMAS = (0.0, 1.0)


def plateaus(rule, backend="batched"):
    # With a low threshold and new vectors, a short training settles; random choppers leave chopped TTv2 its offset.
    quick = {
        "steps": 800,
        "auto_granularity": 200.0,
        "batch": 10,
        "different_vectors": 0,
        "choppers": "random",
    }
    settings = load_table("learning-rules").at("paper") | quick
    if rule == "agad":
        del settings["choppers"]
    learned = learn(rule, settings, 20, SIGMAS, backend=backend)
    last = [statistics.fmean(errors[-5:]) for errors in learned.errors]
    constructions = settings["constructions"]
    return {sigma: last[i * constructions : (i + 1) * constructions] for i, sigma in enumerate(SIGMAS)}


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["sgd", "ttv2", "chopped-ttv2", "agad"])
def test_every_rule_errs_as_on_real_tiles(rule):
    ours, theirs = plateaus(rule), plateaus(rule, "aihwkit")
    for sigma in SIGMAS:
        assert _are_equal(ours[sigma], theirs[sigma]), (sigma, ours[sigma], theirs[sigma])
    # Rasch et al. (2024): AGAD does not depend on the reference, all others do.
    means = {sigma: statistics.fmean(values) for sigma, values in ours.items()}
    assert (means[1.0] < 1.5 * means[0.0]) == (rule == "agad")


@pytest.mark.parametrize(("known", "unlearned"), [(5, 0.75), (10, 0.5)])
def test_where_no_vector_points_nothing_is_learned(known, unlearned):
    """Linear algebra: the gradient lies in the span of the vectors, so of 20 directions 20 - known keep their error.

    Each of 6 x 400 weights has a target of spread 0.3: the root of its mean square over the directions that are left
    has a standard error of 1.7 or 2 %; noise and the learned directions add a few per cent.
    """
    settings = load_table("learning-rules").at("paper")
    settings |= {"steps": 600, "different_vectors": known, "io": "perfect", "constructions": 6}
    errors = [course[-1] for course in learn("sgd", settings, 400, (0.0,)).errors]
    assert statistics.fmean(errors) == pytest.approx(0.3 * unlearned**0.5, rel=0.08)
