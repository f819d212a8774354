"""What a network answered, image by image, and how two networks are compared."""

import hashlib
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from crossbar import age_chip, program_chip, seed_noise
from devices import Faults
from devices.streams import derive_seed
from devices.units import Dimensionless, Seconds

from ...data.datasets import Images
from ...runs.run import Run
from ...support.json_files import read_json
from ...support.statistics import Difference, Mean, crossed_difference
from ...support.typed_values import typed

_BATCH: Final = 256
_DIGEST: Final = re.compile("[0-9a-f]{16}")


@final
@dataclass(frozen=True)
class Outcome:
    """What a network answered.

    Attributes:
        scores: Of every test image, in an order that the images alone decide.
        digest: Of every output.
        images: Digest of the images.
    """

    scores: list[Dimensionless]
    digest: str
    images: str

    def __post_init__(self) -> None:
        digests = all(_DIGEST.fullmatch(text) for text in (self.digest, self.images))
        if not (digests and len(self.scores) > 1 and all(map(math.isfinite, self.scores))):
            raise ValueError("an outcome must be finite scores of two images or more and digests, but is not")

    @property
    def accuracy(self) -> Dimensionless:
        """Mean over the images."""
        return statistics.fmean(self.scores)

    @classmethod
    def read(cls, file: Path) -> "Outcome":
        """Read one that was written as JSON.

        Raises:
            ValueError: If it is damaged.
        """
        try:
            return typed(cls, read_json(file))
        except ValueError as error:
            if str(error).startswith("`"):
                raise
            raise ValueError(
                f"`run` must hold undamaged outcomes, but {file} is damaged: {error}. Delete it."
            ) from None


def change_between(before: Sequence[Outcome], after: Sequence[Outcome]) -> Difference:
    """Return the mean of what was gained, chip by chip (or seed by seed) and image by image.

    Chips that answered the same images: both are samples, and crossed. Where every seed has test images of its own
    the means over them differ by seeds and images alike, and Student's t over the seeds counts both.

    Args:
        before: The outcomes before a change.
        after: Those after it, in the same order.
    """
    gained = [np.array(b.scores) - np.array(a.scores) for a, b in zip(before, after, strict=True)]
    if len({outcome.images for outcome in (*before, *after)}) == 1:
        return crossed_difference(np.stack(gained))
    mean = Mean.of_all([float(own.mean()) for own in gained])
    return Difference(mean.value, mean.error or 0.0, mean.reach or 0.0)


@torch.no_grad()
def read_network(model: nn.Module, images: Images) -> Outcome:
    """Let a network answer test images, its noise as it is seeded."""
    model.eval()
    scores: Tensor = torch.cat([model(pixels) for pixels in torch.split(images.pixels, _BATCH)])
    objective = images.objective
    each = objective.each_score_of(scores, images.labels, objective.reference_of(images.labels))
    contents = [pixels.numpy().tobytes() for pixels in images.pixels]
    order = sorted(range(len(contents)), key=contents.__getitem__)
    return Outcome(
        each[order].tolist(), _digest([scores.numpy().tobytes()]), _digest([contents[i] for i in order])
    )


def read_chip(
    model: nn.Module,
    run: Run,
    images: Images,
    noise_model: Any,
    chip: int,
    time: Seconds,
    *,
    faults: Faults | None,
    compensation: Any,
) -> Outcome:
    """Program a chip and let it answer; the same chip has the same devices and noises whatever else is changed.

    Args:
        model: The trained network.
        run: Whose seed names the chips.
        images: The test images.
        noise_model: How devices are written and age.
        chip: Its number.
        time: Since programming.
        faults: Which devices do not work, or None.
        compensation: Of drift.
    """
    seed_noise(model, run.seed, "does it matter", chip)
    seed = derive_seed(run.seed, "chip", chip)
    program_chip(model, noise_model, seed=seed, compensation=compensation, faults=faults)
    age_chip(model, time, seed=seed)
    return read_network(model, images)


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
