"""How a command refuses options: those that do not exist, and those that would have no effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from devices import DeviceModel, get

from .config import TrainConfig

# Options that are numbers, and of which the default, 0, means nothing.
_OFF: Final = ("record_every", "soft_sharing", "sleep_every")


def is_given(config: TrainConfig, name: str) -> bool:
    """Say whether an option asks for something; zero is a wish of its own, but not where it is the default."""
    value = getattr(config, name)
    return value is not None and not (name in _OFF and value == 0)


def without_effect(name: str, config: TrainConfig, reason: str) -> ValueError:
    """Return the error for an option that would change nothing.

    Args:
        name: The option's field.
        config: What was asked for.
        reason: Why it has no effect, and perhaps what to do; without a full stop.
    """
    return ValueError(
        f"`{name}` must be left out with --mode {config.mode} and --device {config.device}, but is "
        f"{getattr(config, name)}: {reason}."
    )


def find_device(name: str) -> DeviceModel:
    """Return a device by its name.

    Raises:
        ValueError: If there is none of that name.
    """
    with speaking_of("device"):
        return get(name)


@contextmanager
def speaking_of(option: str) -> Iterator[None]:
    """Name the option in errors of functions that know it as `name`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("`name`", f"`{option}`")) from error
