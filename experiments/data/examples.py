"""Labelled examples, whole in memory, and what is known of them: the shape of one, how many, how many classes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from .objective import Objective

_CLASSIFICATION: Final = Objective()
Shape = tuple[int, ...]


@final
@dataclass(frozen=True)
class Images:
    """Images, or examples of any other shape, with their labels.

    Attributes:
        pixels: (number, channels, height, width), float32 in [0, 1]; of one's own data (number, ...), float32, or
            int64 for tokens.
        labels: (number,), int64 from 0: classes; (number, positions) for one each; float32 for a regression.
        objective: What a training on them lowers, and what is counted.
    """

    pixels: Tensor
    labels: Tensor
    objective: Objective = _CLASSIFICATION

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def to(self, torch_device: torch.device) -> "Images":
        """Return the images on a torch device; themselves if they are there already."""
        if self.pixels.device == torch_device:
            return self
        return replace(self, pixels=self.pixels.to(torch_device), labels=self.labels.to(torch_device))

    def first(self, number: int | None) -> "Images":
        """Return the first images, or all."""
        return self if number is None else self.select(slice(number))

    def select(self, index: Tensor | slice) -> "Images":
        """Return some of the images."""
        return Images(self.pixels[index], self.labels[index], self.objective)

    def joined_with(self, *others: "Images") -> "Images":
        """Return these images and others after them."""
        parts = (self, *others)
        pixels, labels = torch.cat([p.pixels for p in parts]), torch.cat([p.labels for p in parts])
        return replace(self, pixels=pixels, labels=labels)


@final
@dataclass(frozen=True)
class Facts:
    """What is known of data before a network sees them.

    Attributes:
        image_shape: Shape of one input: channels, height and width of an image.
        images: Number of training examples; None if only the shape is known, as for all that follows.
        classes: Number of classes; None for a regression.
        target_shape: Shape of the labels of one example: () for one, (positions,) or (targets,) for several.
        has_tokens: Whether inputs are whole numbers to be looked up.
        tokens: How many different ones there may be, 0 ... n-1; None if there are none, or their number is not known.
        is_regression: Whether labels are numbers to come close to.
    """

    image_shape: Shape
    images: int | None = None
    classes: int | None = None
    target_shape: Shape = ()
    has_tokens: bool = False
    is_regression: bool = False
    tokens: int | None = None

    @property
    def outputs(self) -> int:
        """Numbers that a network has to give for an example, or for a position of it."""
        if self.classes is not None:
            return self.classes
        size = 1
        for side in self.target_shape:
            size *= side
        return size

    def example(self, number: int = 2) -> Tensor:
        """Return a batch of zeros."""
        return torch.zeros(number, *self.image_shape, dtype=torch.int64 if self.has_tokens else torch.float32)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.image_shape))
        if self.classes is None:
            what = f"{self.outputs} target{'s' * (self.outputs != 1)}"
        else:
            what = f"{self.classes} classes"
        return f"inputs of {shape}, {what}"


def _tokens_of(inputs: Sequence[Tensor]) -> int | None:
    """Count tokens from 0; None where negative numbers show that there are none."""
    if min(int(x.min()) for x in inputs) < 0:
        return None
    return 1 + max(int(x.max()) for x in inputs)


def facts_of(known: "Facts | Shape") -> Facts:
    """Return what is known of data of which perhaps only the shape of one input is."""
    return known if isinstance(known, Facts) else Facts(known)


@final
@dataclass(frozen=True)
class DataSplit:
    """The images of one run, no image in two parts."""

    train: Images
    validation: Images
    test: Images

    @property
    def image_shape(self) -> Shape:
        """Shape of an input: channels, height and width of an image."""
        return tuple(self.train.pixels.shape[1:])

    @property
    def objective(self) -> Objective:
        """What a training lowers, and what is counted."""
        return self.train.objective

    @property
    def facts(self) -> Facts:
        """What is known of the images before a network sees them."""
        parts = (self.train, self.validation, self.test)
        is_regression = self.objective.is_regression
        has_tokens = not self.train.pixels.is_floating_point()
        return Facts(
            image_shape=self.image_shape,
            images=len(self.train),
            classes=None if is_regression else 1 + max(int(p.labels.max()) for p in parts if len(p)),
            target_shape=tuple(self.train.labels.shape[1:]),
            has_tokens=has_tokens,
            is_regression=is_regression,
            tokens=_tokens_of([p.pixels for p in parts if len(p)]) if has_tokens else None,
        )

    def fingerprint(self) -> str:
        """Return a hash of every pixel and label, to notice when the data under a run have changed."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.validation, self.test):
            digest.update(part.pixels.numpy().tobytes())
            digest.update(part.labels.numpy().tobytes())
        return digest.hexdigest()
