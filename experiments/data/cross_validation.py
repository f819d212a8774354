"""Cross-validation: every image is a test image once, in one of k trainings.

Ott et al., Neural Networks 126 (2020), join the training and the test images and use 5 folds; the fold left out is
both what they report and what stops a training. Here it is the test, seen once, and a training is watched by images
of the other folds, as in any other run.
"""

import torch
from torch import Tensor

from devices.streams import generator

from .datasets import VALIDATION_FRACTION, DataSplit, Images


def fold(split: DataSplit, folds: int, index: int, seed: int) -> DataSplit:
    """Join all images and split them anew, with one fold of them as the test.

    The folds of one `split` and seed have no image in common, hold every image between them, and differ by at most
    one image in size. The order is drawn once per seed, from the stream "folds": the same for every `index`.

    Args:
        split: All images. Its own order depends on the seed that it was loaded with: keep it for all folds.
        folds: How many, 2 or more; 5 in the paper.
        index: Which of them is the test, from 0.
        seed: Of the folds.

    Returns:
        The fold as the test; of the others a part to watch training by, as large as in `load_data`, and the rest.

    Raises:
        ValueError: If there is no such fold, or there are too few images for it.
    """
    joined = _joined(split)
    number = len(joined)
    if number < 4:
        raise ValueError(f"`split` must hold 4 images or more, but is of {number}. Give more images.")
    if not 2 <= folds <= number:
        raise ValueError(
            f"`folds` must lie between 2 and the number of images, {number}, but is {folds}. Try 5."
        )
    if not 0 <= index < folds:
        raise ValueError(f"`index` must lie in [0, {folds - 1}], but is {index}. Number the folds from 0.")
    parts = list(torch.randperm(number, generator=generator(seed, "folds")).tensor_split(folds))
    test = parts.pop(index)
    others = torch.cat(parts)
    size = max(1, round(VALIDATION_FRACTION * len(others)))
    # The others differ between folds, and so must the part to watch by: it is drawn per fold, not cut off at one end.
    others = others[torch.randperm(len(others), generator=generator(seed, "folds", "validation", index))]
    return DataSplit(
        train=_select(joined, others[size:]),
        validation=_select(joined, others[:size]),
        test=_select(joined, test),
    )


def _joined(split: DataSplit) -> Images:
    return split.train.joined_with(split.validation, split.test)


def _select(images: Images, index: Tensor) -> Images:
    return images.select(index)
