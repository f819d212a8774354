"""How many processes share a training, and what cannot be shared in any way."""

from ..options.config import TrainConfig
from .launching import started_by_torchrun


def resolve_processes(wish: TrainConfig) -> int:
    """Return how many processes a run has, and refuse what they could not share.

    Args:
        wish: What the user asked for.

    Raises:
        ValueError: If the wish needs one process, or torchrun has started another number than was asked for.
    """
    started = started_by_torchrun()
    number = wish.processes or started or 1
    if started is not None and number != started:
        raise ValueError(
            f"`processes` must be {started}, as many as torchrun has started, but is {number}. Leave it out."
        )
    if number == 1:
        return 1
    if wish.mode == "digital":
        raise _one_process("mode", wish.mode, "only training on tiles is shared")
    if wish.backend != "batched":
        raise _one_process("backend", wish.backend, "the noise of aihwkit's own tiles cannot be seeded")
    if wish.torch_device != "cpu":
        raise _one_process("torch_device", wish.torch_device, "processes share the work of a CPU")
    if started is not None and wish.reference:
        raise ValueError(
            "`reference` must be left out under torchrun, but is True: one process trains it. Use --processes."
        )
    return number


def _one_process(name: str, value: object, reason: str) -> ValueError:
    return ValueError(
        f"`{name}` must be left out with several processes, but is {value}: {reason}. Use one process."
    )
