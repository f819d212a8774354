"""What processes send each other, by torch.distributed: parts of tensors, of unequal size, and agreed numbers."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor

from devices.units import Dimensionless


def processes() -> int:
    """Return how many processes work together; 1 unless `torch.distributed` was started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them."""
    return dist.get_rank() if processes() > 1 else 0


def shares(number: int, among: int) -> tuple[int, ...]:
    """Return where each of near-equal shares starts, and the number at the end.

    Example:
        >>> shares(10, 4)
        (0, 2, 5, 7, 10)
    """
    return tuple(number * share // among for share in range(among + 1))


def gather(
    own: Tensor, starts: tuple[int, ...], axis: int = 0, note: Callable[[int], None] | None = None
) -> Tensor:
    """Put the parts of all processes together.

    Args:
        own: The part of this process, from starts[rank] to starts[rank + 1] along the axis.
        starts: Where the part of every process starts, and the end of the last.
        axis: Along which they lie.
        note: Called with the bytes that came from other processes; those of unequal parts are filled up.
    """
    sizes = [stop - start for start, stop in pairwise(starts)]
    own = own.detach().movedim(axis, 0).contiguous()
    # One size for all, as gloo asks for; booleans it does not know.
    sent = own.new_zeros(max(sizes), *own.shape[1:])
    sent[: len(own)] = own
    sent = sent.view(torch.uint8) if sent.dtype == torch.bool else sent
    received = [torch.empty_like(sent) for _ in sizes]
    dist.all_gather(received, sent)
    if note is not None:
        note(sent.numel() * sent.element_size() * (len(sizes) - 1))
    whole = torch.cat([part[:size] for part, size in zip(received, sizes, strict=True)])
    return whole.view(own.dtype).movedim(0, axis)


def received_of_sum(values: Tensor, among: int) -> int:
    """Return the bytes that a process receives of a sum over processes, by the best of ways.

    Every process gets its share of all partial sums, and then the shares that the others have finished: that is the
    least that a sum takes, and what a ring takes.

    Args:
        values: Of one process.
        among: How many there are.
    """
    return 2 * (among - 1) * -(-values.numel() // among) * values.element_size()


def wait_for_all() -> None:
    """Wait until all processes have come here."""
    if processes() > 1:
        dist.barrier()


def any_process(is_so: bool) -> bool:
    """Tell whether it is so in any process; all ask together."""
    return most(float(is_so)) > 0


def most(number: Dimensionless) -> Dimensionless:
    """Return the largest of what all processes say."""
    return max(everyones(number))


BYTES_OF_A_NUMBER = 8
"""Of one that processes agree on."""


def everyones(number: Dimensionless) -> list[Dimensionless]:
    """Return what each process says, in their order."""
    if processes() == 1:
        return [number]
    said = torch.tensor([number], dtype=torch.float64)
    received = [torch.empty_like(said) for _ in range(processes())]
    dist.all_gather(received, said)
    return [float(one) for one in received]


def totals(numbers: list[int]) -> list[int]:
    """Return the sums over all processes of whole numbers."""
    summed = torch.tensor(numbers)
    dist.all_reduce(summed)
    return [int(number) for number in summed]


def sums(numbers: list[Dimensionless]) -> list[Dimensionless]:
    """Return the sums over all processes."""
    summed = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(summed)
    return [float(number) for number in summed]


def from_first(numbers: list[Dimensionless]) -> list[Dimensionless]:
    """Return what the first process says; the others give as many numbers."""
    said = torch.tensor(numbers, dtype=torch.float64)
    dist.broadcast(said, 0)
    return [float(one) for one in said]
