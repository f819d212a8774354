"""Layers that learn with a wrong reference: ours against real aihwkit tiles, and the pattern that was published."""

import statistics

import pytest

from experiments.studies.published.reproductions.layer_learning import learn
from experiments.studies.published.reproductions.learning_rules import _are_equal
from experiments.studies.published.tables import load_table

SIGMAS = (0.0, 1.0)


def plateaus(rule, backend="batched"):
    settings = load_table("learning-rules").at("paper") | {"steps": 800}
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
