"""Differences over chips and test images: the interval holds the truth as often as it says."""

import math

import numpy as np
import pytest

from experiments.support.statistics import Mean, crossed_difference

Z = 4.9  # two-sided, one false alarm in a million


@pytest.mark.parametrize(
    ("of_chips", "of_images", "of_both"), [(0.3, 3.0, 1.0), (1.0, 0.5, 2.0), (0.1, 0.0, 0.3)]
)
def test_the_interval_holds_the_truth(of_chips: float, of_images: float, of_both: float) -> None:
    """Normal effects of chips, images and both; few chips make the interval wider than need be."""
    rng = np.random.default_rng(0)
    tries, chips, images = 1000, 6, 40
    held = 0
    for _ in range(tries):
        table = (
            of_chips * rng.normal(size=(chips, 1))
            + of_images * rng.normal(size=(1, images))
            + of_both * rng.normal(size=(chips, images))
        )
        found = crossed_difference(table)
        held += found.low <= 0 <= found.high
    assert held / tries > 0.95 - Z * math.sqrt(0.95 * 0.05 / tries)
    assert held / tries < 0.99


def test_images_that_all_chips_answer_alike_count_as_images() -> None:
    """Chips that agree say nothing about other images: the interval is that of the images alone."""
    of_images = np.array([1.0, 0.0, 0.0, -1.0, 1.0, 1.0, 0.0, 0.0])
    found = crossed_difference(np.tile(of_images, (3, 1)))
    assert found.value == pytest.approx(of_images.mean())
    assert found.error == pytest.approx(of_images.std(ddof=1) / math.sqrt(8))


def test_chips_whose_images_are_all_alike_count_as_chips() -> None:
    chips = np.array([0.1, 0.3, 0.2])
    found, alone = crossed_difference(np.tile(chips[:, None], (1, 7))), Mean.of_all(chips.tolist())
    assert found.reach == pytest.approx(alone.reach)


def test_no_difference_has_no_interval() -> None:
    found = crossed_difference(np.zeros((3, 9)))
    assert (found.value, found.error, found.reach) == (0.0, 0.0, 0.0)
