"""The images of a batch that one process computes, where the batch is spread over processes."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import final

from . import communication


@final
@dataclass(frozen=True)
class ImagesOfProcess:
    """An equal share of every batch: the images of the first process come first.

    Attributes:
        processes: How many there are.
        rank: Which of them this is.
    """

    processes: int
    rank: int

    @classmethod
    def here(cls) -> "ImagesOfProcess":
        """Return the share of this process."""
        return cls(communication.processes(), communication.rank())

    def own(self, whole: Tensor, locations: int) -> Tensor:
        """Return what belongs to the own images of (tiles, locations * images, n), location by location."""
        by_image = whole.unflatten(1, (locations, self.processes, -1))
        return by_image[:, :, self.rank].flatten(1, 2)

    def total(self, own: Tensor) -> Tensor:
        """Return the sum over all processes."""
        summed = own.clone()
        dist.all_reduce(summed)
        return summed

    def most(self, number: int) -> int:
        """Return the largest of what all processes say."""
        return int(communication.most(number))

    def gather(self, own: Tensor) -> Tensor:
        """Return the vectors of all images, (vectors, ...), image by image, from those of the own ones.

        Raises:
            ValueError: If another process has another number of vectors.
        """
        sizes = communication.everyones(len(own))
        if len(set(sizes)) > 1:
            raise ValueError(
                "`x` must have as many images in every process, but they give "
                f"{[int(size) for size in sizes]} vectors. Leave images out, or use another batch size."
            )
        starts = tuple(len(own) * number for number in range(self.processes + 1))
        return communication.gather(own, starts)

    def like_all(self, own: Tensor) -> Tensor:
        """Return memory for (tiles, vectors of all images, n), in the order in which torch lays out the own ones."""
        strides = torch.empty_like(own).stride()
        order = sorted(range(3), key=lambda axis: -strides[axis])
        sizes = (own.shape[0], own.shape[1] * self.processes, own.shape[2])
        whole = own.new_empty([sizes[axis] for axis in order])
        return whole.permute([order.index(axis) for axis in range(3)])

    def product_of_all(self, own: Tensor, vectors_go_last: bool) -> Tensor:
        """Return memory for (tiles, vectors of all images, n), as a product of all of them would leave it.

        Args:
            own: (tiles, own vectors, n).
            vectors_go_last: Whether the vectors lie innermost then.
        """
        tiles, vectors, size = own.shape[0], own.shape[1] * self.processes, own.shape[2]
        if vectors_go_last:
            return own.new_empty(tiles, size, vectors).transpose(1, 2)
        return own.new_empty(tiles, vectors, size)
