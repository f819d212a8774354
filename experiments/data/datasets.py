"""Labelled images, whole in memory, split into training, validation and test images by seed."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from devices.files import read_arrays, read_regular
from devices.streams import generator

from .examples import DataSplit, Facts, Images, facts_of
from .idx_files import read_idx
from .image_folder import parts_of_folder
from .objective import objective_of
from .objective_names import Loss, Metric
from .own_data import PARTS, Arrays, check_classes, checked, parts_of_archive, parts_of_result
from .sentences import sentences
from .text import decoded, parts_of_text
from .user_function import as_function

__all__ = ["CLASSES", "DataSplit", "Facts", "Images", "facts_of", "is_own", "load_data"]

# assumed: 10 % to watch training by; where a set has no test images of its own, 20 % of it for the test,
# which leaves 359 of the 1,797 digits: one image is 0.3 points of accuracy.
VALIDATION_FRACTION: Final = 0.1
TEST_FRACTION: Final = 0.2
CLASSES: Final = 10


def load_data(
    data: str,
    data_dir: Path | str = "data",
    *,
    seed: int,
    download: bool = False,
    train_images: int | None = None,
    test_images: int | None = None,
    loss: Loss | None = None,
    metric: Metric | None = None,
) -> DataSplit:
    """Load a data set and split it.

    Sets with test images of their own (mnist, fashion-mnist, cifar10, svhn) keep them, in an order drawn by
    seed; the others are split by seed. Drawn once per seed, from the stream "split".

    Args:
        data: "digits", "digits-32" (the same, scaled up to 3 x 32 x 32), "mnist", "fashion-mnist", "cifar10", "svhn";
            "sentences", 40,000 characters of a small grammar; a file ending in .npz with `images` and `labels`, or
            with `inputs` and `labels` of any shape; a text ending in .txt; a function of one's own,
            "my_data.py:splits"; or a folder with a folder of pictures for each class.
        data_dir: Folder of the data sets, in torchvision's layout.
        seed: The run's seed.
        download: Fetch a missing data set.
        train_images: Keep this many training images.
        test_images: Keep this many test images.
        loss: What training lowers; that which suits the labels if None.
        metric: What is counted; that which suits the loss if None.

    Returns:
        The images.

    Raises:
        FileNotFoundError: If the data are not there.
        ValueError: If there is no such data set, or it does not hold what can be trained on, or loss or metric do not
            suit it.
    """
    parts: dict[str, Images]
    if data in _DIGITS:
        parts = {"train": _digits(data)}
    elif data == _SENTENCES:
        parts = _of_text(sentences(_CHARACTERS), "the built-in text", loss, metric)
    elif data in _TORCHVISION:
        parts = dict(
            zip(("train", "test"), _from_torchvision(data, Path(data_dir), download=download), strict=True)
        )
    else:
        parts = _own(data, Path(data_dir), seed, loss, metric)
    if loss is not None or metric is not None:
        parts = {name: _with_objective(part, loss, metric) for name, part in parts.items()}
    own, test, validation = parts["train"], parts.get("test"), parts.get("validation")
    order = torch.randperm(len(own), generator=generator(seed, "split", "own"))
    if test is None:
        size = max(1, round(TEST_FRACTION * len(own)))
        test, order = _select(own, order[:size]), order[size:]
    else:
        test = _select(test, torch.randperm(len(test), generator=generator(seed, "split", "test")))
    size = max(1, round(VALIDATION_FRACTION * len(order))) if validation is None else 0
    train = _select(own, order[size:])
    validation = _select(own, order[:size]) if validation is None else validation
    if len(train) == 0:
        raise ValueError(
            f"`data` must hold 3 images or more, but {data!r} holds {len(own)}. Give more images."
        )
    return DataSplit(train.first(train_images), validation, test.first(test_images))


def is_own(data: str) -> bool:
    """Say whether data are a file, a function or a folder of one's own, and not a data set known by its name."""
    return data not in (*_DIGITS, _SENTENCES, *_TORCHVISION)


def _own(data: str, folder: Path, seed: int, loss: Loss | None, metric: Metric | None) -> dict[str, Images]:
    """Read data of one's own."""
    arrays: dict[str, Arrays]
    function = as_function(data, "data")
    if function is not None:
        offered = {"seed": seed, "data_dir": str(folder)}
        arrays = parts_of_result(function.call(offered, "seed and data_dir"), data)
    elif data.endswith(".npz"):
        read = _from_file(own_file(data, folder))
        if isinstance(read, Images):
            return {"train": read}
        arrays = read
    elif data.endswith(".txt"):
        return _of_text(decoded(_content_of(own_file(data, folder)), data), data, loss, metric)
    elif data.endswith("/") or Path(data).is_dir():
        arrays = parts_of_folder(Path(data))
    elif data.endswith((".csv", ".tsv")):
        raise ValueError(
            f"`data` must be a function for a table such as {data!r}, for nothing says which of its columns are "
            "targets, or classes. Write my_data.py:splits, which reads it: docs/how_to/own_networks.md has one."
        )
    else:
        raise ValueError(
            f"`data` must be {', '.join((*_DIGITS, _SENTENCES, *_TORCHVISION))}, a file ending in .npz, a text "
            f"ending in .txt, a function as in my_data.py:splits or a folder of pictures, but is {data!r}. Choose "
            "one."
        )
    parts = {name: checked(arrays[name], data, loss, metric) for name in PARTS if name in arrays}
    check_classes(list(parts.values()), data)
    return parts


def _of_text(text: str, source: str, loss: Loss | None, metric: Metric | None) -> dict[str, Images]:
    if (loss is not None and loss != "cross-entropy") or metric == "r2":
        name, value = ("metric", metric) if metric == "r2" else ("loss", loss)
        raise ValueError(
            f"`{name}` must be of a classification for a text, each character being a class, but is {value!r}. Leave "
            "it out."
        )
    return {name: checked(part, source, loss, metric) for name, part in parts_of_text(text, source).items()}


def _with_objective(images: Images, loss: Loss | None, metric: Metric | None) -> Images:
    has_classes = not images.labels.is_floating_point()
    objective = objective_of(loss, metric, has_classes=has_classes)
    labels = images.labels.float() if objective.is_regression else images.labels
    return replace(images, labels=labels, objective=objective)


def _select(images: Images, index: Tensor) -> Images:
    return images.select(index)


def _checked(pixels: Tensor, labels: Tensor, source: str) -> Images:
    """Return float32 images, after refusing what would poison a training silently."""
    if pixels.ndim != 4 or labels.ndim != 1 or len(pixels) != len(labels):
        raise ValueError(
            f"`images` must be (number, channels, height, width) with as many `labels`, but {source} has "
            f"shapes {tuple(pixels.shape)} and {tuple(labels.shape)}. Reshape them."
        )
    bad = ~torch.isfinite(pixels)
    if bad.any():
        raise ValueError(
            f"`images` must be finite numbers, but {source} holds NaN or infinity in {int(bad.sum())} of "
            f"{bad.numel()} pixels. Remove or repair these images."
        )
    if len(pixels) and (pixels.min() < 0 or pixels.max() > 1):
        raise ValueError(
            f"`images` must have pixels in [0, 1], but {source} has [{pixels.min():g}, {pixels.max():g}]. "
            "Divide by the largest value."
        )
    if len(labels) and labels.min() < 0:
        raise ValueError(
            f"`labels` must be 0 or more, but {source} has [{labels.min()}, {labels.max()}]. "
            "Number the classes from 0."
        )
    return Images(pixels.float().contiguous(), labels.long())


def _digits(data: str) -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = torch.from_numpy(digits.images / 16).float().unsqueeze(1)  # its pixels are counts of 0 to 16
    if data == _LARGE_DIGITS:
        pixels = interpolate(pixels, size=(32, 32), mode="bilinear").expand(-1, 3, -1, -1)
    return _checked(pixels, torch.from_numpy(digits.target), "scikit-learn's digits")


def own_file(data: str, data_dir: Path | str) -> Path:
    """Return where a file of one's own lies: where its name says, or, if it has moved, in the folder of the data."""
    path, moved = Path(data), Path(data_dir) / Path(data).name
    return moved if not path.exists() and moved.exists() else path


def _content_of(path: Path) -> bytes:
    try:
        return read_regular(path, "data")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`data` must be an existing file, but there is no {path}. Check the path."
        ) from None


def _from_file(path: Path) -> Images | dict[str, Arrays]:
    try:
        arrays = read_arrays(_content_of(path))
    except ValueError as error:
        raise ValueError(
            f"`data` must be a readable numpy archive without pickled objects, but {path} is not: {error}. "
            "Save it with numpy.savez(path, images=..., labels=...)."
        ) from None
    if "images" not in arrays and any("inputs" in name for name in arrays):
        return parts_of_archive(arrays, str(path))
    lacks = [name for name in ("images", "labels") if name not in arrays]
    if lacks:
        raise ValueError(
            f"`data` must hold the arrays `images` and `labels`, but {path} lacks one: {lacks[0]}. "
            "Save it with numpy.savez(path, images=..., labels=...)."
        )
    images, labels = arrays["images"], arrays["labels"]
    for name, array, kinds in (("images", images, "fiub"), ("labels", labels, "iu")):
        if array.dtype.kind not in kinds:
            raise ValueError(
                f"`{name}` must be numbers, but {path} has the type {array.dtype}. Convert them."
            )
    # Rounding to float32 must not hide an infinity that float64 can hold: it turns into one, and is refused.
    with np.errstate(over="ignore"):
        pixels = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
    return _checked(pixels, torch.from_numpy(labels.astype(np.int64)), str(path))


def _from_torchvision(data: str, folder: Path, *, download: bool) -> tuple[Images, Images]:
    if data in _OF_IDX_FILES:
        raw = folder / _TORCHVISION[data] / "raw"
        files = [
            raw / f"{part}-{kind}-ubyte"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ]
        if not all(file.exists() for file in files):
            _loaded(data, folder, is_train=True, download=download)
        arrays = [(read_idx(images, 3), read_idx(labels, 1)) for images, labels in (files[:2], files[2:])]
    else:
        parts = (_loaded(data, folder, is_train=is_train, download=download) for is_train in (True, False))
        arrays = [
            (np.asarray(part.data), np.asarray(part.labels if data == "svhn" else part.targets))
            for part in parts
        ]
    train, test = (_of_bytes(data, pixels, labels) for pixels, labels in arrays)
    return train, test


def _of_bytes(data: str, values: "np.ndarray[Any, Any]", labels: "np.ndarray[Any, Any]") -> Images:
    pixels = torch.tensor(values)
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1)
    elif data == "cifar10":
        pixels = pixels.permute(0, 3, 1, 2)
    return _checked(pixels.float() / 255, torch.tensor(labels), data)


def _loaded(data: str, folder: Path, *, is_train: bool, download: bool) -> Any:
    """Let torchvision fetch a data set, compare it with its checksums, and read it."""
    import torchvision

    which = {"split": "train" if is_train else "test"} if data == "svhn" else {"train": is_train}
    stranger = next(
        (file for file in folder.rglob("*") if file.exists() and not (file.is_file() or file.is_dir())), None
    )
    if stranger is not None:
        raise ValueError(f"`data_dir` must hold files, but {stranger} is none. Remove it.")
    try:
        return getattr(torchvision.datasets, _TORCHVISION[data])(root=str(folder), download=download, **which)
    except Exception as error:  # torchvision stumbles in many ways over damaged files
        reason = str(error).strip().splitlines()[0] if download and str(error).strip() else ""
        raise FileNotFoundError(
            f"`data_dir` must be a folder with {data} in torchvision's layout, but {folder.resolve()} "
            f"has no (complete) {data}"
            + (f" and it could not be downloaded ({reason})" if download else "")
            + ". Give the folder with --data-dir"
            + (", or try again with a network." if download else ", or add --download.")
        ) from None


_LARGE_DIGITS: Final = "digits-32"
_DIGITS: Final = ("digits", _LARGE_DIGITS)
_SENTENCES: Final = "sentences"
_CHARACTERS: Final = 40_000  # assumed: half an hour of reading; some 30 steps of 32 windows in an epoch
_OF_IDX_FILES: Final = ("mnist", "fashion-mnist")
_TORCHVISION: Final = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "svhn": "SVHN",
}
