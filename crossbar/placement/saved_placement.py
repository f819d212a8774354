"""The placement of a layer in what is saved of it: kernels of one mean nothing in another, also if as many.

It is part of a state dictionary's metadata, where torch keeps versions too, so that no name in a state changes.
"""

from typing import Any

from .placement import Placement

_KEY = "placement"


def note_placement(destination: Any, prefix: str, placement: Placement) -> None:
    """Enter a layer's placement in a state dictionary that is being made.

    Args:
        destination: The state dictionary.
        prefix: The layer's name in it, with a dot at the end.
        placement: The layer's.
    """
    metadata = getattr(
        destination, "_metadata", None
    )  # none, if a user collects a state in a plain dictionary
    if metadata is not None:
        metadata.setdefault(prefix[:-1], {})[_KEY] = layout_of(placement)


def other_placement(local_metadata: dict[str, Any], prefix: str, placement: Placement) -> str | None:
    """Return a sentence if a state is that of another placement, or None. A state that does not say is not asked.

    Args:
        local_metadata: What was noted of the layer.
        prefix: The layer's name, with a dot at the end.
        placement: The layer's.
    """
    saved = local_metadata.get(_KEY)
    return None if saved is None else why_not(saved, prefix[:-1], placement)


def why_not(saved: str, name: str, placement: Placement) -> str | None:
    """Return a sentence if the saved placement of a layer is another one than it has, or None.

    Args:
        saved: What was noted.
        name: The layer's.
        placement: The one it has.
    """
    present = layout_of(placement)
    if saved == present:
        return None
    return (
        f"`placement` of layer {name!r} must be that of the saved state, {saved!r}, but is {present!r}. Build the "
        "model with it, and move the kernels with `replace_placement` afterwards."
    )


def layout_of(placement: Placement) -> str:
    """Return how a placement is written down: without `sync_every`, which moves no kernel.

    Args:
        placement: Any.
    """
    kept = {key: value for key, value in placement.options.items() if key != "sync_every"}
    options = ",".join(f"{key}={value}" for key, value in kept.items())
    return f"{placement.name}({options})" if options else placement.name
