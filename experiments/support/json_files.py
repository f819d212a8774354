"""JSON files that are whole or absent, whenever the power fails."""

import json
from pathlib import Path

from devices.files import parse_json, read_regular, write_atomically

_LARGEST = 256 * 2**20  # bytes


def write_json(path: Path, content: object) -> None:
    """Write JSON for people and programs, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    # A path that is no UTF-8 has characters that no encoding has; JSON writes them as \\udcff.
    write_atomically(path, f"{text}\n".encode(errors="backslashreplace"))


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no JSON, or is no regular file.
        OSError: If the system refuses to read it.
    """
    try:
        content = read_regular(path, "run", largest=_LARGEST)
    except FileNotFoundError:
        raise FileNotFoundError(f"`run` must be a whole run folder, but {path} is missing.") from None
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(
            f"`run` must be an undamaged run folder, but {path} holds no JSON of ours: {error}. "
            "Restore a copy of it, or repeat the run with --force."
        ) from None
