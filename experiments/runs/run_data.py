"""The images of a run: as its configuration says, whole or one fold of a cross-validation."""

from typing import Any

from ..data.cross_validation import fold
from ..data.datasets import DataSplit, load_data
from .options.config import TrainConfig, parse_fold
from .run import Run

# All folds of any run are cut from one order of the images.
_SEED_OF_FOLDS = 0


def images_of(config: TrainConfig | Run) -> DataSplit:
    """Load the images of a run: all that there are, if it asks for more.

    Raises:
        FileNotFoundError: If the data are not there.
        ValueError: If there is no such data set, or it holds something else.
    """
    if config.fold is None:
        return load_data(
            config.data,
            config.data_dir,
            seed=config.seed,
            download=config.download,
            train_images=config.train_images,
            test_images=config.test_images,
            loss=config.loss,
            metric=config.metric,
        )
    index, folds = parse_fold(config.fold)
    whole = load_data(
        config.data,
        config.data_dir,
        seed=_SEED_OF_FOLDS,
        download=config.download,
        loss=config.loss,
        metric=config.metric,
    )
    split = fold(whole, folds, index - 1, _SEED_OF_FOLDS)
    return DataSplit(
        split.train.first(config.train_images), split.validation, split.test.first(config.test_images)
    )


def refuse_too_many(config: Any, images: DataSplit) -> None:
    """Refuse to train or test on more images than there are.

    Args:
        config: What was asked for, with `train_images`, `test_images` or neither.
        images: What there is of it.

    Raises:
        ValueError: If more are asked for; says how many there are.
    """
    for name, part in (("train_images", images.train), ("test_images", images.test)):
        asked = getattr(config, name, None)
        if asked is not None and asked > len(part):
            raise ValueError(
                f"`{name}` must be at most {len(part)}, as there are no more, but is {asked}. Leave it out for all."
            )
