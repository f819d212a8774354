"""Losses and metrics against scikit-learn's, over batches of any size."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn.functional import cross_entropy

from experiments.data.chance import highest_from
from experiments.data.objective import Objective, objective_of

RNG = torch.Generator().manual_seed(0)
SCORES = torch.randn(60, 8, generator=RNG)
LABELS = torch.randint(0, 8, (60,), generator=RNG) // torch.randint(1, 3, (60,), generator=RNG)
TARGETS = torch.randn(60, 3, generator=RNG)
GUESSES = TARGETS + 0.5 * torch.randn(60, 3, generator=RNG)


def over_batches(objective, scores, labels):
    """Return the metric of all, summed over batches of 7, as a training does."""
    among = objective.reference_of(labels)
    parts = zip(scores.split(7), labels.split(7), strict=True)
    return sum(objective.score_of(*part, among) for part in parts) / len(labels)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("accuracy", lambda s, y: metrics.accuracy_score(y, s.argmax(1))),
        ("balanced-accuracy", lambda s, y: metrics.balanced_accuracy_score(y, s.argmax(1))),
        ("top5", lambda s, y: metrics.top_k_accuracy_score(y, s, k=5, labels=range(8))),
    ],
)
def test_metrics_of_classes_are_scikit_learns(metric, reference):
    found = over_batches(Objective(metric=metric), SCORES, LABELS)
    assert found == pytest.approx(reference(SCORES.numpy(), LABELS.numpy()), abs=1e-12)


@pytest.mark.parametrize("columns", [1, 3])
def test_r2_is_scikit_learns(columns):
    """Of several targets of one spread each counts alike; scikit-learn weights them by their variance."""
    targets, guesses = TARGETS[:, :columns], GUESSES[:, :columns]
    found = over_batches(Objective("mse", "r2"), guesses, targets)
    reference = metrics.r2_score(targets, guesses, multioutput="variance_weighted")
    assert found == pytest.approx(reference, abs=1e-6)


def test_losses_are_means_and_sums_of_the_same():
    for objective, scores, labels in (
        (Objective(), SCORES, LABELS),
        (Objective("mse", "r2"), GUESSES, TARGETS),
        (Objective("l1", "r2"), GUESSES[:, 0], TARGETS[:, 0]),
    ):
        total = objective.loss_of(scores, labels, reduction="sum")
        assert total / len(labels) == pytest.approx(float(objective.loss_of(scores, labels)), rel=1e-5)
    assert float(Objective("mse", "r2").loss_of(GUESSES, TARGETS)) == pytest.approx(
        metrics.mean_squared_error(TARGETS, GUESSES), rel=1e-5
    )


def test_a_class_for_each_position_is_the_loss_of_all_positions():
    scores, labels = SCORES.reshape(12, 5, 8), LABELS.reshape(12, 5)
    assert Objective().loss_of(scores, labels) == pytest.approx(
        float(cross_entropy(SCORES, LABELS)), rel=1e-6
    )
    assert over_batches(Objective(), scores, labels) == pytest.approx(
        over_batches(Objective(), SCORES, LABELS)
    )


def test_what_a_constant_answer_scores():
    labels = torch.tensor([0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
    assert Objective().by_chance(labels) == pytest.approx(0.3)
    assert Objective(metric="top5").by_chance(labels) == pytest.approx(0.7)
    assert Objective(metric="balanced-accuracy").by_chance(labels) == pytest.approx(1 / 8)
    assert Objective("mse", "r2").by_chance(TARGETS) == 0
    mean = TARGETS.mean(dim=0).expand_as(TARGETS)
    assert over_batches(Objective("mse", "r2"), mean, TARGETS) == pytest.approx(0, abs=1e-6)


def test_unrelated_answers_seldom_pass_for_learned():
    """The best that answers without relation to the targets reach, on any scale, is the squared correlation."""
    rng, images, tries = np.random.default_rng(0), 50, 4000
    x, y = rng.normal(size=(2, tries, images))
    best = np.array([np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(x, y, strict=True)])
    assert (
        best > highest_from(0.0, images, "r2")
    ).mean() < 0.006  # three deviations: 0.0027, and 4.9 of sampling


def test_losses_and_metrics_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`metric` must be of a regression, .*but is 'accuracy'\. Use r2"):
        objective_of("mse", "accuracy", has_classes=False)
    with pytest.raises(ValueError, match=r"`metric` must be of a classification, .*but is 'r2'"):
        objective_of("cross-entropy", "r2", has_classes=True)
    with pytest.raises(ValueError, match=r"`loss` must be that of a regression .*labels with fractions"):
        objective_of("cross-entropy", None, has_classes=False)
    assert objective_of(None, None, has_classes=False) == Objective("mse", "r2")
    assert objective_of(None, "r2", has_classes=True) == Objective("mse", "r2")
