"""Labelled images, whole in memory, split into training, validation and test images by seed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from devices.files import read_arrays, read_regular
from devices.streams import generator

from .idx_files import read_idx

# assumed: 10 % to watch training by; where a set has no test images of its own, 20 % of it for the test,
# which leaves 359 of the 1,797 digits: one image is 0.3 points of accuracy.
VALIDATION_FRACTION: Final = 0.1
TEST_FRACTION: Final = 0.2
CLASSES: Final = 10


@final
@dataclass(frozen=True)
class Images:
    """Images with their labels.

    Attributes:
        pixels: (number, channels, height, width), float32 in [0, 1].
        labels: (number,), int64 in [0, 10).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def to(self, torch_device: torch.device) -> "Images":
        """Return the images on a torch device; themselves if they are there already."""
        if self.pixels.device == torch_device:
            return self
        return Images(self.pixels.to(torch_device), self.labels.to(torch_device))

    def first(self, number: int | None) -> "Images":
        """Return the first images, or all."""
        return self if number is None else Images(self.pixels[:number], self.labels[:number])


@final
@dataclass(frozen=True)
class DataSplit:
    """The images of one run, no image in two parts."""

    train: Images
    validation: Images
    test: Images

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width

    def fingerprint(self) -> str:
        """Return a hash of every pixel and label, to notice when the data under a run have changed."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.validation, self.test):
            digest.update(part.pixels.numpy().tobytes())
            digest.update(part.labels.numpy().tobytes())
        return digest.hexdigest()


def load_data(
    data: str,
    data_dir: Path | str = "data",
    *,
    seed: int,
    download: bool = False,
    train_images: int | None = None,
    test_images: int | None = None,
) -> DataSplit:
    """Load a data set and split it.

    Sets with test images of their own (mnist, fashion-mnist, cifar10, svhn) keep them, in an order drawn by
    seed; the others are split by seed. Drawn once per seed, from the stream "split".

    Args:
        data: "digits", "mnist", "fashion-mnist", "cifar10", "svhn", or a file ending in .npz with `images`
            and `labels`.
        data_dir: Folder of the data sets, in torchvision's layout.
        seed: The run's seed.
        download: Fetch a missing data set.
        train_images: Keep this many training images.
        test_images: Keep this many test images.

    Returns:
        The images.

    Raises:
        FileNotFoundError: If the data are not there.
        ValueError: If there is no such data set, or it does not hold pixels in [0, 1] and labels below 10.
    """
    if data == "digits":
        own, test = _digits(), None
    elif data.endswith(".npz"):
        own, test = _from_file(own_file(data, data_dir)), None
    elif data in _TORCHVISION:
        own, test = _from_torchvision(data, Path(data_dir), download=download)
    else:
        raise ValueError(
            f"`data` must be digits, {', '.join(_TORCHVISION)} or a file ending in .npz, but is {data!r}. "
            "Choose one."
        )
    order = torch.randperm(len(own), generator=generator(seed, "split", "own"))
    if test is None:
        size = max(1, round(TEST_FRACTION * len(own)))
        test, order = _select(own, order[:size]), order[size:]
    else:
        test = _select(test, torch.randperm(len(test), generator=generator(seed, "split", "test")))
    size = max(1, round(VALIDATION_FRACTION * len(order)))
    validation, train = _select(own, order[:size]), _select(own, order[size:])
    if len(train) == 0:
        raise ValueError(
            f"`data` must hold 3 images or more, but {data!r} holds {len(own)}. Give more images."
        )
    return DataSplit(train.first(train_images), validation, test.first(test_images))


def _select(images: Images, index: Tensor) -> Images:
    return Images(images.pixels[index], images.labels[index])


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
    if len(labels) and (labels.min() < 0 or labels.max() >= CLASSES):
        raise ValueError(
            f"`labels` must lie in [0, {CLASSES - 1}], but {source} has [{labels.min()}, {labels.max()}]. "
            "Number the classes from 0."
        )
    return Images(pixels.float().contiguous(), labels.long())


def _digits() -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = torch.from_numpy(digits.images / 16).float().unsqueeze(1)  # its pixels are counts of 0 to 16
    return _checked(pixels, torch.from_numpy(digits.target), "scikit-learn's digits")


def own_file(data: str, data_dir: Path | str) -> Path:
    """Return where a file of one's own lies: where its name says, or, if it has moved, in the folder of the data."""
    path, moved = Path(data), Path(data_dir) / Path(data).name
    return moved if not path.exists() and moved.exists() else path


def _from_file(path: Path) -> Images:
    try:
        content = read_regular(path, "data")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"`data` must be an existing file, but there is no {path}. Check the path."
        ) from None
    try:
        arrays = read_arrays(content)
    except ValueError as error:
        raise ValueError(
            f"`data` must be a readable numpy archive without pickled objects, but {path} is not: {error}. "
            "Save it with numpy.savez(path, images=..., labels=...)."
        ) from None
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


_OF_IDX_FILES: Final = ("mnist", "fashion-mnist")
_TORCHVISION: Final = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "svhn": "SVHN",
}
