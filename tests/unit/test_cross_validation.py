"""Folds: each image is tested once, none is in two parts, and scikit-learn's sizes."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.model_selection import KFold

from experiments.data.cross_validation import fold
from experiments.data.datasets import VALIDATION_FRACTION, DataSplit, Images
from experiments.runs.options.config import TrainConfig
from experiments.runs.run_data import images_of


def numbered(train: int, validation: int, test: int) -> DataSplit:
    """Image i has pixels of value i / number and the label i % 10: so it can be followed."""
    number = train + validation + test
    pixels = (torch.arange(number) / number).reshape(-1, 1, 1, 1).expand(-1, 1, 3, 2).contiguous()
    labels = torch.arange(number) % 10
    bounds = [0, train, train + validation, number]
    return DataSplit(*(Images(pixels[a:b], labels[a:b]) for a, b in itertools.pairwise(bounds)))


def numbers(images: Images, number: int) -> list[int]:
    """Which images these are; their labels must have come with them."""
    found = (images.pixels[:, 0, 0, 0] * number).round().long()
    assert torch.equal(found % 10, images.labels)
    return found.tolist()


@pytest.mark.parametrize(
    ("sizes", "folds"), [((70, 10, 20), 5), ((15, 2, 6), 5), ((2, 1, 1), 2), ((5, 1, 1), 7)]
)
def test_every_image_is_tested_once_and_none_is_in_two_parts(sizes: tuple[int, int, int], folds: int) -> None:
    split, number = numbered(*sizes), sum(sizes)
    tested: list[int] = []
    expected = [len(test) for _, test in KFold(folds).split(np.zeros(number))]
    for index in range(folds):
        here = fold(split, folds, index, seed=3)
        train, validation, test = (numbers(part, number) for part in (here.train, here.validation, here.test))
        assert sorted(train + validation + test) == list(range(number))
        assert len(test) == expected[index]
        assert len(validation) == max(1, round(VALIDATION_FRACTION * (number - len(test))))
        assert here.image_shape == (1, 3, 2)
        tested += test
    assert sorted(tested) == list(range(number))


def test_folds_are_of_the_seed() -> None:
    split = numbered(70, 10, 20)
    assert fold(split, 5, 2, 0).fingerprint() == fold(split, 5, 2, 0).fingerprint()
    for part in ("train", "validation", "test"):
        drawn = [frozenset(numbers(getattr(fold(split, 5, 2, seed), part), 100)) for seed in range(5)]
        assert len(set(drawn)) == 5
    watched = [frozenset(numbers(fold(split, 5, index, 0).validation, 100)) for index in range(5)]
    assert len(set(watched)) == 5


@pytest.mark.parametrize("part", ["test", "validation"])
def test_folds_mix_training_and_test_images(part: str) -> None:
    """Half of 4,000 images were for training: of those in a part half again, but for once in 100,000 seeds."""
    split = numbered(2000, 1000, 1000)
    found = numbers(getattr(fold(split, 5, 0, 1), part), 4000)
    assert binomtest(sum(k < 2000 for k in found), len(found)).pvalue > 1e-5


@pytest.mark.parametrize(
    ("folds", "index", "name"), [(1, 0, "folds"), (101, 0, "folds"), (5, 5, "index"), (5, -1, "index")]
)
def test_a_fold_that_does_not_exist_is_refused(folds: int, index: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must lie"):
        fold(numbered(70, 10, 20), folds, index, 0)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="`split` must hold 4 images or more, but is of 3"):
        fold(numbered(1, 1, 1), 2, 0, 0)


def test_runs_of_all_folds_test_every_image_once() -> None:
    """Whatever their seeds; a run's limits apply to its own parts."""
    seen = []
    for index in range(1, 4):
        split = images_of(TrainConfig(fold=f"{index}/3", seed=index))
        seen += [image.numpy().tobytes() for image in split.test.pixels]
    assert len(seen) == 1797
    everything = images_of(TrainConfig())
    parts = (everything.train, everything.validation, everything.test)
    assert sorted(seen) == sorted(image.numpy().tobytes() for part in parts for image in part.pixels)
    few = images_of(TrainConfig(fold="1/3", train_images=50, test_images=20))
    assert (len(few.train), len(few.test)) == (50, 20)


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/5", "-1/5", ""])
def test_a_run_of_a_fold_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"`fold` must be one of some, as 2/5, the second of five, but is"):
        TrainConfig(fold=text)
