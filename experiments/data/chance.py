"""Which networks did not learn: the one rule by which every table, figure and page tells them from those that did."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from devices.units import Dimensionless

from .datasets import CLASSES
from .objective_names import Metric

# Share of the most frequent class among the images that test, counted in the sets' own labels.
_MOST_FREQUENT: Final[dict[str, Dimensionless]] = {
    "digits": 183 / 1797,
    "digits-32": 183 / 1797,
    "mnist": 1135 / 10_000,
    "fashion-mnist": 0.1,
    "cifar10": 0.1,
    "svhn": 5099 / 26_032,
    "sentences": 1274 / 8000,  # spaces among the characters to be named
}
_DEVIATIONS: Final = 3.0
_RULE_OF_R2: Final = (
    "Did not learn: comes no closer to the targets than their mean does, as far as chance explains (R² of at most "
    "9 / images). Such networks are neither priced nor ranked nor compared."
)
RULE: Final = (
    "Did not learn: right on no more test images than chance explains, which is the share of the most frequent class "
    "and three standard deviations (binomial). Such networks are neither priced nor ranked nor compared."
)


def highest_by_chance(data: str, images: int) -> Dimensionless:
    """Return the largest accuracy that is no sign of learning.

    A network that gives every image the same answer is right on the share of one class; which of the images are in
    a test is up to chance.

    Args:
        data: The data set, as for `xbar train`.
        images: Number of test images.
    """
    share = _MOST_FREQUENT[data] if data in _MOST_FREQUENT else _most_frequent_in(data)
    return highest_from(share, images, "accuracy")


def highest_from(share: Dimensionless, images: int, metric: Metric) -> Dimensionless:
    """Return the largest score that is no sign of learning.

    Args:
        share: Score of the best answer that is the same for all images; 0 of R².
        images: Number of test images.
        metric: What the score is. Of R², what answers unrelated to the targets reach at best: r² of the two, which is
            9 / images at three standard deviations.
    """
    if metric == "r2":
        return share + _DEVIATIONS**2 / images
    return share + _DEVIATIONS * math.sqrt(share * (1 - share) / images)


def rule_of(metric: Metric) -> str:
    """Return the rule in words."""
    return _RULE_OF_R2 if metric == "r2" else RULE


@lru_cache
def _most_frequent_in(file: str) -> Dimensionless:
    """Read it from the labels of a user's file; if that is no longer there, as if all classes were alike."""
    if not Path(file).is_file():
        return 1 / CLASSES
    with np.load(file, allow_pickle=False) as archive:
        counts = np.bincount(archive["labels"].astype(int))
    return float(counts.max() / counts.sum())


def mark(did_learn: Sequence[bool]) -> str:
    """Return what is added to the name of runs of which some did not learn.

    Example:
        >>> mark([True, True]), mark([False]), mark([True, False, False])
        ('', ', did not learn', ', 2 of 3 did not learn')
    """
    failed = sum(not learned for learned in did_learn)
    if not failed:
        return ""
    return ", did not learn" if failed == len(did_learn) else f", {failed} of {len(did_learn)} did not learn"
