"""Which networks did not learn: the one rule by which every table, figure and page tells them from those that did."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from devices.units import Dimensionless

from .datasets import CLASSES

# Share of the most frequent class among the images that test, counted in the sets' own labels.
_MOST_FREQUENT: Final[dict[str, Dimensionless]] = {
    "digits": 183 / 1797,
    "mnist": 1135 / 10_000,
    "fashion-mnist": 0.1,
    "cifar10": 0.1,
    "svhn": 5099 / 26_032,
}
_DEVIATIONS: Final = 3.0
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
    return share + _DEVIATIONS * math.sqrt(share * (1 - share) / images)


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
