"""Random streams derived by name from one seed.

A stream is named by what it is for (`"chip", 3, "conv1", "programming"`), never by the order of use: adding
a layer, skipping a read or changing the batch does not reshuffle the noise of everything else.
"""

import hashlib

import torch

Name = str | int


def derive_seed(seed: int, *names: Name) -> int:
    """Turn a seed and the names of a stream into the seed of that stream.

    Args:
        seed: The run's seed, any integer.
        names: What the stream is for. `1` and `"1"` are different names.

    Returns:
        An integer in [0, 2**63).

    Example:
        >>> derive_seed(0, "chip", 1) == derive_seed(0, "chip", 1)
        True
        >>> derive_seed(0, "chip", 1) == derive_seed(0, "chip", 2)
        False
    """
    digest = hashlib.blake2b(repr((int(seed), *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def draw_seeds(number: int, rng: torch.Generator) -> list[int]:
    """Draw the seeds of compiled loops, or of streams on another torch device.

    Args:
        number: How many.
        rng: A generator of the CPU.
    """
    seeds: list[int] = torch.randint(2**62, (number,), generator=rng).tolist()
    return seeds


def generator(seed: int, *names: Name, torch_device: torch.device | str = "cpu") -> torch.Generator:
    """Make the generator of a named stream.

    Args:
        seed: The run's seed.
        names: What the stream is for.
        torch_device: Where the numbers are drawn. Streams of different torch devices differ.

    Returns:
        A generator, fresh at the start of its stream.
    """
    return torch.Generator(device=torch_device).manual_seed(derive_seed(seed, *names))
