"""The images of a batch that one process computes, where the batch is spread over processes."""

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, pairwise

import torch.distributed as dist
from torch import Tensor
from typing_extensions import final

from . import communication
from .traffic import Traffic


@final
@dataclass(frozen=True)
class ImagesOfProcess:
    """A contiguous part of every batch: the images of the first process come first.

    Attributes:
        starts: First image of every process in the batch, and the number of all at the end; (0, 1, ..., processes)
            stands for equal parts of a batch of any size.
        rank: Which process this is.
        traffic: What this process receives for the layer.
    """

    starts: tuple[int, ...]
    rank: int
    traffic: Traffic = field(default_factory=Traffic, compare=False)

    @classmethod
    def here(cls) -> "ImagesOfProcess":
        """Return the share of this process in batches of equal parts."""
        return cls.equal(communication.processes(), communication.rank())

    @classmethod
    def equal(cls, processes: int, rank: int) -> "ImagesOfProcess":
        """Return an equal part of batches of any size."""
        return cls(tuple(range(processes + 1)), rank)

    def in_batch_of(self, images: int) -> "ImagesOfProcess":
        """Return the share of this process in a batch of so many images, in near-equal parts."""
        return replace(self, starts=communication.shares(images, self.processes))

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return len(self.starts) - 1

    @property
    def images(self) -> slice:
        """Which images of the batch are those of this process."""
        return slice(self.starts[self.rank], self.starts[self.rank + 1])

    def of_all(self, number: int) -> int:
        """Return how many there are in the whole batch of what the own images have so many of."""
        return number * self.starts[-1] // (self.images.stop - self.images.start)

    def own(self, whole: Tensor, locations: int) -> Tensor:
        """Return what belongs to the own images of (tiles, locations * images, n), location by location."""
        by_image = whole.unflatten(1, (locations, self.starts[-1], -1))
        return by_image[:, :, self.images].flatten(1, 3)

    def whole(self, own: Tensor, locations: int) -> Tensor:
        """Return (tiles, locations * images) of all images, from that of the own ones, location by location."""
        by_image = own.unflatten(1, (locations, self.images.stop - self.images.start, -1))
        note = partial(self.traffic.note, "forward")
        return communication.gather(by_image, self.starts, axis=2, note=note).flatten(1)

    def total(self, own: Tensor) -> Tensor:
        """Return the sum over all processes."""
        summed = own.clone()
        dist.all_reduce(summed)
        self.traffic.note("forward", communication.received_of_sum(own, self.processes))
        return summed

    def most(self, number: int) -> int:
        """Return the largest of what all processes say."""
        self.traffic.note("forward", communication.BYTES_OF_A_NUMBER * (self.processes - 1))
        return int(communication.most(number))

    def gather(self, own: Tensor) -> Tensor:
        """Return the vectors of all images, (vectors, ...), image by image, from those of the own ones.

        Raises:
            ValueError: If another process has not as many for each of its images.
        """
        sizes = [int(size) for size in communication.everyones(len(own))]
        images = [stop - start for start, stop in pairwise(self.starts)]
        if any(
            size * self.starts[-1] != sum(sizes) * number for size, number in zip(sizes, images, strict=True)
        ):
            are_equal = len(set(images)) == 1
            asked = "as many images in every process" if are_equal else f"{images} images in the processes"
            raise ValueError(
                f"`x` must have {asked}, but they give {sizes} vectors. Take the parts that `own_images` names."
            )
        self.traffic.note("update", communication.BYTES_OF_A_NUMBER * (self.processes - 1))
        note = partial(self.traffic.note, "update")
        return communication.gather(own, tuple(accumulate(sizes, initial=0)), note=note)
