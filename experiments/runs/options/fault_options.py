"""The option `--faults`: which devices of a chip do not work; refused where none can fail."""

from dataclasses import replace

from crossbar.learning import why_not_batched
from devices import Faults

from .config import NO_DEVICE, TrainConfig
from .refusals import find_device, without_effect


def resolve_faults(config: TrainConfig) -> TrainConfig:
    """Write the faults in one way only, as equal wishes are to share a run; None for a chip without any.

    Raises:
        ValueError: If the text is wrong, or no device can fail.
    """
    faults = canonical(config.faults)
    if faults is not None and config.device == NO_DEVICE:
        raise without_effect("faults", config, "nothing is programmed. Name a --device")
    if faults is not None and config.mode == "in-situ":
        reason = why_not_batched(find_device(config.device).training_config())
        if reason is not None:
            raise without_effect("faults", config, f"devices of aihwkit's own tiles do not fail ({reason})")
    return replace(config, faults=faults)


def canonical(faults: str | None) -> str | None:
    """Return the same faults in the order and the digits in which `Faults` writes them; None if there are none.

    Example:
        >>> canonical("dead_rows=2e-3, stuck_low=.01")
        'stuck_low=0.01,dead_rows=0.002'
    """
    return None if faults is None or Faults.parse(faults) == Faults() else str(Faults.parse(faults))
