"""The stream of random numbers that one tile array draws from while it computes."""

import torch
from torch import Tensor
from typing_extensions import override

from devices.parts import Part, PartialGenerator, normal_, uniform_
from devices.streams import Name, generator

from ..distributed.images_of_process import ImagesOfProcess
from .memory_order import first_of, like, product_like


class NoiseStream:
    """A named stream of random numbers, drawn anew at every read.

    Two streams with the same seed and names give the same numbers in the same order; streams with other names
    are independent.

    Args:
        seed: The run's seed.
        names: What the stream is for, for example `"train", step, "conv1"`.
        part: The tiles that this process holds, where they are spread over several; None for all. The numbers of a
            tile are the same.
    """

    def __init__(self, seed: int, *names: Name, part: Part | None = None) -> None:
        self.seed = seed
        self.names = names
        self.part = part
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, torch_device: torch.device | str) -> torch.Generator:
        """Return the stream's generator on a torch device."""
        torch_device = torch.device(torch_device)
        if torch_device not in self._generators:
            fresh = generator(self.seed, *self.names, torch_device=torch_device)
            fresh = fresh if self.part is None else _with_part(fresh, self.part)
            self._generators.setdefault(torch_device, fresh)  # of several threads, the first one's counts
        return self._generators[torch_device]

    def of_part(self, part: Part | None) -> "NoiseStream":
        """Return this stream, from where it stands, as a process draws from it that holds a part of the tiles.

        Args:
            part: Which; None for all tiles.
        """
        stream = NoiseStream(self.seed, *self.names, part=part)
        for torch_device, state in self.state().items():
            stream.generator(torch_device).set_state(state)
        return stream

    @property
    def is_shared(self) -> bool:
        """Whether other processes draw from it, too, and all have to draw as much."""
        return self.part is not None

    def most(self, number: int) -> int:
        """Return the largest of what the processes say that share the tiles; the number itself for one process."""
        return number if self.part is None else int(self.part.most(number))

    def of_some(self, chosen: Tensor) -> "tuple[int, NoiseStream]":
        """Return how many vectors of each tile are read once more, at most, and what draws for them.

        Args:
            chosen: (tiles, vectors) which are.
        """
        return self.most(int(chosen.sum(dim=1).max())), self

    def state(self) -> dict[torch.device, Tensor]:
        """Return where the stream stands."""
        return {torch_device: drawn.get_state() for torch_device, drawn in self._generators.items()}

    def restore(self, state: dict[torch.device, Tensor]) -> None:
        """Go back, or forth, to where the stream stood."""
        for torch_device in list(self._generators):
            if torch_device in state:
                self._generators[torch_device].set_state(state[torch_device])
            else:
                del self._generators[torch_device]

    def normal_like(self, values: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Draw standard normal numbers in the shape and memory order of other values.

        Args:
            values: What the numbers will be added to.
            out: Memory of that shape and order to fill; fresh if None.
        """
        return normal_(torch.empty_like(values) if out is None else out, self.generator(values.device))

    def normal_of_products(self, values: Tensor, *, out: Tensor) -> Tensor:
        """Draw standard normal numbers for results of `product`, whose memory order follows from their number.

        Args:
            values: (tiles, batch, out), in that order, what the numbers will be added to.
            out: Memory of that shape and order to fill.
        """
        return self.normal_like(values, out=out)

    def uniform_like(self, values: Tensor) -> Tensor:
        """Draw numbers uniform in [0, 1) in the shape and memory order of other values."""
        return uniform_(torch.empty_like(values), self.generator(values.device))

    def __repr__(self) -> str:
        return f"NoiseStream({self.seed}, {', '.join(map(repr, self.names))})"


class NoiseOfImages(NoiseStream):
    """A stream as a process draws from it that computes some of the images of a batch.

    Every image gets the numbers that it would get if one process computed them all.

    Args:
        stream: The stream, which stands at the same place in every process.
        images: Which images this process computes.
        locations: Vectors that every image gives a tile; those of one location lie together.
    """

    def __init__(self, stream: NoiseStream, images: ImagesOfProcess, locations: int) -> None:
        super().__init__(stream.seed, *stream.names)
        self._generators = stream._generators  # one state
        self._images, self._locations = images, locations

    @property
    @override
    def is_shared(self) -> bool:
        return True

    @override
    def of_some(self, chosen: Tensor) -> tuple[int, NoiseStream]:
        own = int(chosen.sum(dim=1).max())
        if self._images.most(own) == 0:
            return 0, self
        whole = self._images.whole(chosen, self._locations)
        places = self._images.own((whole.cumsum(dim=1) - 1)[..., None], self._locations)[..., 0]
        width = max(own, 1)
        index = first_of(chosen, width)
        places = places.gather(1, index).clamp(min=0)
        return width, _NoiseOfSome(self, places, int(whole.sum(dim=1).max()))

    @override
    def normal_like(self, values: Tensor, *, out: Tensor | None = None) -> Tensor:
        whole = like(values, self._total(values))
        return self._own(super().normal_like(whole, out=whole), values, out)

    @override
    def normal_of_products(self, values: Tensor, *, out: Tensor) -> Tensor:
        whole = product_like(values, self._total(values))
        return self._own(super().normal_like(whole, out=whole), values, out)

    @override
    def uniform_like(self, values: Tensor) -> Tensor:
        return self._own(super().uniform_like(like(values, self._total(values))), values, None)

    def _total(self, values: Tensor) -> int:
        """Return of how many vectors of a tile all processes together draw for."""
        return self._images.of_all(values.shape[1])

    def _own(self, whole: Tensor, values: Tensor, out: Tensor | None) -> Tensor:
        own = self._images.own(whole, self._locations)
        return (torch.empty_like(values) if out is None else out).copy_(own)


class _NoiseOfSome(NoiseOfImages):
    """Of some vectors only, which a tile reads once more.

    Args:
        stream: Of all vectors.
        places: (tiles, own) where the own ones lie among those of all processes.
        number: Of those, for each tile.
    """

    def __init__(self, stream: NoiseOfImages, places: Tensor, number: int) -> None:
        super().__init__(stream, stream._images, stream._locations)
        self._places, self._number = places, number

    @override
    def _total(self, values: Tensor) -> int:
        return self._number

    @override
    def _own(self, whole: Tensor, values: Tensor, out: Tensor | None) -> Tensor:
        own = whole.gather(1, self._places[..., None].expand(-1, -1, whole.shape[2]))
        return (torch.empty_like(values) if out is None else out).copy_(own)


def _with_part(fresh: torch.Generator, part: Part) -> PartialGenerator:
    partial = PartialGenerator(device=fresh.device)
    partial.set_state(fresh.get_state())
    partial.part = part
    return partial
