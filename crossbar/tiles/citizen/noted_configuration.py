"""The kind of configuration of a tile in what is saved of it, for those who ask that it be compared.

It is part of a state dictionary's metadata, where torch keeps versions too, so that no name in a state changes.
"""

from typing import Any

from ...aihwkit.adapter import RPUConfigBase, TileModuleError

_KEY = "rpu_config"


def note_configuration(destination: Any, prefix: str, rpu_config: RPUConfigBase) -> None:
    """Enter the kind of a tile's configuration in a state dictionary that is being made.

    Args:
        destination: The state dictionary.
        prefix: The tile's name in it, with a dot at the end.
        rpu_config: The tile's.
    """
    metadata = getattr(
        destination, "_metadata", None
    )  # none, if a user collects a state in a plain dictionary
    if metadata is not None:
        metadata.setdefault(prefix[:-1], {})[_KEY] = _kinds(type(rpu_config))


def refuse_other_configuration(
    local_metadata: dict[str, Any], prefix: str, rpu_config: RPUConfigBase
) -> None:
    """Refuse a state of tiles with a configuration of another kind. A state that does not say is not asked.

    Args:
        local_metadata: What was noted of the tile.
        prefix: The tile's name, with a dot at the end.
        rpu_config: The tile's.

    Raises:
        TileModuleError: If neither kind is a special case of the other.
    """
    saved, present = local_metadata.get(_KEY), _kinds(type(rpu_config))
    if saved and saved[0] not in present and present[0] not in saved:
        raise TileModuleError(
            f"`rpu_config` of {prefix[:-1]!r} must be of the kind of the saved state, {saved[0]}, but is a "
            f"{present[0]}. Build the model with it, or load with `strict_rpu_config_check=False`."
        )


def _kinds(kind: type) -> list[str]:
    """Return the name of a class of configurations, and of those that it is a special case of."""
    bases = RPUConfigBase.__mro__
    return [base.__name__ for base in kind.__mro__ if base not in bases]
