"""Folders of pictures: one folder for each class, in folders train and test if the test is given."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from .own_data import Arrays

_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_PARTS: Final = {"train": "train", "test": "test", "val": "validation", "validation": "validation"}
_GREY: Final = ("1", "L", "I", "I;16", "F")


def parts_of_folder(folder: Path) -> dict[str, Arrays]:
    """Read the pictures of a folder with a folder for each class; classes are numbered by their names in order.

    Grey pictures have one channel; where one has colours, all have three.

    Args:
        folder: With a folder for each class, or with such folders in train, test and, if you like, validation.

    Returns:
        Pixels (number, channels, height, width) of 0 to 255 and classes, by part.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no classes, a file is no picture, or pictures differ in size.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`data` must be an existing folder, but there is no {folder}. Check the path."
        )
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    parts = {_PARTS[name]: folder / name for name in names if name in _PARTS}
    if not parts:
        parts = {"train": folder}
    if "train" not in parts or (len(parts) < len(names) and parts["train"] != folder):
        raise ValueError(
            f"`data` must be a folder of classes, or hold train, test and nothing else, but {folder} holds "
            f"{', '.join(names[:6])}. Move the others."
        )
    classes = classes_of(parts["train"])
    pictures = {part: _read(path, classes) for part, path in parts.items()}
    has_colours = any(array.shape[0] == 3 for arrays, _ in pictures.values() for array, _ in arrays)
    return {part: (_stacked(arrays, has_colours), labels) for part, (arrays, labels) in pictures.items()}


def classes_of(folder: Path) -> list[str]:
    """Return the names of the classes, the folders of a folder, in their order.

    Raises:
        ValueError: If there are none.
    """
    classes = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(classes) < 2:
        raise ValueError(
            f"`data` must hold a folder for each class, two or more, but {folder} holds {len(classes)}. Sort the "
            "pictures into folders."
        )
    return classes


Picture = tuple["np.ndarray[Any, Any]", Path]


def _read(folder: Path, classes: list[str]) -> tuple[list[Picture], "np.ndarray[Any, Any]"]:
    from PIL import Image, UnidentifiedImageError

    arrays, labels = [], []
    for number, name in enumerate(classes):
        files = sorted(f for f in (folder / name).rglob("*") if f.suffix.lower() in _ENDINGS)
        if not files:
            raise ValueError(
                f"`data` must hold pictures of every class ({', '.join(_ENDINGS[:3])}, ...), but {folder / name} "
                "holds none. Add some, or remove the folder."
            )
        for file in files:
            try:
                with Image.open(file) as picture:
                    is_grey = picture.mode in _GREY
                    array = np.asarray(picture.convert("L" if is_grey else "RGB"))
            except (UnidentifiedImageError, OSError) as error:
                raise ValueError(
                    f"`data` must hold pictures, but {file} cannot be read as one ({error}). Remove it."
                ) from None
            arrays.append((array[None] if is_grey else array.transpose(2, 0, 1), file))
            labels.append(number)
    return arrays, np.array(labels)


def _stacked(pictures: list[Picture], has_colours: bool) -> "np.ndarray[Any, Any]":
    size, first = pictures[0][0].shape[1:], pictures[0][1]
    for array, file in pictures:
        if array.shape[1:] != size:
            raise ValueError(
                f"`data` must hold pictures of one size, but {first} is {size[1]} x {size[0]} and {file} is "
                f"{array.shape[2]} x {array.shape[1]}. Resize them."
            )
    channels = 3 if has_colours else 1
    return np.stack([np.broadcast_to(array, (channels, *size)) for array, _ in pictures])
