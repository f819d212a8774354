"""How many processes share a training, and what cannot be shared."""

from typing import Final

from ..options.config import TrainConfig
from ..options.refusals import is_given
from .launching import started_by_torchrun

# What asks for all tiles of a layer after a step, or draws random numbers that nobody can repeat.
_TAKES_ALL_TILES: Final = ("record_every", "soft_sharing", "sleep_every", "wires")


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
    if wish.mode not in ("hwa", "in-situ"):
        raise _one_process("mode", wish.mode, "only tiles that learn hardware-aware or in situ are spread")
    if wish.backend != "batched":
        raise _one_process("backend", wish.backend, "the noise of aihwkit's own tiles cannot be seeded")
    if wish.torch_device != "cpu":
        raise _one_process("torch_device", wish.torch_device, "processes share the work of a CPU")
    if started is not None and wish.reference:
        raise ValueError(
            "`reference` must be left out under torchrun, but is True: one process trains it. Use --processes."
        )
    if wish.scores:
        raise _one_process("scores", wish.scores, "they compare the kernels of all tiles after every epoch")
    for name in _TAKES_ALL_TILES:
        if is_given(wish, name):
            raise _one_process(
                name, getattr(wish, name), "it takes all tiles of a layer, which no process has"
            )
    return number


def _one_process(name: str, value: object, reason: str) -> ValueError:
    return ValueError(
        f"`{name}` must be left out with several processes, but is {value}: {reason}. Use one process."
    )
