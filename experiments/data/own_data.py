"""Data of one's own, of any shape: arrays of a .npz file, or what a function returns.

numbers        float32, as they are: images, signals, tables, sequences of vectors
uint8          images as files have them: divided by 255
other integers kept as int64: tokens, for networks that begin with an embedding
targets        integers are classes 0 ... n-1 (one, or one for each position of a sequence); fractions are those
               of a regression, one or several for each example
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from .examples import Images
from .objective import objective_of
from .objective_names import Loss, Metric

PARTS: Final[tuple[str, ...]] = ("train", "validation", "test")
_ARRAY_NAMES: Final = "`inputs` and `labels` (or `targets`), if you like also `test_inputs` and `test_labels`"
# Also `validation_inputs` and `validation_labels`.
_BYTE: Final = 255
_RETURNS: Final = (
    "Return (inputs, labels), or (train, test) or (train, validation, test) with pairs or torch Datasets"
)
Arrays = tuple[Any, Any]


def parts_of_archive(arrays: Mapping[str, Any], source: str) -> dict[str, Arrays]:
    """Return the parts of a file of arrays, "train" and perhaps "validation" and "test".

    Args:
        arrays: By name.
        source: What errors call the file.

    Raises:
        ValueError: If names are missing.
    """
    parts = {}
    for part, prefix in (("train", ""), ("validation", "validation_"), ("test", "test_")):
        labels = next((name for name in ("labels", "targets") if f"{prefix}{name}" in arrays), None)
        has_inputs = f"{prefix}inputs" in arrays
        if has_inputs and labels is not None:
            parts[part] = arrays[f"{prefix}inputs"], arrays[f"{prefix}{labels}"]
        elif has_inputs or labels is not None or not prefix:
            lacks = f"{prefix}{'labels' if has_inputs else 'inputs'}"
            raise ValueError(
                f"`data` must hold the arrays {_ARRAY_NAMES}, but {source} lacks {lacks}. Add it."
            )
    return parts


def parts_of_result(returned: Any, source: str) -> dict[str, Arrays]:
    """Return the parts of what a function returned: "train", perhaps "validation" and "test".

    Args:
        returned: A pair of arrays, or two or three pairs or Datasets, or a table of them by these names.
        source: What errors call the function.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(returned, Mapping):
        strange = set(returned) - set(PARTS)
        if strange or "train" not in returned:
            raise ValueError(
                f"`data` must return train, validation and test, but {source} has {set(returned)}."
            )
        return {part: _pair(returned[part], source) for part in PARTS if part in returned}
    if isinstance(returned, Sequence) and len(returned) in (2, 3):
        if not any(_is_part(part) for part in returned):
            return {"train": _pair(returned, source)}
        names = PARTS if len(returned) == 3 else ("train", "test")
        return {name: _pair(part, source) for name, part in zip(names, returned, strict=True)}
    if _is_part(returned):
        return {"train": _pair(returned, source)}
    raise ValueError(
        f"`data` must return examples with labels, but {source} returned a {type(returned).__name__}. {_RETURNS}."
    )


def _is_part(value: Any) -> bool:
    """Say whether a value is examples with labels, and not examples or labels alone."""
    if isinstance(value, tuple | list):
        return len(value) == 2 and not any(np.isscalar(item) for item in value)
    is_array = isinstance(value, np.ndarray | Tensor)
    return not is_array and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def _pair(part: Any, source: str) -> Arrays:
    if isinstance(part, tuple | list):
        if len(part) == 2:
            return part[0], part[1]
    elif _is_part(part):
        examples = [part[i] for i in range(len(part))]
        if examples and all(isinstance(example, tuple | list) and len(example) == 2 for example in examples):
            try:
                inputs = np.stack([_of_one(x) for x, _ in examples])
                return inputs, np.stack([np.asarray(y) for _, y in examples])
            except ValueError:
                shapes = sorted({np.shape(_of_one(x)) for x, _ in examples})
                raise ValueError(
                    f"`data` must have inputs of one shape, but {source} has {shapes[0]} and {shapes[-1]}. Resize "
                    "them."
                ) from None
    raise ValueError(
        f"`data` must return examples with labels, but {source} returned a {type(part).__name__} among them. "
        f"{_RETURNS}."
    )


def _of_one(x: Any) -> "np.ndarray[Any, Any]":
    """Return an example as an array; a picture of PIL with its channels first."""
    array = np.asarray(x)
    if hasattr(x, "getbands"):
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return array


def checked(part: Arrays, source: str, loss: Loss | None, metric: Metric | None) -> Images:
    """Make examples of arrays, after refusing what would poison a training silently.

    Args:
        part: Inputs (number, ...) and labels (number, ...).
        source: What errors call them.
        loss: What was asked for; decides whether whole numbers are classes.
        metric: What was asked for.

    Raises:
        ValueError: If types, shapes or values cannot be trained on.
    """
    inputs, labels = (
        _array(name, value, source) for name, value in zip(("inputs", "labels"), part, strict=True)
    )
    if inputs.ndim < 2 or labels.ndim < 1 or len(inputs) != len(labels):
        raise ValueError(
            f"`inputs` must be (number, ...) with as many `labels`, but {source} has shapes {inputs.shape} and "
            f"{labels.shape}. Reshape them."
        )
    if not len(inputs):
        raise ValueError(f"`data` must hold examples, but {source} holds none. Give some.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    for name, array in (("inputs", inputs), ("labels", labels)):
        bad = ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(1, dtype=bool)
        if bad.any():
            example = int(np.argwhere(bad)[0][0])
            raise ValueError(
                f"`{name}` must be finite numbers, but {source} holds NaN or infinity in {int(bad.sum())} of "
                f"{bad.size}, the first in example {example}. Remove or repair these examples."
            )
    objective = objective_of(loss, metric, has_classes=labels.dtype.kind != "f")
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    if objective.is_regression:
        y = y.float()
    elif y.min() < 0:
        raise ValueError(
            f"`labels` must be classes 0, 1, ..., but {source} has {int(y.min())}. Number the classes from 0; for a "
            "regression use --loss mse."
        )
    return Images(x, y, objective)


def check_classes(parts: Sequence[Images], source: str) -> None:
    """Refuse classes that are not numbered through, and parts whose examples have other shapes.

    Raises:
        ValueError: If so.
    """
    first = parts[0]
    for part in parts[1:]:
        for name, here, there in (
            ("inputs", part.pixels.shape[1:], first.pixels.shape[1:]),
            ("labels", part.labels.shape[1:], first.labels.shape[1:]),
        ):
            if here != there:
                raise ValueError(
                    f"`{name}` must have one shape in all parts, but {source} has {tuple(there)} and {tuple(here)}. "
                    "Reshape them."
                )
    if first.objective.is_regression:
        return
    counts = torch.bincount(torch.cat([part.labels.flatten() for part in parts]))
    absent = (counts == 0).nonzero().flatten().tolist()
    if absent:
        raise ValueError(
            f"`labels` must be numbered 0 to n-1, each class with examples, but {source} has up to {len(counts) - 1} "
            f"and none of {', '.join(map(str, absent[:5]))}. Number the classes through; for a regression use --loss "
            "mse."
        )
    if len(counts) < 2:
        raise ValueError(f"`labels` must be of two classes or more, but {source} has one. Give more.")


def _array(name: str, value: Any, source: str) -> "np.ndarray[Any, Any]":
    try:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except ValueError:
        raise ValueError(
            f"`{name}` must be of one shape for all examples, but those of {source} differ. Cut or fill them up."
        ) from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"`{name}` must be numbers, but {source} has the type {array.dtype}. Convert them.")
    if name == "inputs" and array.dtype == np.uint8:
        return array.astype(np.float32) / _BYTE
    if array.dtype.kind == "f" or (name == "inputs" and array.dtype.kind == "b"):
        with np.errstate(over="ignore"):  # an infinity of float32 is refused afterwards
            return np.ascontiguousarray(array, dtype=np.float32)
    return np.ascontiguousarray(array, dtype=np.int64)
