"""How much memory the work of a run may take in between."""

from contextlib import AbstractContextManager, nullcontext

from crossbar import bounded_memory
from devices.working_memory import bytes_of

from ..options.config import NO_DEVICE, TrainConfig
from ..options.refusals import without_effect


def check_memory(wish: TrainConfig) -> None:
    """Refuse an amount of memory that is none, or that nothing would be divided for.

    Args:
        wish: What the user asked for.

    Raises:
        ValueError: If so.
    """
    if wish.memory is None:
        return
    bytes_of(wish.memory)
    if wish.device == NO_DEVICE:
        raise without_effect("memory", wish, "only work on tiles is divided. Leave it out")
    if wish.backend != "batched":
        raise without_effect("memory", wish, "aihwkit's own tiles compute one by one. Leave it out")


def use_memory(memory: str | None) -> AbstractContextManager[None]:
    """Let work take so much memory in between; whatever it takes if None."""
    return nullcontext() if memory is None else bounded_memory(memory)
