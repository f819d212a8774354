"""JSON files that are whole or absent, whenever the power fails."""

import json
from pathlib import Path

from crossbar.network.storage import write_atomically


def write_json(path: Path, content: object) -> None:
    """Write JSON for people and programs, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode())


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no JSON.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"`run` must be a whole run folder, but {path} is missing.") from None
    except (ValueError, RecursionError):
        raise ValueError(f"`run` must be an undamaged run folder, but {path} holds no JSON.") from None
    return content
