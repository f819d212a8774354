"""What a training lowers and what a test counts: losses and metrics of classification and regression.

Every metric is a mean over examples, 1 at its best, so that one set of tables, figures and comparisons shows them all
in per cent: of a regression the coefficient of determination, R², 1 less the squared error over that of the mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss, mse_loss, smooth_l1_loss

from devices.units import Dimensionless

from .objective_names import Loss, Metric

_OF_REGRESSION: Final[dict[str, Callable[..., Tensor]]] = {
    "mse": mse_loss,
    "l1": l1_loss,
    "smooth-l1": smooth_l1_loss,
}
_R2: Final = "r2"
_MOST_PROBABLE: Final = 5


@final
@dataclass(frozen=True)
class Objective:
    """A loss and a metric that fit each other.

    Attributes:
        loss: What the gradient lowers, mean over examples, and over positions of a sequence or outputs of a table.
        metric: What is reported. accuracy: examples whose largest output is at their class. top5: their class is
            among the five largest. balanced-accuracy: mean over the classes of the accuracy in each. r2: coefficient
            of determination of a regression, relative to the mean of the examples that are scored.

    Raises:
        ValueError: If one is of a classification, and the other of a regression.
    """

    loss: Loss = "cross-entropy"
    metric: Metric = "accuracy"

    def __post_init__(self) -> None:
        if self.is_regression != (self.metric == _R2):
            kind = "regression" if self.is_regression else "classification"
            fitting = [name for name in get_args(Metric) if (name == _R2) == self.is_regression]
            raise ValueError(
                f"`metric` must be of a {kind}, as the loss {self.loss} is, but is {self.metric!r}. Use "
                f"{' or '.join(fitting)}, or another --loss."
            )

    @property
    def is_regression(self) -> bool:
        """Whether outputs are numbers to come close to, and not scores of classes."""
        return self.loss in _OF_REGRESSION

    def loss_of(self, scores: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
        """Return the loss of a batch.

        Args:
            scores: Outputs of the network: (batch, classes) or (batch, positions, classes); of a regression as many
                numbers as there are targets.
            labels: Classes (batch) or (batch, positions), or targets.
            reduction: "mean", or "sum" over examples of the mean over the positions or outputs of each.
        """
        if self.is_regression:
            errors: Tensor = _OF_REGRESSION[self.loss](scores.reshape(labels.shape), labels, reduction="none")
            return errors.mean() if reduction == "mean" else errors.reshape(len(labels), -1).mean(dim=1).sum()
        if labels.ndim == 1:
            return cross_entropy(scores, labels, reduction=reduction)
        by_position = cross_entropy(scores.movedim(-1, 1), labels, reduction="none").flatten(1).mean(dim=1)
        return by_position.sum() if reduction == "sum" else by_position.mean()

    def score_of(self, scores: Tensor, labels: Tensor, among: "Reference | None" = None) -> Dimensionless:
        """Return the sum over a batch of what the metric is the mean of.

        Args:
            scores: Outputs of the network.
            labels: Classes or targets.
            among: Of all examples that are scored together; `reference_of` their labels.
        """
        if self.metric == "accuracy" and labels.ndim == 1:
            return int((scores.argmax(dim=1) == labels).sum())
        return float(self.each_score_of(scores, labels, among).sum())

    def each_score_of(
        self, scores: Tensor, labels: Tensor, among: "Reference | None" = None
    ) -> Float[Tensor, " examples"]:
        """Return for every example what the metric is the mean of; arguments as those of `score_of`."""
        if self.is_regression:
            assert among is not None
            errors = (
                (scores.reshape(labels.shape) - labels).double().square().reshape(len(labels), -1).mean(dim=1)
            )
            return 1 - errors / among.spread
        if self.metric == "top5":
            places = scores.topk(min(_MOST_PROBABLE, scores.shape[-1]), dim=-1).indices
            is_right = (places == labels[..., None]).any(dim=-1)
        else:
            is_right = scores.argmax(dim=-1) == labels
        if self.metric == "balanced-accuracy":
            assert among is not None
            return (is_right * among.weights[labels]).reshape(len(labels), -1).mean(dim=1)
        return is_right.double().reshape(len(labels), -1).mean(dim=1)

    def reference_of(self, labels: Tensor) -> "Reference":
        """Return what a score is relative to, for examples with these labels."""
        if self.is_regression:
            targets = labels.double().reshape(len(labels), -1)
            return Reference(spread=float((targets - targets.mean(dim=0)).square().mean()) or 1.0)
        counts = torch.bincount(labels.flatten()).clamp(min=1)
        present = int((torch.bincount(labels.flatten()) > 0).sum())
        return Reference(weights=labels.numel() / (present * counts.double()))

    def by_chance(self, labels: Tensor) -> Dimensionless:
        """Return the best score of a network that answers every example alike."""
        if self.is_regression:
            return 0.0
        counts = torch.bincount(labels.flatten()).double()
        if self.metric == "balanced-accuracy":
            return 1 / int((counts > 0).sum())
        best = counts.topk(min(_MOST_PROBABLE if self.metric == "top5" else 1, len(counts))).values
        return float(best.sum() / counts.sum())


@final
@dataclass(frozen=True)
class Reference:
    """What a set of examples as a whole says.

    Attributes:
        spread: Mean square distance of the targets from their mean; 1 where all are alike.
        weights: (classes,), of an example of each class, so that all classes count alike; their mean is 1.
    """

    spread: Dimensionless = 1.0
    weights: Tensor = field(default_factory=lambda: torch.ones(1))


def objective_of(loss: Loss | None, metric: Metric | None, *, has_classes: bool) -> Objective:
    """Return the objective that was asked for, or that suits the labels: whole numbers are classes.

    Args:
        loss: What was asked for, or None.
        metric: What was asked for, or None.
        has_classes: Whether labels are whole numbers.

    Raises:
        ValueError: If the loss does not suit the labels, or the metric the loss.
    """
    if loss is None:
        loss = "mse" if metric == _R2 or not has_classes else "cross-entropy"
    if loss == "cross-entropy" and not has_classes:
        raise ValueError(
            "`loss` must be that of a regression (mse, l1, smooth-l1) for labels with fractions, but is "
            "'cross-entropy'. Number the classes 0, 1, ... as integers, or use --loss mse."
        )
    usual: Metric = _R2 if loss in _OF_REGRESSION else "accuracy"
    return Objective(loss, metric or usual)
