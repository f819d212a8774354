"""Where the result of a piece of work is kept: a file named by a hash of all that decides about it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def piece_file(runs: Path, name: str, content: Mapping[str, Any], ending: str = "json") -> Path:
    """Return the file of a piece of work.

    Args:
        runs: Folder of the runs.
        name: Of the table.
        content: All that decides about the result, in the types of JSON.
        ending: Of the file's name.

    Example:
        >>> piece_file(Path("runs"), "table", {"states": 20}).parent.as_posix()
        'runs/published-table'
    """
    text = json.dumps(content, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return runs / f"published-{name}" / f"{digest}.{ending}"
