"""In which memory order a product leaves its results."""

from typing import Final

# torch's CPU product is about 3 times slower with fewer than 16 numbers (one AVX-512 register) in the last axis
# of its result. Longer batches go there, which is also where the patches of an image have them.
FEW_VECTORS: Final = 16


def goes_last(vectors: int) -> bool:
    """Tell whether the vectors lie innermost in memory in what a product computes of so many of them."""
    return vectors >= FEW_VECTORS
