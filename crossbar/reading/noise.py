"""The stream of random numbers that one tile array draws from while it computes."""

import torch
from torch import Tensor

from devices.streams import Name, generator


class NoiseStream:
    """A named stream of random numbers, drawn anew at every read.

    Two streams with the same seed and names give the same numbers in the same order; streams with other names
    are independent.

    Args:
        seed: The run's seed.
        names: What the stream is for, for example `"train", step, "conv1"`.
    """

    def __init__(self, seed: int, *names: Name) -> None:
        self.seed = seed
        self.names = names
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, torch_device: torch.device | str) -> torch.Generator:
        """Return the stream's generator on a torch device."""
        torch_device = torch.device(torch_device)
        if torch_device not in self._generators:
            fresh = generator(self.seed, *self.names, torch_device=torch_device)
            self._generators.setdefault(torch_device, fresh)  # of several threads, the first one's counts
        return self._generators[torch_device]

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
        drawn = torch.empty_like(values) if out is None else out
        # torch draws 8 times slower across the memory order than along it.
        (drawn.transpose(-1, -2) if _is_flipped(drawn) else drawn).normal_(
            generator=self.generator(values.device)
        )
        return drawn

    def uniform_like(self, values: Tensor) -> Tensor:
        """Draw numbers uniform in [0, 1) in the shape and memory order of other values."""
        drawn = torch.empty_like(values)
        (drawn.transpose(-1, -2) if _is_flipped(drawn) else drawn).uniform_(
            generator=self.generator(values.device)
        )
        return drawn

    def __repr__(self) -> str:
        return f"NoiseStream({self.seed}, {', '.join(map(repr, self.names))})"


def _is_flipped(values: Tensor) -> bool:
    """Tell whether the last two axes lie in memory in the other order."""
    return values.dim() >= 2 and not values.is_contiguous() and values.transpose(-1, -2).is_contiguous()
